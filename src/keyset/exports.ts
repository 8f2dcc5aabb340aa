// What a keyset holds, and what of it is written where (the table of SPEC §5.3). Each section names every field that it
// writes; no object is ever spread into another.
// A keyset as bytes (SPEC §5): the outer object, its checksum and MAC, and the sealed section under the master key.
import { type Bytes, EMPTY, equalBytes, u8, wipe } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { Mode } from '../core/envelope.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { assertKnown, encodeHeader, type Header, ObjectType, parseHeader, Suite } from '../core/header.ts'
import { Identity, type KeyPair, type SigningPair, Strength } from '../core/key-pairs.ts'
import { MAX_KEYSET_BYTES } from '../core/limits.ts'
import { disposeKeys, type SecretKey } from '../core/secret.ts'
import { authenticatedPart, CHECKSUM_BYTES, copySummed, fillTrailer, MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import {
  type ActiveShare,
  type Argon2Record,
  definitionSealed,
  Destination,
  hostPlain,
  type HostPlain,
  hostSealed,
  type HostSealed,
  storageSealed,
  storedKeyset,
  type StoredKeyset,
} from './layout.ts'

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

/** An export whose form was checked, and whose secrets and MAC were not. */
export interface ParsedKeyset extends StoredKeyset {
  /** The copy that all fields are views of. It holds what the host keeps openly: wipe it when done. */
  readonly bytes: Bytes
  readonly header: Header
  /** Every byte in front of the MAC. */
  readonly authenticated: Uint8Array
}

/**
 * Checks the form of an export, from a copy, in an order that never takes damage by accident for anything else.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function parseKeyset(stored: Uint8Array): ParsedKeyset {
  const bytes = copySummed(stored, 'keyset', MAX_KEYSET_BYTES)
  const header = parseHeader(bytes, 'keyset', ObjectType.keyset, [Suite.none])
  const fields = decode(storedKeyset, bytes, 'keyset')
  assertKnown('destination', fields.destination, Object.values(Destination), 'keyset')
  assertKnown('encryption', fields.encryption, Object.values(Strength), 'keyset')
  assertKnown('dedup', fields.dedup, [Mode.scoped, Mode.global, Mode.off], 'keyset')
  return { ...fields, bytes, header, authenticated: authenticatedPart(bytes) }
}

/** What the host can read of its export without the password. */
export function readHostPlain(parsed: ParsedKeyset): HostPlain {
  return decode(hostPlain, parsed.plain, 'keyset')
}

/**
 * Writes the keyset for one destination. `nonce` is for tests alone.
 * @throws KeystrataError `policy` if the contents came from a source definition, which has not all keys
 */
export function encodeKeyset(
  contents: KeysetContents,
  master: SecretKey<'master'>,
  destination: KeysetDestination,
  nonce?: Uint8Array,
): Bytes {
  const code = Destination[destination]
  const { plain, sealed } = encodeSections(contents, destination)
  try {
    const place = { type: ObjectType.sealedSection, ownerId: contents.id, context: u8(code) }
    const whole = encode(storedKeyset, {
      headerBytes: encodeHeader({
        type: ObjectType.keyset,
        suite: Suite.none,
        keyId: keyIdOf(master),
        ownerId: contents.id,
      }),
      version: contents.version,
      destination: code,
      encryption: contents.encryption,
      dedup: contents.dedup,
      argon2: contents.argon2,
      plain,
      sealed: wrapSecret(master, sealed, place, nonce),
      mac: new Uint8Array(MAC_BYTES),
      checksum: new Uint8Array(CHECKSUM_BYTES),
    })
    // What no reader would take must not be written.
    if (whole.length > MAX_KEYSET_BYTES) {
      wipe(whole)
      throw new KeystrataError('limit-exceeded', 'too many shares, or key pairs of the past, for a keyset', {
        bytes: whole.length,
      })
    }
    fillTrailer(whole, (authenticated) => macUnder(master, 'keyset-mac', [u8(code)], authenticated))
    return whole
  } finally {
    wipe(plain, sealed)
  }
}

/**
 * All exports that the keys are enough for.
 * @throws KeystrataError `limit-exceeded` if one would be too large
 */
export function encodeExports(contents: KeysetContents, master: SecretKey<'master'>): ReadonlyMap<string, Bytes> {
  const exports: Map<string, Bytes> = new Map()
  try {
    for (const destination of Object.keys(Destination) as KeysetDestination[]) {
      if (contents.additional === undefined && destination !== 'source-definition') continue
      exports.set(destination, encodeKeyset(contents, master, destination))
    }
    return exports
  } catch (error) {
    wipe(...exports.values())
    throw error
  }
}

/**
 * Reads the keys of an export under its master key. Its mac is the first thing that is checked, so whatever is wrong
 * behind it was made so by somebody who has the master key, and is told apart no further.
 * @throws KeystrataError `authentication-failed`
 */
export function openKeyset(parsed: ParsedKeyset, master: SecretKey<'master'>): KeysetContents {
  const mac = macUnder(master, 'keyset-mac', [u8(parsed.destination)], parsed.authenticated)
  if (!equalBytes(mac, parsed.mac)) throw authenticationFailed()
  const { ownerId } = parsed.header
  const place = { type: ObjectType.sealedSection, ownerId, context: u8(parsed.destination) }
  return answeredAlike(() => {
    const sealed = unwrapSecret(master, parsed.sealed, 'sealed section', place)
    try {
      return {
        id: new Uint8Array(ownerId),
        version: parsed.version,
        encryption: parsed.encryption,
        dedup: parsed.dedup,
        argon2: parsed.argon2,
        ...decodeSections(parsed.plain, sealed, parsed.destination),
      }
    } finally {
      wipe(sealed)
    }
  })
}
