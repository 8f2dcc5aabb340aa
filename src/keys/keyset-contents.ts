// What a keyset holds, and what of it is written where (the table of SPEC §5.3). Each section names every field that it
// writes; no object is ever spread into another.
import { type Bytes, EMPTY, equalBytes } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { decode, encode } from '../format/codec.ts'
import {
  type ActiveShare,
  type Argon2Record,
  definitionSealed,
  Destination,
  type HostPlain,
  hostPlain,
  type HostSealed,
  hostSealed,
  type KeyPair,
  type SigningPair,
  storageSealed,
} from '../format/keyset.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import { disposeKeys, type SecretKey } from '../secret.ts'
import { Identity } from './key-pairs.ts'

/**
 * Where an export of a keyset is kept.
 * @example
 * ```ts
 * import type { KeysetDestination, KeysetReader } from 'keystrata'
 *
 * function fileFor(to: KeysetDestination, keyset: KeysetReader) {
 *   return { name: `${keyset.id}.${to}`, mode: 0o600, bytes: keyset.export(to) }
 * }
 * ```
 */
export type KeysetDestination = 'host' | 'source-definition' | 'source-storage'

/** Everything that a keyset holds. */
export interface KeysetContents extends KeysetKeys {
  /** The owner id of its blocks, 16 bytes. */
  readonly id: Bytes
  readonly version: number
  /** Defaults of writers: a strength and a dedup mode, as format/ numbers them. */
  readonly encryption: number
  readonly dedup: number
  readonly argon2: Argon2Record
}

/** The keys among it. */
export interface KeysetKeys {
  readonly blockPair: KeyPair
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SigningPair
  /** Absent from a source definition, and so from what is unlocked from one. */
  readonly additional: AdditionalKeys | undefined
}

/** The keys that a source definition does not carry. */
export interface AdditionalKeys {
  /** The key pair set of the owner's card; it outlives every regeneration. */
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  /** Key pairs of the past, for blocks that were not rekeyed yet. */
  readonly retired: readonly KeyPair[]
  readonly shares: readonly ActiveShare[]
}

/**
 * The two sections of an export. The caller wipes the sealed one once it is sealed.
 * @throws KeystrataError `policy` if the keys came from a source definition, which has not all of them
 */
export function encodeSections(keys: KeysetKeys, destination: KeysetDestination): { plain: Bytes; sealed: Bytes } {
  const { blockPair, blockSalt, dedupKey, sourceSigning, additional } = keys
  if (destination === 'source-definition') {
    return { plain: EMPTY, sealed: encode(definitionSealed, { blockPair, blockSalt, dedupKey, sourceSigning }) }
  }
  if (additional === undefined) throw incompleteFor(`export to ${destination}`)
  const { sharing, cardSigning, retired, shares } = additional
  if (destination === 'source-storage') {
    const everything = { blockPair, blockSalt, dedupKey, sourceSigning, sharing, cardSigning, retired, shares }
    return { plain: EMPTY, sealed: encode(storageSealed, everything) }
  }
  return {
    plain: encode(hostPlain, {
      blockPair: blockPair.publicHalves,
      blockSalt,
      dedupKey,
      sourceSigning: sourceSigning.seed,
      retired: retired.map((pair) => pair.publicHalves),
      shares: shares.map(({ id, publicHalves }) => ({ id, publicHalves })),
    }),
    sealed: encode(hostSealed, {
      blockPair: blockPair.privateHalves,
      sourceSigningPublic: sourceSigning.publicKey,
      sharing,
      cardSigning,
      retired: retired.map((pair) => pair.privateHalves),
      shares: shares.map((share) => share.privateHalves),
    }),
  }
}

/** The answer to whoever asks an incomplete keyset for what needs all keys: an export, or its card. */
export function incompleteFor(what: string): KeystrataError {
  return new KeystrataError('policy', `a keyset unlocked from a source definition has not all keys: no ${what}`, {
    rule: 'all-keys',
    what,
  })
}

/**
 * The keys of an export, from its two sections.
 * @throws KeystrataError `malformed`; `authentication-failed` for halves that do not belong together
 */
export function decodeSections(plain: Uint8Array, sealed: Uint8Array, destination: number): KeysetKeys {
  const keys = readSections(plain, sealed, destination)
  try {
    assertHalvesBelong(keys)
    return keys
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

function readSections(plain: Uint8Array, sealed: Uint8Array, destination: number): KeysetKeys {
  if (destination === Destination.host) return readHostSections(plain, sealed)
  if (plain.length > 0) throw new KeystrataError('malformed', 'keyset: a plain section where there is none')
  if (destination === Destination['source-definition']) {
    const { blockPair, blockSalt, dedupKey, sourceSigning } = decode(definitionSealed, sealed, 'keyset')
    return { blockPair, blockSalt, dedupKey, sourceSigning, additional: undefined }
  }
  const stored = decode(storageSealed, sealed, 'keyset')
  const { blockPair, blockSalt, dedupKey, sourceSigning, sharing, cardSigning, retired, shares } = stored
  return { blockPair, blockSalt, dedupKey, sourceSigning, additional: { sharing, cardSigning, retired, shares } }
}

function readHostSections(plain: Uint8Array, sealed: Uint8Array): KeysetKeys {
  const read: { open?: HostPlain; locked?: HostSealed } = {}
  try {
    const open = (read.open = decode(hostPlain, plain, 'keyset'))
    const locked = (read.locked = decode(hostSealed, sealed, 'keyset'))
    const retired = pairUp(open.retired, locked.retired, (publicHalves, privateHalves) => ({
      publicHalves,
      privateHalves,
    }))
    const shares = pairUp(open.shares, locked.shares, ({ id, publicHalves }, privateHalves) => ({
      id,
      publicHalves,
      privateHalves,
    }))
    return {
      blockPair: { publicHalves: open.blockPair, privateHalves: locked.blockPair },
      blockSalt: open.blockSalt,
      dedupKey: open.dedupKey,
      sourceSigning: { seed: open.sourceSigning, publicKey: locked.sourceSigningPublic },
      additional: { sharing: locked.sharing, cardSigning: locked.cardSigning, retired, shares },
    }
  } catch (error) {
    disposeKeys(read)
    throw error
  }
}

/** Joins the plain and the sealed half of a list, which are stored in one order. */
function pairUp<A, B, C>(open: readonly A[], locked: readonly B[], join: (open: A, locked: B) => C): C[] {
  if (open.length !== locked.length) throw new KeystrataError('malformed', 'keyset: lists of different lengths')
  return open.map((element, index) => join(element, locked[index] as B))
}

/** Recomputes every public half from its private one, so that no pair was put together from two. */
function assertHalvesBelong({ blockPair, sourceSigning, additional }: KeysetKeys): void {
  const ownShares = (additional?.shares ?? []).flatMap(({ publicHalves, privateHalves }) =>
    privateHalves === undefined ? [] : [{ publicHalves, privateHalves }],
  )
  const pairs = additional === undefined ? [] : [additional.sharing, ...additional.retired, ...ownShares]
  for (const pair of [blockPair, ...pairs]) new Identity(pair).dispose()
  for (const pair of [sourceSigning, ...(additional === undefined ? [] : [additional.cardSigning])]) {
    if (!equalBytes(signingPublicKey(pair.seed), pair.publicKey)) throw authenticationFailed()
  }
}
