// Layouts of stored objects. A layout lists its fields, and the same list is used to write and to read. Reading is
// total: every byte belongs to a field, or the whole object is refused. Integers are big-endian (SPEC §1.1).
//
// Every function that makes a codec is marked as free of side effects, so a bundler drops the layouts that a program
// never uses.
import { allocate, type Bytes, copyOf, utf8 } from './bytes.ts'
import { KeystrataError } from './errors.ts'
import { type Role, SecretKey, withBytes } from './secret.ts'
import { MAX_NAME_BYTES } from './text.ts'

/** How one kind of value is written and read. */
export interface Codec<T> {
  /** Returns how many bytes a value takes. */
  size(value: T): number
  write(to: Target, value: T): void
  read(from: Source): T
}

/** Where a value is written: one buffer of the exact size, filled from the front. */
interface Target {
  readonly bytes: Bytes
  offset: number
}

/** What a value is read from. */
interface Source {
  readonly bytes: Uint8Array
  offset: number
  /** The keys that were read so far. {@link decode} wipes them if the object turns out malformed. */
  readonly keys: SecretKey<Role>[]
}

/** Thrown while reading: these bytes do not fit the layout. {@link decode} turns it into a KeystrataError. */
class Misfit extends Error {}

/** Returns where the next `length` bytes end. */
function endOf({ bytes, offset }: Source, length: number): number {
  if (bytes.length - offset < length) throw new Misfit('too short')
  return offset + length
}

function take(from: Source, length: number): Uint8Array {
  return from.bytes.subarray(from.offset, endOf(from, length))
}

/**
 * Writes a value in a layout.
 * @throws RangeError if the layout cannot hold the value, which is a bug in this library
 */
export function encode<T>(codec: Codec<T>, value: T): Bytes {
  const target = { bytes: allocate(codec.size(value)), offset: 0 }
  codec.write(target, value)
  return target.bytes
}

/**
 * Reads an object that takes up all of `bytes`. Fields of bytes are views of `bytes`, not copies.
 * @param whole the length to report, if `bytes` is only a part of the object
 * @throws KeystrataError `malformed` if the bytes do not fit the layout
 */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array, object: string, whole: number = bytes.length): T {
  const source: Source = { bytes, offset: 0, keys: [] }
  try {
    const value = codec.read(source)
    if (source.offset !== bytes.length) throw new Misfit('trailing bytes')
    return value
  } catch (error) {
    for (const key of source.keys) key.dispose()
    if (!(error instanceof Misfit)) throw error
    throw new KeystrataError('malformed', `these bytes are not a valid ${object}`, { object, bytes: whole })
  }
}

/* @__NO_SIDE_EFFECTS__ */
function integer(size: 1 | 2 | 4): Codec<number> {
  return {
    size: () => size,
    write(to, value) {
      if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * size)) throw new RangeError('out of bounds')
      for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) to.bytes[to.offset++] = value >>> shift
    },
    read(from) {
      const end = endOf(from, size)
      let value = 0
      while (from.offset < end) value = value * 256 + (from.bytes[from.offset++] ?? 0)
      return value
    },
  }
}

export const uint8: Codec<number> = integer(1)
export const uint16: Codec<number> = integer(2)
export const uint32: Codec<number> = integer(4)

/** An integer in 64 bits, up to 2⁵³ − 1. */
export const uint64: Codec<number> = {
  size: () => 8,
  write(to, value) {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('out of bounds')
    uint32.write(to, Math.floor(value / 2 ** 32))
    uint32.write(to, value % 2 ** 32)
  },
  read(from) {
    const value = uint32.read(from) * 2 ** 32 + uint32.read(from)
    if (!Number.isSafeInteger(value)) throw new Misfit('out of bounds')
    return value
  },
}

/** A flag: 0 or 1, and no other byte. */
export const bool: Codec<boolean> = {
  size: () => 1,
  write: (to, value) => uint8.write(to, value ? 1 : 0),
  read(from) {
    const value = uint8.read(from)
    if (value > 1) throw new Misfit('not a flag')
    return value === 1
  },
}

/** A number within two bounds, both included. */
/* @__NO_SIDE_EFFECTS__ */
export function within<N extends number>(number: Codec<number>, least: N, most: N): Codec<N> {
  return validated(number, (value) => value >= least && value <= most) as Codec<N>
}

/** A version number, from 1 to 2⁵³ − 1. */
export const version: Codec<number> = within(uint64, 1, Number.MAX_SAFE_INTEGER)

/** A time in milliseconds since 1970, UTC, up to the last that a Date can hold. */
export const time: Codec<number> = within(uint64, 0, 8_640_000_000_000_000)

/** A value that must also pass a check, when it is written and when it is read. */
/* @__NO_SIDE_EFFECTS__ */
export function validated<T>(codec: Codec<T>, holds: (value: T) => boolean): Codec<T> {
  return {
    size: (value) => codec.size(value),
    write(to, value) {
      if (!holds(value)) throw new RangeError('the layout does not allow this value')
      codec.write(to, value)
    },
    read(from) {
      const value = codec.read(from)
      if (!holds(value)) throw new Misfit('not allowed')
      return value
    },
  }
}

function put(to: Target, value: Uint8Array): void {
  to.bytes.set(value, to.offset)
  to.offset += value.length
}

/** Exactly `size` bytes, read as a view. */
/* @__NO_SIDE_EFFECTS__ */
export function bytes(size: number): Codec<Uint8Array> {
  return {
    size: () => size,
    write(to, value) {
      if (value.length !== size) throw new RangeError(`a field must have ${size} bytes, not ${value.length}`)
      put(to, value)
    },
    read(from) {
      const value = take(from, size)
      from.offset += size
      return value
    },
  }
}

/** Exactly `size` bytes, read as a copy, for objects that outlive the bytes that they were read from. */
/* @__NO_SIDE_EFFECTS__ */
export function ownBytes(size: number): Codec<Bytes> {
  const view = bytes(size)
  return { ...view, read: (from) => copyOf(view.read(from)) }
}

/** A length, then that many bytes, read as a view. */
/* @__NO_SIDE_EFFECTS__ */
export function sized(length: Codec<number>): Codec<Uint8Array> {
  return {
    size: (value) => length.size(value.length) + value.length,
    write(to, value) {
      length.write(to, value.length)
      put(to, value)
    },
    read: (from) => bytes(length.read(from)).read(from),
  }
}

/** Every byte that is left, read as a view. */
export const rest: Codec<Uint8Array> = {
  size: (value) => value.length,
  write: put,
  read(from) {
    const value = from.bytes.subarray(from.offset)
    from.offset = from.bytes.length
    return value
  },
}

/** Fixed characters, such as the magic of a header. */
/* @__NO_SIDE_EFFECTS__ */
export function fixed(text: string): Codec<undefined> {
  const expected = utf8(text)
  return {
    size: () => expected.length,
    write: (to) => put(to, expected),
    read(from) {
      const found = take(from, expected.length)
      if (found.some((byte, index) => byte !== expected[index])) throw new Misfit('other characters')
      from.offset += expected.length
      return undefined
    },
  }
}

/** Key material of a fixed size. It is read into a {@link SecretKey} and written from one, never from plain bytes. */
/* @__NO_SIDE_EFFECTS__ */
export function secret<R extends Role>(role: R, size: number): Codec<SecretKey<R>> {
  const view = bytes(size)
  return {
    size: () => size,
    write: (to, key) => withBytes(key, (value) => view.write(to, value)),
    read(from) {
      const key = new SecretKey(role, view.read(from))
      from.keys.push(key)
      return key
    },
  }
}

/**
 * A count, then that many elements. More than `most` elements are malformed, because a decoded element may take more
 * memory than its bytes.
 */
/* @__NO_SIDE_EFFECTS__ */
export function list<T>(element: Codec<T>, most = 0xffff, count: Codec<number> = uint16): Codec<readonly T[]> {
  return {
    size: (values) => values.reduce((sum, value) => sum + element.size(value), count.size(values.length)),
    write(to, values) {
      if (values.length > most) throw new RangeError('too many elements')
      count.write(to, values.length)
      for (const value of values) element.write(to, value)
    },
    read(from) {
      const length = count.read(from)
      if (length > most) throw new Misfit('too many elements')
      const values: T[] = []
      while (values.length < length) values.push(element.read(from))
      return values
    },
  }
}

/** A flag, then the value if the flag is set. */
/* @__NO_SIDE_EFFECTS__ */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    size: (value) => 1 + (value === undefined ? 0 : codec.size(value)),
    write(to, value) {
      bool.write(to, value !== undefined)
      if (value !== undefined) codec.write(to, value)
    },
    read: (from) => (bool.read(from) ? codec.read(from) : undefined),
  }
}

/** The codec of each field of an object, in the order in which the fields are stored. */
type Fields<T> = { readonly [Name in keyof T]-?: Codec<T[Name]> }

/** Fields one after the other. A property without a field is not written. */
/* @__NO_SIDE_EFFECTS__ */
export function struct<T>(fields: Fields<T>): Codec<T> {
  const entries = Object.entries(fields) as [keyof T, Codec<T[keyof T]>][]
  return {
    size(value) {
      let size = 0
      for (const [name, codec] of entries) size += codec.size(value[name])
      return size
    },
    write(to, value) {
      for (const [name, codec] of entries) codec.write(to, value[name])
    },
    read(from) {
      const value = {} as T
      for (const [name, codec] of entries) value[name] = codec.read(from)
      return value
    },
  }
}

/** A value in one of several layouts, and the name of that layout. */
export type Variant<T> = { readonly [Kind in keyof T]: { readonly kind: Kind; readonly value: T[Kind] } }[keyof T]

/** A tag in one byte, then the layout that the tag stands for. */
/* @__NO_SIDE_EFFECTS__ */
export function variant<T>(kinds: {
  readonly [Kind in keyof T]: { readonly tag: number; readonly layout: Codec<T[Kind]> }
}): Codec<Variant<T>> {
  const of = (kind: keyof T) => kinds[kind]
  return {
    size: ({ kind, value }) => 1 + of(kind).layout.size(value),
    write(to, { kind, value }) {
      uint8.write(to, of(kind).tag)
      of(kind).layout.write(to, value)
    },
    read(from) {
      const tag = uint8.read(from)
      const kind = (Object.keys(kinds) as (keyof T)[]).find((each) => of(each).tag === tag)
      if (kind === undefined) throw new Misfit('an unknown tag')
      return { kind, value: of(kind).layout.read(from) }
    },
  }
}

/** A name of 1 to 255 bytes of UTF-8, after its length. Its form is checked where it is used. */
export const name: Codec<Uint8Array> = validated(sized(uint16), ({ length }) => length >= 1 && length <= MAX_NAME_BYTES)
