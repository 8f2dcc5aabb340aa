// Envelopes of blocks: small, stored in front of a ciphertext that never changes. A keyset's (SPEC §6.1) is replaced by
// rekeying; a vault's (SPEC §11) and a client's (SPEC §13) stay.
import * as P from 'micro-packed'
import { type Bytes, concat } from './bytes.ts'
import { decode } from './codec.ts'
import { KeystrataError } from './errors.ts'
import { assertKnown, type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from './header.ts'

/** How the key of a block came about, and with it how equal contents meet. */
export const Mode = { scoped: 1, global: 2, off: 3, none: 4 } as const

export type Mode = (typeof Mode)[keyof typeof Mode]

export type EncryptedMode = Exclude<Mode, typeof Mode.none>

export const MAX_CONTENT_BYTES: number = 64 * 1024 * 1024

export const MAX_CIPHERTEXT_BYTES: number = MAX_CONTENT_BYTES + 80

export const KEYSET_SUITES: readonly number[] = [Suite.none, Suite.x25519, Suite.hybrid]

const LENGTHS: Readonly<Record<number, number>> = {
  [Suite.none]: 49,
  [Suite.x25519]: 145,
  [Suite.hybrid]: 1713,
  [Suite.vault]: 128,
  [Suite.aes128]: 112,
  [Suite.aes192]: 112,
  [Suite.aes256]: 112,
  [Suite.des56]: 88,
}

export const CLIENT_SUITES: readonly number[] = [Suite.aes128, Suite.aes192, Suite.aes256]

const MAX_ENVELOPE_BYTES = 1713

const plainEnvelope = P.struct({ headerBytes: P.bytes(HEADER_BYTES), mode: P.U8 })

/** The length of the envelope, of whatever key model, that `bytes` begin with. */
export function envelopeLength(bytes: Uint8Array): number {
  const { suite } = parseHeader(bytes, 'envelope', ObjectType.envelope, [
    ...KEYSET_SUITES,
    Suite.vault,
    ...CLIENT_SUITES,
    Suite.des56,
  ])
  return LENGTHS[suite] ?? MAX_ENVELOPE_BYTES
}

export function copyOfEnvelope(stored: Uint8Array): Bytes {
  if (stored.length <= MAX_ENVELOPE_BYTES) return new Uint8Array(stored)
  throw new KeystrataError('malformed', 'too long for an envelope', { bytes: stored.length })
}

export function encodePlainEnvelope(headerBytes: Uint8Array): Bytes {
  return concat(headerBytes, Uint8Array.of(Mode.none))
}

export function parsePlain(bytes: Uint8Array, header: Header): Header {
  assertKnown('mode', decode(plainEnvelope, bytes, 'envelope').mode, [Mode.none], 'envelope')
  return header
}
