// The contents of a keyset, and its exports as bytes. SPEC §9.3 has the table of which keys go to which destination.
// Each section names every field that it writes. No object is spread into another, so no key reaches a destination by
// accident.
import { allocate, type Bytes, copyOf, EMPTY, equalBytes, u8 } from '../core/bytes.ts'
import { type Codec, decode, encode, rest, struct, uint64, uint8 } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, known, ObjectType, parseHeader } from '../core/header.ts'
import { Identity, type KeyPair, type SigningPair } from '../core/key-pairs.ts'
import { disposeKeys, type SecretKey, wiping } from '../core/secret.ts'
import { Strength, Suite } from '../core/suite.ts'
import { authenticatedPart, CHECKSUM_BYTES, copySummed, fillTrailer, MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf, unwrapSecret, wrappedBytes, wrapSecret } from '../core/wrap.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import { EncryptedMode } from './mask.ts'
import {
  type ActiveShare,
  type AdoptedSource,
  type Argon2Record,
  argon2Record,
  type CompleteSource,
  definitionSealed,
  Destination,
  type HostPlain,
  hostPlain,
  type HostSealed,
  hostSealed,
  MAX_KEYSET_BYTES,
  type StorageSealed,
  storageSealed,
  type StoredKeyset,
  storedKeyset,
} from './layout.ts'
import { createRevision, history, type Revision } from './revision.ts'

/** Version 0.2 wrote another layout, in generation 0. */
const GENERATION = 1

/** The encryption and dedup mode that writers use by default. */
export interface WritingDefaults {
  readonly encryption: Strength
  readonly dedup: EncryptedMode
}

/** Everything that a keyset holds. */
export interface KeysetContents extends KeysetKeys, WritingDefaults {
  /** The owner id of its blocks, 16 bytes. */
  readonly id: Bytes
  readonly version: number
  /** 16 bytes that no other version has. */
  readonly revision: Bytes
  /** The revisions that this one descends from, the newest first. */
  readonly history: readonly Revision[]
  readonly argon2: Argon2Record
}

/** A keyset that has no revision yet. */
export type DraftContents = Omit<KeysetContents, 'revision'>

/** The keys of a keyset. */
export interface KeysetKeys {
  readonly blockPair: KeyPair
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SigningPair
  /** The public half of the card signing key, which verifies the markers in logs. */
  readonly cardSigningKey: Bytes
  /** The sources of keysets that were adopted. */
  readonly adopted: readonly AdoptedSource[]
  /** The keys that a source definition lacks. Undefined in one, and in a keyset that was unlocked from one. */
  readonly additional: AdditionalKeys | undefined
}

/** The keys that a source definition does not contain. */
export interface AdditionalKeys {
  /** The key pair set of the owner's card. It stays the same when the block key pair is regenerated. */
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  /** Retired key pairs. They open blocks that were not rekeyed yet. */
  readonly retired: readonly KeyPair[]
  readonly shares: readonly ActiveShare[]
  /** The ids of revoked shares, the latest first. A share that one branch of a fork revoked stays revoked. */
  readonly revoked: readonly Bytes[]
}

/** An export whose structure was checked, but not its MAC. The sealed section is still sealed. */
export interface ParsedKeyset extends Omit<StoredKeyset, 'destination' | 'encryption' | 'dedup'>, WritingDefaults {
  readonly destination: Destination
  /**
   * The copy of the export that all fields are views of. A host export contains unencrypted secrets, so wipe it when
   * done.
   */
  readonly bytes: Bytes
  readonly header: Header
  /** Every byte before the MAC. */
  readonly authenticated: Uint8Array
}

/**
 * Parses a copy of an export and checks its structure. The checksum is verified first, so accidental damage is never
 * mistaken for anything else.
 * @throws KeystrataError `malformed` if it is damaged or not an export
 * @throws KeystrataError `unsupported` if it needs a later release
 * @throws KeystrataError `limit-exceeded` if it is over 1 MiB
 */
export function parseKeyset(stored: Uint8Array): ParsedKeyset {
  const bytes = copySummed(stored, 'keyset', MAX_KEYSET_BYTES)
  const header = parseHeader(bytes, 'keyset', ObjectType.keyset, [Suite.none], { generation: GENERATION })
  const { destination, encryption, dedup, ...fields } = decode(storedKeyset, bytes, 'keyset')
  const [newest] = fields.history
  if (newest !== undefined && newest.version >= fields.version) {
    throw new KeystrataError('malformed', 'this keyset descends from a version that is not lower than its own', {
      object: 'keyset',
      version: fields.version,
    })
  }
  return {
    ...fields,
    destination: destinationOf(destination),
    encryption: known('encryption', encryption, Strength, 'keyset'),
    dedup: known('dedup', dedup, EncryptedMode, 'keyset'),
    bytes,
    header,
    authenticated: authenticatedPart(bytes),
  }
}

function destinationOf(code: number): Destination {
  const number = known('destination', code, Destination, 'keyset')
  switch (number) {
    case Destination.host:
      return 'host'
    case Destination.definition:
      return 'definition'
    case Destination.storage:
      return 'storage'
  }
}

/** Reads the plain section of a host export, which needs no password. */
export function readHostPlain(parsed: ParsedKeyset): HostPlain {
  return decode(hostPlain, parsed.plain, 'keyset')
}

/**
 * Encodes the export for one destination.
 * @throws KeystrataError `policy` if the contents lack keys that the destination needs
 * @throws KeystrataError `limit-exceeded`
 */
export function encodeKeyset(contents: KeysetContents, master: SecretKey<'master'>, destination: Destination): Bytes {
  const { id, version, revision, history, encryption, dedup, argon2 } = contents
  const code = Destination[destination]
  const { plain, sealed } = encodeSections(contents, destination)
  using _ = wiping(plain, sealed)
  assertKeysetFits(contents, plain.length, sealed.length)
  const keyId = keyIdOf(master)
  const whole = encode(storedKeyset, {
    headerBytes: encodeHeader({
      type: ObjectType.keyset,
      suite: Suite.none,
      generation: GENERATION,
      keyId,
      ownerId: id,
    }),
    version,
    revision,
    history,
    destination: code,
    encryption,
    dedup,
    argon2,
    plain,
    sealed: wrapSecret(master, sealed, { type: ObjectType.sealedSection, ownerId: id, context: u8(code) }),
    mac: allocate(MAC_BYTES),
    checksum: allocate(CHECKSUM_BYTES),
  })
  fillTrailer(whole, (authenticated) => macUnder(master, 'keyset-mac', [u8(code)], authenticated))
  return whole
}

/** The size of an export without its history and its two sections. */
const FRAME_BYTES = HEADER_BYTES + 8 + 16 + 3 + 108 + 4 + 4 + MAC_BYTES + CHECKSUM_BYTES

/**
 * Refuses to write an export that readers would refuse because of its size.
 * @throws KeystrataError `limit-exceeded` if it is over 1 MiB
 */
function assertKeysetFits({ history: past }: DraftContents, plainBytes: number, sealedBytes: number): void {
  const bytes = FRAME_BYTES + history.size(past) + plainBytes + wrappedBytes(sealedBytes)
  if (bytes <= MAX_KEYSET_BYTES) return
  throw new KeystrataError(
    'limit-exceeded',
    'this keyset has too many shares or retired key pairs: an export holds at most 1 MiB',
    { object: 'keyset', bytes },
  )
}

/**
 * Checks that every export of this keyset fits the size limit, without encoding one.
 * @throws KeystrataError `limit-exceeded`
 */
export function assertExportsFit(contents: DraftContents): void {
  const { additional } = contents
  if (additional === undefined) return
  const { plain, sealed } = hostSections(contents, additional)
  assertKeysetFits(contents, hostPlain.size(plain), hostSealed.size(sealed))
  assertKeysetFits(contents, 0, storageSealed.size(storageSection(contents, additional)))
}

/** Completes the next version of a keyset: gives it its revision, from everything that it consists of (SPEC §9.2). */
export function withRevision(draft: DraftContents, master: SecretKey<'master'>): KeysetContents {
  const { version, history, encryption, dedup, argon2 } = draft
  const { sealed } = encodeSections(draft, 'storage')
  const stated = encode(statedContents, { version, history, encryption, dedup, argon2, sealed })
  using _ = wiping(sealed, stated)
  return { ...draft, revision: createRevision(master, stated) }
}

const statedContents: Codec<
  Pick<DraftContents, 'version' | 'history' | 'argon2'> & { encryption: number; dedup: number; sealed: Uint8Array }
> = struct({ version: uint64, history, encryption: uint8, dedup: uint8, argon2: argon2Record, sealed: rest })

/**
 * Encodes the two sections of an export. The caller wipes both.
 * @throws KeystrataError `policy` if the keys came from a source definition, which does not have all of them
 */
export function encodeSections(keys: KeysetKeys, destination: Destination): { plain: Bytes; sealed: Bytes } {
  const { blockPair, blockSalt, dedupKey, sourceSigning, cardSigningKey: cardSigning, adopted } = keys
  switch (destination) {
    case 'definition':
      return {
        plain: EMPTY,
        sealed: encode(definitionSealed, { blockPair, blockSalt, dedupKey, sourceSigning, cardSigning, adopted }),
      }
    case 'storage':
      return { plain: EMPTY, sealed: encode(storageSealed, storageSection(keys, additionalOf(keys, destination))) }
    case 'host': {
      const { plain, sealed } = hostSections(keys, additionalOf(keys, destination))
      return { plain: encode(hostPlain, plain), sealed: encode(hostSealed, sealed) }
    }
  }
}

function additionalOf({ additional }: KeysetKeys, destination: Destination): AdditionalKeys {
  if (additional === undefined) throw incompleteFor(`export to ${destination}`)
  return additional
}

function storageSection(keys: KeysetKeys, additional: AdditionalKeys): StorageSealed {
  const { blockPair, blockSalt, dedupKey, sourceSigning } = keys
  const { sharing, cardSigning, retired, shares, revoked } = additional
  const adopted = completeSources(keys)
  return { blockPair, blockSalt, dedupKey, sourceSigning, sharing, cardSigning, retired, shares, revoked, adopted }
}

function hostSections(keys: KeysetKeys, additional: AdditionalKeys): { plain: HostPlain; sealed: HostSealed } {
  const { blockPair, blockSalt, dedupKey, sourceSigning } = keys
  const { sharing, cardSigning, retired, shares, revoked } = additional
  const adopted = completeSources(keys)
  return {
    plain: {
      blockPair: blockPair.publicHalves,
      blockSalt,
      dedupKey,
      sourceSigning: sourceSigning.seed,
      cardSigning: cardSigning.publicKey,
      retired: retired.map((pair) => pair.publicHalves),
      shares: shares.map(({ id, publicHalves }) => ({ id, publicHalves })),
      adopted: adopted.map(({ id, keys: { sourceSigning, cardSigning } }) => ({
        id,
        sourceSigning,
        cardSigning: cardSigning.publicKey,
      })),
    },
    sealed: {
      blockPair: blockPair.privateHalves,
      sourceSigningPublic: sourceSigning.publicKey,
      sharing,
      cardSigning: cardSigning.seed,
      retired: retired.map((pair) => pair.privateHalves),
      shares: shares.map((share) => share.privateHalves),
      revoked,
      adopted: adopted.map(({ blockSalt, dedupKey, keys: { sharing, cardSigning } }) => ({
        blockSalt,
        dedupKey,
        sharing,
        cardSigning: cardSigning.seed,
      })),
    },
  }
}

/**
 * Returns the adopted sources with all of their keys.
 * @throws KeystrataError `policy` if they came from a source definition
 */
function completeSources({ adopted }: KeysetKeys): readonly CompleteSource[] {
  return adopted.map(({ id, blockSalt, dedupKey, keys }) => {
    if (keys === undefined) throw incompleteFor('adopted sources')
    return { id, blockSalt, dedupKey, keys }
  })
}

/** Returns the error for an operation that needs keys which a source definition does not contain. */
export function incompleteFor(what: string): KeystrataError {
  return new KeystrataError(
    'policy',
    `this keyset was unlocked from a definition, which lacks keys for this: ${what}; unlock the storage or host export`,
    {
      rule: 'all-keys',
      what,
    },
  )
}

/**
 * Opens an export with its master key. The MAC is verified first. Only a holder of the master key could cause a later
 * failure, so all of them give the same error.
 * @throws KeystrataError `authentication-failed`
 */
export function openKeyset(parsed: ParsedKeyset, master: SecretKey<'master'>): KeysetContents {
  const code = Destination[parsed.destination]
  const mac = macUnder(master, 'keyset-mac', [u8(code)], parsed.authenticated)
  if (!equalBytes(mac, parsed.mac)) throw authenticationFailed()
  const { ownerId } = parsed.header
  const { version, revision, history, encryption, dedup, argon2 } = parsed
  return answeredAlike(() => {
    const place = { type: ObjectType.sealedSection, ownerId, context: u8(code) }
    const sealed = unwrapSecret(master, parsed.sealed, 'sealed section', place)
    using _ = wiping(sealed)
    const keys = decodeSections(parsed.plain, sealed, parsed.destination)
    return { id: copyOf(ownerId), version, revision, history, encryption, dedup, argon2, ...keys }
  })
}

/**
 * Decodes the keys of an export from its two sections. This checks the source signing pair only. The halves of every
 * other pair are compared when the pair is first imported.
 * @throws KeystrataError `malformed`
 * @throws KeystrataError `authentication-failed` if the halves of the source signing pair do not match
 */
export function decodeSections(plain: Uint8Array, sealed: Uint8Array, destination: Destination): KeysetKeys {
  const keys = readSections(plain, sealed, destination)
  try {
    assertSigningPair(keys.sourceSigning)
    return keys
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

/**
 * Checks that the two halves of a signing pair match.
 * @throws KeystrataError `authentication-failed` if the halves do not match
 */
export function assertSigningPair({ seed, publicKey }: SigningPair): void {
  if (!equalBytes(signingPublicKey(seed), publicKey)) throw authenticationFailed()
}

/**
 * Checks that the two halves of a key pair set match.
 * @throws KeystrataError `authentication-failed` if the halves do not match
 */
export function assertKeyPair(pair: KeyPair): void {
  new Identity(pair).dispose()
}

function readSections(plain: Uint8Array, sealed: Uint8Array, destination: Destination): KeysetKeys {
  switch (destination) {
    case 'host':
      return readHostSections(plain, sealed)
    case 'definition': {
      assertNoPlain(plain)
      const { cardSigning: cardSigningKey, ...keys } = decode(definitionSealed, sealed, 'keyset')
      return { ...keys, cardSigningKey, additional: undefined }
    }
    case 'storage': {
      assertNoPlain(plain)
      const stored = decode(storageSealed, sealed, 'keyset')
      const { blockPair, blockSalt, dedupKey, sourceSigning, adopted } = stored
      const { sharing, cardSigning, retired, shares, revoked } = stored
      const additional = { sharing, cardSigning, retired, shares, revoked }
      const cardSigningKey = cardSigning.publicKey
      return { blockPair, blockSalt, dedupKey, sourceSigning, cardSigningKey, adopted, additional }
    }
  }
}

function assertNoPlain({ length }: Uint8Array): void {
  if (length > 0)
    throw new KeystrataError('malformed', 'this keyset export must not have a plain section', {
      object: 'keyset',
      bytes: length,
    })
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
    const adopted = pairUp(
      open.adopted,
      locked.adopted,
      (plain, { blockSalt, dedupKey, sharing, cardSigning: seed }) => {
        const { id, sourceSigning, cardSigning: publicKey } = plain
        return { id, blockSalt, dedupKey, keys: { sourceSigning, sharing, cardSigning: { seed, publicKey } } }
      },
    )
    const { sharing, revoked } = locked
    const cardSigning = { seed: locked.cardSigning, publicKey: open.cardSigning }
    return {
      blockPair: { publicHalves: open.blockPair, privateHalves: locked.blockPair },
      blockSalt: open.blockSalt,
      dedupKey: open.dedupKey,
      sourceSigning: { seed: open.sourceSigning, publicKey: locked.sourceSigningPublic },
      cardSigningKey: open.cardSigning,
      adopted,
      additional: { sharing, cardSigning, retired, shares, revoked },
    }
  } catch (error) {
    disposeKeys(read)
    throw error
  }
}

/** Joins two lists, one from the plain section and one from the sealed section. Both have the same order. */
function pairUp<A, B, C>(open: readonly A[], locked: readonly B[], join: (open: A, locked: B) => C): C[] {
  if (open.length !== locked.length)
    throw new KeystrataError('malformed', 'keyset export: the two sections do not list the same number of keys', {
      object: 'keyset',
    })
  return open.map((element, index) => join(element, locked[index] as B))
}
