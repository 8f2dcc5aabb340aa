// A device key as bytes, and the values that are sealed under it (SPEC §15). It protects a stolen database, not a machine that
// is running.
import { type Bytes, bytesFrom, concat, equalBytes, lengthPrefixed, u32, u64, u8, utf8, wipe } from '../bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../errors.ts'
import { decode, encode } from '../format/codec.ts'
import {
  MAX_SAVED_BYTES,
  MAX_TEXT_BYTES,
  MAX_TEXT_VALUE_BYTES,
  type Protection,
  SavedKind,
  storedDeviceKey,
  storedHandle,
  TEXT_BLOCK_BYTES,
} from '../format/device.ts'
import { encodeHeader, keyIdIn, NOBODY, ObjectType, parseHeader, Suite } from '../format/header.ts'
import { CHECKSUM_BYTES } from '../format/keyset.ts'
import { wrappedBytes } from '../format/wrap.ts'
import { DEFAULT_ARGON2_COSTS, hashPassword, type HashOptions } from '../primitives/password.ts'
import { randomBytes } from '../primitives/random.ts'
import { SecretKey, withBytes } from '../secret.ts'
import { assertText, decodeText } from '../text.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrapSecret } from './lock.ts'
import { copySummed, fillChecksum } from './trailer.ts'

const MAX_DEVICE_KEY_BYTES = 4096

/**
 * Where a text value is kept: it opens nowhere else.
 * @example
 * ```ts
 * import type { DeviceKey, Place } from 'keystrata'
 *
 * function replaceText(text: string, place: Place, device: DeviceKey) {
 *   const next: Place = { ...place, version: place.version + 1 }
 *   return { place: next, sealed: device.sealText(text, next) }
 * }
 * ```
 */
export interface Place {
  readonly table: string
  readonly row: string
  readonly column: string
  /** Grows with every change of the value, so that an older one cannot be put back; the caller keeps it elsewhere. */
  readonly version: number
}

const headerOf = (type: number, key: SecretKey<'device'>): Bytes =>
  encodeHeader({ type, suite: Suite.none, keyId: keyIdOf(key), ownerId: NOBODY })

/** The key itself: for the keystore of an operating system. */
export function encodeOpenKey(key: SecretKey<'device'>): Bytes {
  return encodeKey(key, { TAG: 'open', data: key })
}

/** The key under a passphrase. */
export async function encodeProtectedKey(
  key: SecretKey<'device'>,
  passphrase: string,
  options: HashOptions,
): Promise<Bytes> {
  // A copy: the handle may be disposed of while the hash runs.
  const own = key.copy()
  try {
    const { iterations, memoryKiB, lanes } = DEFAULT_ARGON2_COSTS
    const salt = randomBytes(32)
    const over = SecretKey.take('passphrase', await hashPassword(passphrase, salt, DEFAULT_ARGON2_COSTS, options))
    try {
      const wrapped = withBytes(own, (bytes) => wrapSecret(over, bytes, PROTECTED_KEY))
      return encodeKey(own, { TAG: 'protected', data: { iterations, memoryKiB, lanes, salt, wrapped } })
    } finally {
      over.dispose()
    }
  } finally {
    own.dispose()
  }
}

const PROTECTED_KEY: SecretPlace = { type: ObjectType.deviceKey, ownerId: NOBODY, context: new Uint8Array(0) }

function encodeKey(
  key: SecretKey<'device'>,
  content: { TAG: 'open'; data: SecretKey<'device'> } | { TAG: 'protected'; data: Protection },
): Bytes {
  const headerBytes = headerOf(ObjectType.deviceKey, key)
  const whole = encode(storedDeviceKey, { headerBytes, content, checksum: new Uint8Array(CHECKSUM_BYTES) })
  fillChecksum(whole)
  return whole
}

/**
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`; `wrong-password`, also for a protected key without a
 *   passphrase; `policy` for an unprotected one where a passphrase is given; `authentication-failed`
 */
export async function decodeDeviceKey(
  stored: Uint8Array,
  passphrase: string | undefined,
  options: HashOptions,
): Promise<SecretKey<'device'>> {
  const bytes = copySummed(bytesFrom(stored, 'device key'), 'device key', MAX_DEVICE_KEY_BYTES)
  try {
    const header = parseHeader(bytes, 'device key', ObjectType.deviceKey, [Suite.none])
    const { content } = decode(storedDeviceKey, bytes, 'device key')
    const { TAG, data } = content
    const key = TAG === 'open' ? openKey(data, passphrase) : await unlock(data, passphrase, options)
    if (equalBytes(keyIdOf(key), header.keyId) && equalBytes(header.ownerId, NOBODY)) return key
    key.dispose()
    throw authenticationFailed()
  } finally {
    wipe(bytes)
  }
}

function openKey(key: SecretKey<'device'>, passphrase: string | undefined): SecretKey<'device'> {
  if (passphrase === undefined) return key
  key.dispose()
  // Somebody may have put a key of his own in the place of the protected one.
  throw new KeystrataError('policy', 'this device key is under no passphrase', { rule: 'passphrase' })
}

async function unlock(
  { salt, wrapped, ...costs }: Protection,
  passphrase: string | undefined,
  options: HashOptions,
): Promise<SecretKey<'device'>> {
  if (passphrase === undefined) throw new KeystrataError('wrong-password', 'this device key is under a passphrase')
  const over = SecretKey.take('passphrase', await hashPassword(passphrase, salt, costs, options))
  try {
    if (!equalBytes(keyIdOf(over), keyIdIn(wrapped))) throw new KeystrataError('wrong-password')
    const bytes = answeredAlike(() => unwrapSecret(over, wrapped, 'device key', PROTECTED_KEY))
    return SecretKey.take('device', bytes)
  } finally {
    over.dispose()
  }
}

/** Saves the keys of a handle, which the caller wipes. */
export function sealSaved(key: SecretKey<'device'>, kind: number, keys: Uint8Array): Bytes {
  const place = { type: ObjectType.sealedSection, ownerId: NOBODY, context: u8(kind) }
  const whole = encode(storedHandle, {
    headerBytes: headerOf(ObjectType.savedHandle, key),
    kind,
    wrapped: wrapSecret(key, keys, place),
    checksum: new Uint8Array(CHECKSUM_BYTES),
  })
  fillChecksum(whole)
  return whole
}

/**
 * The keys of a saved handle. The caller wipes what it gets.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`; `key-not-found` for one of another device;
 *   `authentication-failed`
 */
export function openSaved(key: SecretKey<'device'>, stored: Uint8Array, kind: number): Bytes {
  const bytes = copySummed(bytesFrom(stored, 'saved handle'), 'saved handle', MAX_SAVED_BYTES)
  const header = parseHeader(bytes, 'saved handle', ObjectType.savedHandle, [Suite.none])
  const { kind: found, wrapped } = decode(storedHandle, bytes, 'saved handle')
  if (found !== kind) throw otherKind(found, kind)
  assertOwn(key, header.keyId)
  if (!equalBytes(header.ownerId, NOBODY)) throw authenticationFailed()
  return answeredAlike(() => {
    const place = { type: ObjectType.sealedSection, ownerId: NOBODY, context: u8(kind) }
    return unwrapSecret(key, wrapped, 'saved handle', place)
  })
}

function otherKind(found: number, kind: number): KeystrataError {
  const [given, expected] = [found, kind].map((each) => SAVED_NAMES.find(([, number]) => number === each)?.[0])
  const message =
    given === undefined ? 'a saved handle of a later release, or damaged' : `a saved ${given}, not a saved ${expected}`
  return new KeystrataError('unsupported', message, { object: 'saved handle', field: 'kind', found })
}
const SAVED_NAMES = Object.entries(SavedKind)

/** @throws KeystrataError `key-not-found` */
function assertOwn(key: SecretKey<'device'>, keyId: Uint8Array): void {
  if (!equalBytes(keyIdOf(key), keyId)) throw new KeystrataError('key-not-found', 'sealed by another device')
}

/** @throws KeystrataError `limit-exceeded` over 64 KiB */
export function sealTextValue(key: SecretKey<'device'>, text: string, place: Place): Bytes {
  const context = contextOf(place)
  const bytes = exactText(text, 'text')
  try {
    if (bytes.length > MAX_TEXT_BYTES) {
      throw new KeystrataError('limit-exceeded', 'a text value has at most 64 KiB', { bytes: bytes.length })
    }
    // Padded, so that its length tells little.
    const padded = new Uint8Array(Math.ceil((4 + bytes.length) / TEXT_BLOCK_BYTES) * TEXT_BLOCK_BYTES)
    try {
      padded.set(u32(bytes.length))
      padded.set(bytes, 4)
      return wrapSecret(key, padded, { type: ObjectType.textValue, ownerId: NOBODY, context })
    } finally {
      wipe(padded)
    }
  } finally {
    wipe(bytes)
  }
}

/** @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `key-not-found`, `authentication-failed` */
export function openTextValue(key: SecretKey<'device'>, sealed: Uint8Array, place: Place): string {
  const context = contextOf(place)
  const given = bytesFrom(sealed, 'text value')
  if (given.length > MAX_TEXT_VALUE_BYTES) {
    throw new KeystrataError('limit-exceeded', 'too large for a text value', { bytes: given.length })
  }
  const bytes = new Uint8Array(given)
  const { keyId } = parseHeader(bytes, 'text value', ObjectType.textValue, [Suite.wrap])
  if (bytes.length < wrappedBytes(0)) throw new KeystrataError('malformed', 'a text value cut short')
  assertOwn(key, keyId)
  const inPlace = { type: ObjectType.textValue, ownerId: NOBODY, context }
  const padded = answeredAlike(() => unwrapSecret(key, bytes, 'text value', inPlace))
  try {
    return readPadded(padded)
  } finally {
    wipe(padded)
  }
}

function readPadded(padded: Uint8Array): string {
  const length = padded.length < 4 ? -1 : new DataView(padded.buffer, padded.byteOffset).getUint32(0)
  const text = padded.subarray(4, 4 + length)
  const isPadded =
    length >= 0 &&
    length <= MAX_TEXT_BYTES &&
    padded.length === Math.ceil((4 + length) / TEXT_BLOCK_BYTES) * TEXT_BLOCK_BYTES &&
    padded.subarray(4 + length).every((byte) => byte === 0)
  if (!isPadded) throw authenticationFailed()
  const decoded = decodeText(text)
  if (decoded === undefined) throw authenticationFailed()
  return decoded
}

function contextOf({ table, row, column, version }: Place): Bytes {
  if (!Number.isSafeInteger(version) || version < 0) throw new RangeError('the version of a place must be an integer')
  const names = [exactText(table, 'table'), exactText(row, 'row'), exactText(column, 'column')]
  return concat(...names.map(lengthPrefixed), u64(version))
}

/** UTF-8 of a text as it is: what was sealed comes back letter by letter. */
function exactText(text: string, what: string): Bytes {
  assertText(text, what)
  return utf8(text)
}
