// The header: the first 48 bytes of every object (SPEC §2).
import { allocate, type Bytes, toHex } from './bytes.ts'
import { bytes, type Codec, decode, encode, fixed, struct, uint16, uint32, uint8 } from './codec.ts'
import { KeystrataError } from './errors.ts'
import { Suite } from './suite.ts'

export const HEADER_BYTES = 48
/** The id in the header of an object that has no key or no owner. */
export const NOBODY: Uint8Array = /* @__PURE__ */ allocate(16)
const VERSION = 1

export const ObjectType = {
  dataKeyWrap: 1,
  slot: 2,
  recoverySlot: 3,
  envelope: 4,
  record: 5,
  invite: 6,
  sealedSection: 7,
  textValue: 8,
  escrow: 9,
  registration: 10,
  keyring: 11,
  profile: 12,
  keyset: 13,
  card: 14,
  savedHandle: 15,
  deviceKey: 16,
  enrolment: 17,
  challenge: 18,
  proof: 19,
  slotList: 20,
  delegation: 21,
  identity: 22,
} as const

/** Returns the name of an object type, for error messages. */
export function objectName(type: number): string | undefined {
  const found = Object.entries(ObjectType).find(([, each]) => each === type)
  return found?.[0].replace(/[A-Z]/g, ' $&').toLowerCase()
}

export interface Header<S extends Suite = Suite> {
  readonly type: number
  readonly suite: S
  /** The id of the key that opens the object. It only selects a key, and is never trusted. */
  readonly keyId: Uint8Array
  /** The keyset, share, vault, profile or client scope that the object belongs to; zeros for none. */
  readonly ownerId: Uint8Array
  /** The epoch of a record, 1 in objects that have changed since version 0.2, and 0 in all others. */
  readonly generation: number
  readonly flags: number
}

/**
 * Returns the error for an object that is addressed to a key, or an owner, that the handle does not have. It names both,
 * so that a program can find the handle that does.
 * @param message what to do, if there is something better to say
 */
export function keyNotFound(
  object: string,
  { ownerId, keyId }: Pick<Header, 'ownerId' | 'keyId'>,
  message?: string,
): KeystrataError {
  return new KeystrataError('key-not-found', message, { object, ownerId: toHex(ownerId), keyId: toHex(keyId) })
}

interface StoredHeader extends Omit<Header, 'suite'> {
  readonly magic?: undefined
  readonly version: number
  readonly suite: number
}

const storedHeader: Codec<StoredHeader> = struct({
  magic: fixed('KSTR'),
  version: uint8,
  type: uint8,
  suite: uint16,
  generation: uint32,
  flags: uint32,
  keyId: bytes(16),
  ownerId: bytes(16),
})

export function encodeHeader(header: Omit<Header, 'generation' | 'flags'> & Partial<Header>): Bytes {
  return encode(storedHeader, { version: VERSION, generation: 0, flags: 0, ...header, suite: header.suite.id })
}

/**
 * Reads the header of an object that must have the given type and one of the given suites.
 * @param more `generation`: the one generation that it may have, or any; `flags`: the flags that it may have
 * @throws KeystrataError `malformed` if `given` is too short or is not an object
 * @throws KeystrataError `unsupported` if it is another object or needs a later release
 */
export function parseHeader<S extends Suite>(
  given: Uint8Array,
  object: string,
  type: number,
  suites: readonly S[],
  more: { readonly generation?: number | 'any'; readonly flags?: readonly number[] } = {},
): Header<S> {
  const { generation: allowed = 0, flags: allowedFlags = [0] } = more
  const header = parseMagic(given, object)
  assertKnown('version', header.version, [VERSION], object)
  assertType(header, object, type)
  const suite = knownSuite(header, object, suites)
  if (allowed !== 'any') assertKnown('generation', header.generation, [allowed], object)
  assertKnown('flags', header.flags, allowedFlags, object)
  const { keyId, ownerId, generation, flags } = header
  return { type, suite, keyId, ownerId, generation, flags }
}

/**
 * Parses a header and checks only its magic. Objects that end in a checksum are checked in this order: magic, checksum,
 * the rest of the header.
 * @throws KeystrataError `malformed` if `given` is too short or is not an object
 */
export function parseMagic(given: Uint8Array, object: string): StoredHeader {
  return decode(storedHeader, given.subarray(0, HEADER_BYTES), object, given.length)
}

/** Returns the key id in an encoded header. Its other fields are checked later. */
export const keyIdIn = (header: Uint8Array): Uint8Array => header.subarray(16, 32)

/**
 * Checks that an object has the expected type.
 * @throws KeystrataError `unsupported` if it has another type
 */
function assertType({ type: found }: StoredHeader, object: string, type: number): void {
  const other = found === type ? undefined : objectName(found)
  if (found === type || other === undefined) {
    assertKnown('type', found, [type], object)
    return
  }
  throw new KeystrataError('unsupported', `expected ${object}, but this is ${other}`, { object, field: 'type', found })
}

/**
 * Returns the suite of an object, if it is one of the allowed suites.
 * @throws KeystrataError `unsupported` if it is not
 */
function knownSuite<S extends Suite>({ suite: found }: StoredHeader, object: string, suites: readonly S[]): S {
  const suite = suites.find(({ id }) => id === found)
  if (suite !== undefined) return suite
  const other: Suite | undefined = Object.values(Suite).find(({ id }) => id === found)
  if (other === undefined || !('owner' in other)) throw unknownField('suite', found, object)
  throw new KeystrataError('unsupported', `this ${object} belongs to ${other.owner}, and cannot be read here`, {
    object,
    field: 'suite',
    found,
  })
}

/**
 * Returns a stored number if it is one of those that this release knows.
 * @throws KeystrataError `unsupported` if it is not
 */
export function known<N extends number>(
  field: string,
  found: number,
  values: Readonly<Record<string, N>>,
  object: string,
): N {
  const value = Object.values(values).find((each) => each === found)
  if (value === undefined) throw unknownField(field, found, object)
  return value
}

/**
 * Checks that a stored number is one of the known numbers.
 * @throws KeystrataError `unsupported` if it is not
 */
export function assertKnown(field: string, found: number, known: readonly number[], object: string): void {
  if (!known.includes(found)) throw unknownField(field, found, object)
}

function unknownField(field: string, found: number, object: string): KeystrataError {
  const message = `${object}: unknown ${field} ${found}; the object is damaged or needs a later release`
  return new KeystrataError('unsupported', message, { object, field, found })
}
