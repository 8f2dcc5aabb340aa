// Reading and writing by a declaration: total, exact, and with one error for whatever does not fit.
// What a client and its server tell each other, and what the server keeps of it (SPEC §14).
import * as P from 'micro-packed'
import type { Bytes } from './bytes.ts'
import { KeystrataError } from './errors.ts'
import { type Role, SecretKey, withBytes } from './secret.ts'
import { MAX_NAME_BYTES } from './text.ts'

export function encode<T>(coder: P.CoderType<T>, value: T): Bytes {
  return coder.encode(value) as Bytes
}

/** The keys of the object that is being decoded: if it turns out malformed, nobody else will wipe them. */
let decodedKeys: SecretKey<Role>[] = []

/**
 * Every byte of `bytes` belongs to a field, or this throws. Fields of bytes are views of `bytes`, not copies.
 * @param whole bytes of the object that these are a part of
 * @throws KeystrataError `malformed`; the library's own message could quote bytes, so it is not passed on
 */
export function decode<T>(coder: P.CoderType<T>, bytes: Uint8Array, object: string, whole: number = bytes.length): T {
  decodedKeys = []
  try {
    return coder.decode(bytes)
  } catch {
    for (const key of decodedKeys) key.dispose()
    throw new KeystrataError('malformed', `not a well-formed ${object}`, { object, bytes: whole })
  } finally {
    decodedKeys = []
  }
}

/** An integer in 64 bits, up to 2⁵³ − 1. */
export const u64: P.CoderType<number> = P.apply(P.U64BE, P.coders.numberBigint)

/** A version number, from 1 to 2⁵³ − 1. */
export const version: P.CoderType<number> = within(u64, 1, Number.MAX_SAFE_INTEGER)

/** A time in milliseconds since 1970, UTC, up to the last that a Date can hold. */
export const time: P.CoderType<number> = within(u64, 0, 8_640_000_000_000_000)

/** A number that parses only between two bounds, both included. */
export function within(number: P.CoderType<number>, least: number, most: number): P.CoderType<number> {
  return P.validate(number, (value) => {
    if (value < least || value > most) throw new RangeError('out of bounds')
    return value
  })
}

/** Bytes of a fixed size, decoded into memory of their own: for objects that outlive what they were read from. */
export function ownBytes(size: number): P.CoderType<Bytes> {
  return P.wrap({
    size,
    encodeStream: (writer, bytes: Bytes) => writer.bytes(bytes),
    decodeStream: (reader) => new Uint8Array(reader.bytes(size)),
  })
}

/** Key material of a fixed size: never decoded into plain bytes, never encoded from them. */
export function secret<R extends Role>(role: R, size: number): P.CoderType<SecretKey<R>> {
  return P.wrap({
    size,
    encodeStream: (writer, key: SecretKey<R>) => withBytes(key, (bytes) => writer.bytes(bytes)),
    decodeStream(reader) {
      const key = new SecretKey(role, reader.bytes(size))
      decodedKeys.push(key)
      return key
    },
  })
}

/** A count in 16 bits, then as many elements. More than `most` do not parse: small elements take more memory than bytes. */
export function list<T>(element: P.CoderType<T>, most = 0xffff): P.CoderType<readonly T[]> {
  const { encodeStream } = P.U16BE
  const { decodeStream } = within(P.U16BE, 0, most)
  return P.array(P.wrap({ size: 2, encodeStream, decodeStream }), element) as unknown as P.CoderType<readonly T[]>
}

/** A name of 1 to 255 bytes, in UTF-8; its form is checked where it is used. */
export const name: P.CoderType<Uint8Array> = P.validate(P.bytes(P.U16BE), (bytes) => {
  if (bytes.length < 1 || bytes.length > MAX_NAME_BYTES) throw new RangeError('not the length of a name')
  return bytes
})
