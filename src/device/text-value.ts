// Text values (SPEC §8): short texts, such as the passwords of source computers, sealed under a device key for one
// place in a database. Not protected: the length, in steps of 32 bytes, and a value whose version is kept in the same
// database: an attacker can put back an older value together with its version.
import {
  allocate,
  type Bytes,
  bytesFrom,
  concat,
  copyOf,
  equalBytes,
  lengthPrefixed,
  u32,
  u64,
  utf8,
} from '../core/bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type Header, keyNotFound, NOBODY, ObjectType, parseHeader } from '../core/header.ts'
import { fieldsFrom } from '../core/options.ts'
import { type SecretKey, wiping } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import { assertText, decodeText } from '../core/text.ts'
import { keyIdOf, unwrapSecret, wrappedBytes, wrapSecret } from '../core/wrap.ts'
import { MAX_TEXT_BYTES, MAX_TEXT_VALUE_BYTES, TEXT_BLOCK_BYTES } from './layout.ts'

/**
 * The place of a text value in a database. A text value opens only in the place that it was sealed for.
 * @example
 * ```ts
 * import type { DeviceKey, Place } from 'keystrata/device'
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
  /**
   * A whole number of at least 0. Increase it with every change of the value, and keep it somewhere else: then nobody
   * can put back an older value.
   */
  readonly version: number
}

/**
 * Pads a text and seals it for a place.
 * @throws KeystrataError `limit-exceeded` if the text is over 64 KiB
 * @throws KeystrataError `invalid-text` if the text, or a name in the place, has lone surrogates
 * @throws TypeError if the text, or a name in the place, is not a string
 * @throws RangeError if the version in the place is invalid
 */
export function sealTextValue(key: SecretKey<'device'>, text: string, place: Place): Bytes {
  const context = contextOf(place)
  const exact = exactText(text, 'text')
  using _exact = wiping(exact)
  if (exact.length > MAX_TEXT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'the text is too long: it may have at most 64 KiB of UTF-8', {
      object: 'text value',
      bytes: exact.length,
    })
  }
  // Padded, so that its length reveals little.
  const padded = allocate(paddedBytes(exact.length))
  using _padded = wiping(padded)
  padded.set(u32(exact.length))
  padded.set(exact, 4)
  return wrapSecret(key, padded, { type: ObjectType.textValue, ownerId: NOBODY, context })
}

const paddedBytes = (length: number): number => Math.ceil((4 + length) / TEXT_BLOCK_BYTES) * TEXT_BLOCK_BYTES

/**
 * Checks that this device key sealed an object.
 * @throws KeystrataError `key-not-found` if this key did not seal the object
 */
export function assertSealedBy(key: SecretKey<'device'>, header: Header, object: string): void {
  if (!equalBytes(keyIdOf(key), header.keyId)) throw keyNotFound(object, header, 'another device sealed this')
}

/**
 * Opens a text value.
 * @throws KeystrataError `limit-exceeded` if there are too many bytes
 * @throws KeystrataError `malformed`, `unsupported` if they are not a text value
 * @throws KeystrataError `key-not-found` if this key did not seal it
 * @throws KeystrataError `authentication-failed` if it was sealed for another place, or altered
 */
export function openTextValue(key: SecretKey<'device'>, sealed: Uint8Array, place: Place): string {
  const context = contextOf(place)
  const given = bytesFrom(sealed, 'text value')
  if (given.length > MAX_TEXT_VALUE_BYTES) {
    throw new KeystrataError('limit-exceeded', 'this sealed text is too large', {
      object: 'text value',
      bytes: given.length,
    })
  }
  const copy = copyOf(given)
  const header = parseHeader(copy, 'text value', ObjectType.textValue, [Suite.wrap])
  if (copy.length < wrappedBytes(0))
    throw new KeystrataError('malformed', 'this sealed text is cut short', {
      object: 'text value',
      bytes: copy.length,
    })
  assertSealedBy(key, header, 'text value')
  const inPlace = { type: ObjectType.textValue, ownerId: NOBODY, context }
  const padded = answeredAlike(() => unwrapSecret(key, copy, 'text value', inPlace))
  using _ = wiping(padded)
  return readPadded(padded)
}

function readPadded(padded: Uint8Array): string {
  const length = padded.length < 4 ? -1 : new DataView(padded.buffer, padded.byteOffset).getUint32(0)
  const isPadded =
    length >= 0 &&
    length <= MAX_TEXT_BYTES &&
    padded.length === paddedBytes(length) &&
    padded.subarray(4 + length).every((byte) => byte === 0)
  const text = isPadded ? decodeText(padded.subarray(4, 4 + length)) : undefined
  if (text === undefined) throw authenticationFailed()
  return text
}

function contextOf(place: Place): Bytes {
  const rules = { table: 'required', row: 'required', column: 'required', version: 'required' } as const
  const { table, row, column, version } = fieldsFrom(place, rules, 'place')
  if (!Number.isSafeInteger(version) || version < 0)
    throw new RangeError('version of the place must be an integer of at least 0')
  const names = [exactText(table, 'table'), exactText(row, 'row'), exactText(column, 'column')]
  return concat(...names.map(lengthPrefixed), u64(version))
}

/** Encodes a text as UTF-8 without normalising it, so that it comes back unchanged. */
function exactText(text: string, what: string): Bytes {
  assertText(text, what)
  return utf8(text)
}
