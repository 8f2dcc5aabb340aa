// Compares what the library read from a keyset with what the second reader did: both as text.
import { withBytes } from '../../src/core/secret.ts'
import type { KeyPair, PrivateHalves, PublicHalves, SigningPair } from '../../src/core/key-pairs.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import { Destination } from '../../src/keyset/layout.ts'
import type { OpenedKeyset } from '../spec-reader.ts'
import { hex } from '../fixtures.ts'

const secret = (key: Parameters<typeof withBytes>[0]): string => withBytes(key, (bytes) => hex(bytes))
const half = ({ minimum, x25519, mlKem1024 }: PublicHalves) => ({ minimum, pkX: hex(x25519), pkM: hex(mlKem1024) })
const privateHalf = ({ x25519, mlKem1024 }: PrivateHalves) => ({ skX: secret(x25519), seedM: secret(mlKem1024) })
const pair = (both: KeyPair) => ({ ...half(both.publicHalves), ...privateHalf(both.privateHalves) })
const signing = ({ seed, publicKey }: SigningPair) => ({ seed: secret(seed), publicKey: hex(publicKey) })

/** Returns the contents that the library opened in the shape of the second reader, with bytes in hex. */
export function asRead(read: KeysetContents, destination: Destination): unknown {
  const { id, version, revision, history, encryption, dedup, blockPair, blockSalt, dedupKey, sourceSigning } = read
  const more = read.additional
    ? { sharing: pair(read.additional.sharing), cardSigning: signing(read.additional.cardSigning) }
    : { cardSigning: { publicKey: hex(read.cardSigningKey) } }
  return {
    ...{ id: hex(id), version, revision: hex(revision), destination: Destination[destination], encryption, dedup },
    history: history.map((each) => ({ version: each.version, revision: hex(each.id) })),
    pairs: [blockPair, ...(read.additional?.retired ?? [])].map(pair),
    ...{ blockSalt: secret(blockSalt), dedupKey: secret(dedupKey), sourceSigning: signing(sourceSigning) },
    ...more,
    shares: (read.additional?.shares ?? []).map((share) => ({
      ...{ id: hex(share.id), ...half(share.publicHalves) },
      ...(share.privateHalves && privateHalf(share.privateHalves)),
    })),
    revoked: (read.additional?.revoked ?? []).map(hex),
    adopted: read.adopted.map((source) => ({
      ...{ id: hex(source.id), blockSalt: secret(source.blockSalt), dedupKey: secret(source.dedupKey) },
      ...(source.keys && {
        sourceSigning: hex(source.keys.sourceSigning),
        sharing: pair(source.keys.sharing),
        cardSigning: signing(source.keys.cardSigning),
      }),
    })),
  }
}

/** Returns what the second reader opened, with bytes in hex. */
export function asText(read: OpenedKeyset): unknown {
  const text = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return hex(value)
    if (Array.isArray(value)) return value.map(text)
    if (typeof value !== 'object' || value === null) return value
    const fields = Object.entries(value).filter(([name]) => name !== 'contents') // those of the revision
    return Object.fromEntries(fields.map(([name, field]) => [name, text(field)]))
  }
  return text(read)
}
