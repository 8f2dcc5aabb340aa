// The layouts of stored objects. micro-packed, an independent library, writes and reads the same layouts beside ours.
import fc from 'fast-check'
import * as P from 'micro-packed'
import { describe, expect, it } from 'vitest'
import {
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  list,
  name,
  optional,
  ownBytes,
  sized,
  rest,
  secret,
  struct,
  time,
  uint16,
  uint32,
  uint64,
  uint8,
  validated,
  variant,
  version,
  within,
} from '../../src/core/codec.ts'
import { KeystrataError } from '../../src/core/errors.ts'
import { type Role, SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure, hex, sample } from '../fixtures.ts'

const runs = { numRuns: process.env['SLOW'] === '1' ? 10_000 : 500 }
const anyBytes = (length: fc.IntegerConstraints | number) =>
  typeof length === 'number'
    ? fc.uint8Array({ minLength: length, maxLength: length })
    : fc.uint8Array({ minLength: length.min ?? 0, maxLength: length.max ?? 40 })

/** The same layout in both libraries, and values for it. */
interface Pair {
  readonly ours: Codec<unknown>
  readonly theirs: P.CoderType<unknown>
  readonly values: fc.Arbitrary<unknown>
}
const pair = <T>(ours: Codec<T>, theirs: P.CoderType<never>, values: fc.Arbitrary<T>): Pair => ({
  ours: ours,
  theirs: theirs as unknown as P.CoderType<unknown>,
  values,
})

const leaves: readonly Pair[] = [
  pair(uint8, P.U8 as never, fc.integer({ min: 0, max: 0xff })),
  pair(uint16, P.U16BE as never, fc.integer({ min: 0, max: 0xffff })),
  pair(uint32, P.U32BE as never, fc.integer({ min: 0, max: 0xffffffff })),
  pair(bool, P.bool as never, fc.boolean()),
  pair(bytes(7), P.bytes(7) as never, anyBytes(7)),
  pair(ownBytes(3), P.bytes(3) as never, anyBytes(3)),
  pair(sized(uint16), P.bytes(P.U16BE) as never, anyBytes({ max: 40 })),
]

/** Returns the result of a read: a value or an error. */
function outcome(read: () => unknown): { value: unknown } | { error: unknown } {
  try {
    return { value: read() }
  } catch (error) {
    return { error }
  }
}

/** Random layouts of both libraries: fields, lists and optional values, nested up to three deep. */
const layouts: fc.Arbitrary<Pair> = fc.letrec<{ layout: Pair; struct: Pair; list: Pair; optional: Pair }>((tie) => ({
  layout: fc.oneof({ maxDepth: 3 }, fc.constantFrom(...leaves), tie('struct'), tie('list'), tie('optional')),
  struct: fc.array(tie('layout'), { minLength: 1, maxLength: 4 }).map((fields) => {
    const named = (of: (field: Pair) => unknown) =>
      Object.fromEntries(fields.map((field, index) => [`field${index}`, of(field)]))
    return {
      ours: struct(named(({ ours }) => ours) as never),
      theirs: P.struct(named(({ theirs }) => theirs) as never) as unknown as P.CoderType<unknown>,
      values: fc.record(named(({ values }) => values) as Record<string, fc.Arbitrary<unknown>>, {
        noNullPrototype: true,
      }),
    }
  }),
  list: tie('layout').map(({ ours, theirs, values }) => ({
    ours: list(ours),
    theirs: P.array(P.U16BE, theirs) as unknown as P.CoderType<unknown>,
    values: fc.array(values, { maxLength: 4 }),
  })),
  optional: tie('layout').map(({ ours, theirs, values }) => ({
    ours: optional(ours),
    theirs: P.optional<unknown>(P.bool, theirs),
    values: fc.option(values, { nil: undefined }),
  })),
})).layout

describe('a layout', () => {
  it('gives the same bytes as in micro-packed, and reads them back', () => {
    const cases = layouts.chain((layout) => layout.values.map((value) => ({ ...layout, value })))
    fc.assert(
      fc.property(cases, ({ ours, theirs, value }) => {
        const written = encode(ours, value)
        expect(hex(written)).toBe(hex(theirs.encode(value)))
        expect(decode(ours, written, 'object')).toEqual(value)
        expect(theirs.decode(written)).toEqual(value)
      }),
      runs,
    )
  })

  it('refuses the bytes that micro-packed refuses, and reads all others in the same way', () => {
    fc.assert(
      fc.property(layouts, anyBytes({ max: 60 }), ({ ours, theirs }, given) => {
        const mine = outcome(() => decode(ours, given, 'object'))
        const other = outcome(() => theirs.decode(given))
        expect('error' in mine).toBe('error' in other)
        if ('error' in mine) expect((mine.error as KeystrataError).code).toBe('malformed')
        else expect(mine).toEqual(other)
      }),
      runs,
    )
  })

  it('is malformed if it is cut anywhere, or if anything follows', async () => {
    const layout = struct({ head: uint16, names: list(name), tail: optional(bytes(4)) })
    const written = encode(layout, { head: 7, names: [sample(3), sample(200)], tail: sample(4) })
    for (let length = 0; length < written.length; length++) {
      await failure(() => decode(layout, written.subarray(0, length), 'object'), 'malformed')
    }
    await failure(() => decode(layout, new Uint8Array([...written, 0]), 'object'), 'malformed')
  })
})

describe('a field', () => {
  it.each<[string, Codec<never>, readonly [value: unknown, bytes: string][]]>([
    [
      'uint64',
      uint64 as never,
      [
        [0, '0000000000000000'],
        [2 ** 32, '0000000100000000'],
        [2 ** 53 - 1, '001fffffffffffff'],
      ],
    ],
    ['version', version as never, [[1, '0000000000000001']]],
    ['time', time as never, [[8_640_000_000_000_000, '001eb208c2dc0000']]],
    ['name', name as never, [[sample(2), `0002${hex(sample(2))}`]]],
    ['fixed', fixed('KSTR') as never, [[undefined, '4b535452']]],
    [
      'rest',
      rest as never,
      [
        [sample(3), hex(sample(3))],
        [new Uint8Array(0), ''],
      ],
    ],
    [
      'within',
      within(uint8, 1, 3) as never,
      [
        [1, '01'],
        [3, '03'],
      ],
    ],
  ])('%s has these bytes', (_, codec, cases) => {
    for (const [value, expected] of cases) {
      expect(hex(encode(codec, value as never))).toBe(expected)
      expect(decode(codec, encode(codec, value as never), 'field')).toEqual(value)
    }
  })

  it.each<[string, Codec<never>, string]>([
    ['an integer beyond 2⁵³ − 1', uint64 as never, '0020000000000000'],
    ['a version of 0', version as never, '0000000000000000'],
    ['a time that no Date holds', time as never, '001eb208c2dc0001'],
    ['a flag of 2', bool as never, '02'],
    ['a number out of bounds', within(uint8, 1, 3) as never, '04'],
    ['an empty name', name as never, '0000'],
    ['a name of 256 bytes', name as never, `0100${'61'.repeat(256)}`],
    ['other fixed characters', fixed('KSTR') as never, '4b535453'],
    ['more elements than allowed', list(uint8, 2) as never, '0003010203'],
    ['an unknown tag', variant({ a: { tag: 1, layout: uint8 } }) as never, '0201'],
    ['a failed check', validated(uint8, (value) => value % 2 === 0) as never, '03'],
  ])('%s is malformed', async (_, codec, given) => {
    await failure(() => decode(codec, Uint8Array.from(Buffer.from(given, 'hex')), 'field'), 'malformed')
  })

  it.each<[string, Codec<never>, unknown]>([
    ['a number over its size', uint8 as never, 256],
    ['a negative number', uint32 as never, -1],
    ['a fraction', uint16 as never, 1.5],
    ['bytes of another length', bytes(3) as never, sample(4)],
    ['more elements than allowed', list(uint8, 2) as never, [1, 2, 3]],
    ['a value that fails its check', version as never, 0],
  ])('%s is not written', (_, codec, value) => {
    expect(() => encode(codec, value as never)).toThrow(RangeError)
  })

  it('of bytes is a view, or memory of its own where the layout says so', () => {
    const given = sample(8)
    const { view, own } = decode(struct({ view: bytes(4), own: ownBytes(4) }), given, 'object')
    given.fill(0)
    expect([view.every((byte) => byte === 0), hex(own)]).toEqual([true, hex(sample(8).subarray(4))])
  })

  it('is one of several layouts by its tag', () => {
    const layout = variant({ number: { tag: 1, layout: uint16 }, text: { tag: 7, layout: bytes(2) } })
    for (const [value, expected] of [
      [{ kind: 'number', value: 5 }, '010005'],
      [{ kind: 'text', value: sample(2) }, `07${hex(sample(2))}`],
    ] as const) {
      expect(hex(encode(layout, value))).toBe(expected)
      expect(decode(layout, encode(layout, value), 'object')).toEqual(value)
    }
  })

  it('of key material is a SecretKey, which is wiped if the rest of the object is malformed', async () => {
    const kept: SecretKey<Role>[] = []
    const layout = struct({ key: secret('block', 4), tail: validated(uint8, () => false) })
    const spied: Codec<unknown> = {
      ...layout,
      read(from) {
        try {
          return layout.read(from)
        } finally {
          kept.push(...from.keys)
        }
      },
    }
    await failure(() => decode(spied, new Uint8Array(5), 'object'), 'malformed')
    expect(kept).toHaveLength(1)
    await failure(() => withBytes(kept[0]!, hex), 'disposed')
    using key = decode(secret('block', 4), sample(4), 'object')
    expect(withBytes(key, hex)).toBe(hex(sample(4)))
  })
})
