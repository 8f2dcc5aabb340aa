// The 48 bytes in front of every object (SPEC §2).
import * as P from 'micro-packed'
import type { Bytes } from './bytes.ts'
import { decode, encode } from './codec.ts'
import { KeystrataError } from './errors.ts'

export const HEADER_BYTES = 48

/** The id of a key or an owner where there is none. */
export const NOBODY: Uint8Array = new Uint8Array(16)

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
} as const

const NAMES = Object.entries(ObjectType).map(
  ([name, type]) => [type, name.replace(/[A-Z]/g, ' $&').toLowerCase()] as const,
)

/** What an object says that it is, for people. */
export const objectName = (type: number): string | undefined => NAMES.find(([each]) => each === type)?.[1]

export const Suite = {
  none: 0x0000,
  x25519: 0x0101,
  hybrid: 0x0102,
  vault: 0x0201,
  aes128: 0x0301,
  aes192: 0x0302,
  aes256: 0x0303,
  des56: 0x0304,
  wrap: 0x0401,
  seal: 0x0402,
} as const

export interface Header {
  readonly type: number
  readonly suite: number
  /** The key that opens the object; it selects a key and is never trusted. */
  readonly keyId: Uint8Array
  /** The keyset, share, vault, profile or scope of a client that the object belongs to; zeros for none. */
  readonly ownerId: Uint8Array
  /** Of a record its epoch; of all other objects 0. */
  readonly generation: number
  readonly flags: number
}

type StoredHeader = Header & { magic?: undefined; version: number }

const storedHeader: P.CoderType<StoredHeader> = P.struct({
  magic: P.magicBytes('KSTR'),
  version: P.U8,
  type: P.U8,
  suite: P.U16BE,
  generation: P.U32BE,
  flags: P.U32BE,
  keyId: P.bytes(16),
  ownerId: P.bytes(16),
})

export function encodeHeader(header: Omit<Header, 'generation' | 'flags'> & Partial<Header>): Bytes {
  return encode(storedHeader, { version: VERSION, generation: 0, flags: 0, ...header })
}

/**
 * The header of an object of the given type, in one of the given suites; `more` says which objects have a generation, and
 * which one flag they may have.
 * @throws KeystrataError `malformed` if `bytes` is too short or no object; `unsupported` if it is another object, or of
 *   a later version
 */
export function parseHeader(
  bytes: Uint8Array,
  object: string,
  type: number,
  suites: readonly number[],
  more: { readonly generations: boolean; readonly flag: number } = { generations: false, flag: 0 },
): Header {
  const header = parseMagic(bytes, object)
  assertKnown('version', header.version, [VERSION], object)
  assertType(header, object, type)
  assertSuite(header, object, suites)
  if (!more.generations) assertKnown('generation', header.generation, [0], object)
  assertKnown('flags', header.flags, [0, more.flag], object)
  const { suite, keyId, ownerId, generation, flags } = header
  return { type, suite, keyId, ownerId, generation, flags }
}

/**
 * The first of the checks on an object that ends in a checksum: is this one at all?
 * @throws KeystrataError `malformed`
 */
export function parseMagic(bytes: Uint8Array, object: string): StoredHeader {
  return decode(storedHeader, bytes.subarray(0, HEADER_BYTES), object, bytes.length)
}

/** The key id in a header whose other fields are looked at later. */
export const keyIdIn = (bytes: Uint8Array): Uint8Array => bytes.subarray(16, 32)

/** @throws KeystrataError `unsupported` */
function assertType({ type: found }: StoredHeader, object: string, type: number): void {
  const name = objectName(found)
  if (found === type || name === undefined) {
    assertKnown('type', found, [type], object)
    return
  }
  throw new KeystrataError('unsupported', `not of this kind: ${name}, where ${object} is expected`, {
    object,
    field: 'type',
    found,
  })
}

const MODELS: Readonly<Record<number, string>> = {
  [Suite.x25519]: 'a keyset',
  [Suite.hybrid]: 'a keyset',
  [Suite.vault]: 'a vault',
  [Suite.aes128]: 'a client',
  [Suite.aes192]: 'a client',
  [Suite.aes256]: 'a client',
  [Suite.des56]: 'a client under DES-56, which keystrata/legacy opens',
}

/** @throws KeystrataError `unsupported` */
function assertSuite({ suite: found }: StoredHeader, object: string, suites: readonly number[]): void {
  const model = MODELS[found]
  if (suites.includes(found) || model === undefined) {
    assertKnown('suite', found, suites, object)
    return
  }
  throw new KeystrataError('unsupported', `${object}: not of this reader, but of ${model}`, {
    object,
    field: 'suite',
    found,
  })
}

/** @throws KeystrataError `unsupported` */
export function assertKnown(field: string, found: number, known: readonly number[], object: string): void {
  if (known.includes(found)) return
  throw new KeystrataError('unsupported', `${object}: ${field} ${found} is not known: damaged, or of a later release`, {
    object,
    field,
    found,
  })
}
