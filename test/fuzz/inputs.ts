// The inputs of the fuzzer: honest objects, damaged by a short list of edits. So fast-check makes thousands of inputs a
// second, and shrinks a failing input to the edit that matters.
import fc from 'fast-check'
import { type BlockReader, encodeBlock, parseBlock, type SealedBlock } from '../../src/index.ts'
import { type Codec, decode, encode } from '../../src/core/codec.ts'
import { SecretKey } from '../../src/core/secret.ts'

/** One kind of object, and all its readers. */
export interface Target {
  readonly name: string
  /** Honest objects. */
  readonly seeds: readonly Uint8Array[]
  /** The layouts of the seeds. An object that parses under one of them is also damaged field by field. */
  readonly layouts?: readonly Codec<never>[]
  /** Recomputes checksum, MAC and signatures, as someone who has the keys could. */
  readonly mend?: (bytes: Uint8Array) => Uint8Array
  /** Builds the whole object around an input, if the input is only a part that is sealed or signed with it. */
  readonly around?: (part: Uint8Array) => Uint8Array
  /** The functions that read such an object. */
  readonly reads: readonly ((bytes: Uint8Array) => unknown)[]
  /** Returns a name for an error that may come out beside a KeystrataError, such as that of a store. */
  readonly names?: (error: unknown) => string | undefined
  /** Whether every input is valid. Such a target checks what comes back. */
  readonly isTotal?: boolean
  /** Whether one input takes so long that a test run has time for a few. */
  readonly isSlow?: boolean
  /** How often a reader may copy its input, if that is more than usual. */
  readonly copies?: number
  /** How many bytes more than for an honest object a reader may allocate, if that is more than 1 MiB. */
  readonly slack?: number
  /** Whether an input is no object, but says what a store answers. Then a long one is nothing special. */
  readonly isScript?: boolean
  /** Whether pauses between tries end at once. */
  readonly isImpatient?: boolean
}

/** Returns a target for a block. It damages each part alone, and both parts together. */
export function blockTarget(name: string, reader: BlockReader, block: SealedBlock): Target {
  return {
    name,
    seeds: [encodeBlock(block), block.envelope, block.ciphertext],
    reads: [
      (envelope) => reader.open({ ...block, envelope }),
      (ciphertext) => reader.open({ ...block, ciphertext }),
      (bytes) => reader.open(parseBlock(bytes, block.label)),
    ],
  }
}

/** The parameters of an edit. Each kind uses those that it needs. */
interface Edit {
  readonly kind: Kind
  readonly at: number
  readonly size: number
  readonly value: number
  readonly noise: Uint8Array
}

const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 2 ** 53 - 1, 2 ** 53, 2 ** 63]

const edits = {
  flip: (bytes, { at, value }) =>
    bytes.map((byte, index) => (index === at % bytes.length ? byte ^ (1 << (value % 8)) : byte)),
  cut: (bytes, { at }) => bytes.subarray(0, at % bytes.length),
  extend: (bytes, { noise }) => joined(bytes, noise),
  remove: (bytes, { at, size }) => joined(bytes.subarray(0, at), bytes.subarray(at + size)),
  insert: (bytes, { at, noise }) => joined(bytes.subarray(0, at), noise, bytes.subarray(at)),
  repeat: (bytes, { at, size }) => joined(bytes.subarray(0, at + size), bytes.subarray(at)),
  overwrite: (bytes, { at, noise }) => joined(bytes.subarray(0, at), noise, bytes.subarray(at + noise.length)),
  fill: (bytes, { at, size, value }) => {
    const copy = new Uint8Array(bytes)
    return copy.fill(EDGES[value % EDGES.length]! & 0xff, at, at + size)
  },
  /** Overwrites 1, 2, 4 or 8 bytes with a number at a limit, as a count or a length. */
  number: (bytes, { at, size, value }) => {
    const width = 2 ** (size % 4)
    const number = new Uint8Array(8)
    new DataView(number.buffer).setBigUint64(0, BigInt(EDGES[value % EDGES.length]!))
    return joined(bytes.subarray(0, at), number.subarray(-width), bytes.subarray(at + width))
  },
  /** Copies a part of another seed to the same place. */
  splice: (bytes, { at, size, value }, seeds) => {
    const other = seeds[value % seeds.length]!
    return joined(bytes.subarray(0, at), other.subarray(at, at + size), bytes.subarray(at + size))
  },
  field: (bytes, edit, _, layouts) => withField(bytes, edit, layouts),
} satisfies Record<
  string,
  (bytes: Uint8Array, edit: Edit, seeds: readonly Uint8Array[], layouts: readonly Codec<never>[]) => Uint8Array
>
type Kind = keyof typeof edits

const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** Changes one field, under the first layout that fits. Returns the bytes unchanged if no layout fits. */
function withField(bytes: Uint8Array, edit: Edit, layouts: readonly Codec<never>[]): Uint8Array {
  for (const layout of layouts) {
    try {
      const tree: unknown = decode(layout, bytes, 'seed')
      return encode(layout, changed(tree, edit, { left: edit.at % leaves(tree) }) as never)
    } catch {
      continue
    }
  }
  return bytes
}

const isLeaf = (value: unknown): boolean =>
  typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof SecretKey

const leaves = (value: unknown): number =>
  isLeaf(value) ? 1 : 1 + Object.values(value as object).reduce((sum: number, field) => sum + leaves(field), 0)

/** Returns the tree with node number `left` changed. */
function changed(value: unknown, edit: Edit, count: { left: number }): unknown {
  if (count.left-- === 0) return otherThan(value, edit)
  if (isLeaf(value)) return value
  if (Array.isArray(value)) return value.map((element) => changed(element, edit, count))
  return Object.fromEntries(Object.entries(value as object).map(([name, field]) => [name, changed(field, edit, count)]))
}

function otherThan(value: unknown, { size, value: choice, noise }: Edit): unknown {
  if (typeof value === 'number') return [value + 1, value - 1, ...EDGES][choice % (EDGES.length + 2)]
  if (typeof value === 'boolean') return !value
  if (value instanceof Uint8Array) {
    const others = [
      new Uint8Array(0),
      noise,
      value.map((byte, index) => byte ^ (noise[index] ?? 0)),
      value.map(() => (choice & 1 ? 0 : 0xff)),
      value.subarray(1),
      joined(value, noise),
    ]
    return others[choice % others.length]
  }
  if (!Array.isArray(value)) return undefined
  const list: readonly unknown[] = value
  const others = [[], list.slice(1), [...list, ...list], list.toReversed(), Array.from({ length: size }, () => list[0])]
  return others[choice % others.length]
}

/** Returns the inputs of a target. One in eight is noise, with or without a header. Half of the others are mended. */
export function inputsOf({ seeds, layouts = [], mend }: Target): fc.Arbitrary<Uint8Array> {
  const longest = Math.max(...seeds.map(({ length }) => length))
  const noise = fc.uint8Array({ maxLength: 24 })
  const edit: fc.Arbitrary<Edit> = fc.record({
    kind: fc.constantFrom(...(Object.keys(edits) as Kind[])),
    // Prefers the first 64 bytes, where headers, counts and lengths are.
    at: fc.oneof(fc.nat(64), fc.nat(longest)),
    size: fc.oneof(fc.nat(16), fc.nat(longest)),
    value: fc.nat(1023),
    noise,
  })
  const damaged = fc
    .record({
      seed: fc.constantFrom(...seeds),
      list: fc.array(edit, { minLength: 1, maxLength: 5 }),
      mended: fc.boolean(),
    })
    .map(({ seed, list, mended }) => {
      let bytes = seed
      for (const each of list) bytes = bytes.length === 0 ? bytes : edits[each.kind](bytes, each, seeds, layouts)
      return mended && mend !== undefined ? mendOrLeave(mend, bytes) : bytes
    })
  const blind = fc
    .record({
      head: fc.constantFrom(new Uint8Array(0), ...seeds.map((seed) => seed.subarray(0, 48))),
      tail: fc.uint8Array({ maxLength: 2000 }),
    })
    .map(({ head, tail }) => joined(head, tail))
  return fc.oneof({ arbitrary: damaged, weight: 7 }, { arbitrary: blind, weight: 1 })
}

/** Mends bytes, or returns them as they are if they are too broken for it. */
function mendOrLeave(mend: (bytes: Uint8Array) => Uint8Array, bytes: Uint8Array): Uint8Array {
  try {
    return mend(bytes)
  } catch {
    return bytes
  }
}
