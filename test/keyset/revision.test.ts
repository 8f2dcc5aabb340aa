import fc from 'fast-check'
import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encode, decode } from '../../src/core/codec.ts'
import { SecretKey } from '../../src/core/secret.ts'
import {
  assertDescends,
  createRevision,
  type Descent,
  descendsFrom,
  history,
  historyAfter,
  parseRevision,
  reachesTo,
  type Revision,
  revisionText,
} from '../../src/keyset/revision.ts'
import { failure, hex, numRuns, sample, withRandomness } from '../fixtures.ts'

const id = (byte: number) => new Uint8Array(16).fill(byte)
const at = (version: number, byte: number): Revision => ({ version, id: id(byte) })
const keysetAt = (version: number, byte: number, past: readonly Revision[] = []): Descent => ({
  version,
  revision: id(byte),
  history: past,
})
const texts = (revisions: readonly Revision[]) => revisions.map(revisionText)

describe('the text of a revision', () => {
  it('is the version, a hyphen, and 32 hex digits', () => {
    expect(revisionText(at(12, 0xab))).toBe(`12-${'ab'.repeat(16)}`)
  })

  it('parses to the revision that it was made of', () => {
    const versions = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(versions, fc.uint8Array({ minLength: 16, maxLength: 16 }), (version, bytes) => {
        const text = revisionText({ version, id: new Uint8Array(bytes) })
        expect(revisionText(parseRevision(text, 'atLeast'))).toBe(text)
      }),
      { numRuns: numRuns(200, 5000) },
    )
  })

  const digits = 'ab'.repeat(16)
  it.each([
    '',
    '-',
    digits,
    `-${digits}`,
    `0-${digits}`,
    `01-${digits}`,
    `+1-${digits}`,
    `1.5-${digits}`,
    `1e3-${digits}`,
    ` 1-${digits}`,
    `1-${digits} `,
    `1-${digits.toUpperCase()}`,
    `1-${digits}00`,
    `1-${digits.slice(2)}`,
    `1--${digits}`,
    `1-${digits}-1`,
    `9007199254740992-${digits}`,
    1,
    null,
    undefined,
    { toString: () => `1-${digits}` },
  ])('refuses %j with a TypeError that names the option', (text) => {
    expect(() => parseRevision(text as never, 'atLeast')).toThrow(TypeError)
    expect(() => parseRevision(text as never, 'atLeast')).toThrow('atLeast')
  })
})

describe('the revision of a version', () => {
  const master = new SecretKey('master', sample(32, 7))
  const contents = sample(500)

  it('is the HMAC of SPEC §9.2', () => {
    // Computed here with node:crypto, from the formula in SPEC §9.2.
    const label = 'keystrata/v1/revision'
    const info = Buffer.concat([Buffer.from([0, 0, 0, label.length]), Buffer.from(label), Buffer.from([0, 32])])
    const key = Buffer.from(hkdfSync('sha512', sample(32, 7), new Uint8Array(0), info, 32))
    const random = sample(32, 8)
    const digest = createHash('sha256').update(contents).digest()
    const expected = createHmac('sha256', key).update(random).update(digest).digest().subarray(0, 16)
    expect(hex(withRandomness([random], () => createRevision(master, contents)))).toBe(hex(expected))
  })

  it('differs on two machines that draw the same random bytes, unless the contents are the same too', () => {
    const draw = (bytes: Uint8Array) => hex(withRandomness([new Uint8Array(32)], () => createRevision(master, bytes)))
    expect(draw(contents)).toBe(draw(contents))
    expect(draw(contents)).not.toBe(draw(contents.subarray(1)))
  })

  it('differs every time with fresh random bytes', () => {
    expect(hex(createRevision(master, contents))).not.toBe(hex(createRevision(master, contents)))
  })
})

describe('a history', () => {
  it('has the newest first, and equal versions in the order of their bytes', () => {
    const mine = keysetAt(3, 0x33, [at(2, 0x22), at(1, 0x11)])
    const theirs = keysetAt(3, 0x31, [at(2, 0x2f), at(1, 0x11)])
    const expected = texts([at(3, 0x31), at(3, 0x33), at(2, 0x22), at(2, 0x2f), at(1, 0x11)])
    expect(texts(historyAfter(mine, theirs))).toEqual(expected)
    expect(texts(historyAfter(theirs, mine))).toEqual(expected)
  })

  it('keeps the newest 255', () => {
    let keyset = keysetAt(1, 1)
    for (let version = 2; version <= 300; version++) {
      keyset = { version, revision: id(version % 256), history: historyAfter(keyset) }
    }
    expect(keyset.history).toHaveLength(255)
    expect([keyset.history[0]!.version, keyset.history.at(-1)!.version]).toEqual([299, 45])
    expect(decode(history, encode(history, keyset.history), 'keyset')).toEqual(keyset.history)
  })

  it('always has the revisions of both keysets that were merged', () => {
    const long = keysetAt(
      401,
      0x99,
      Array.from({ length: 255 }, (_, index) => at(400 - index, index)),
    )
    for (const merged of [historyAfter(keysetAt(1, 7), long), historyAfter(long, keysetAt(1, 7))]) {
      expect(merged).toHaveLength(255)
      expect([texts(merged)[0], texts(merged).at(-1)]).toEqual(texts([at(401, 0x99), at(1, 7)]))
      // What lies between is not known, so it is not called forked.
      const keyset = { version: 402, revision: id(1), history: merged }
      expect(() => assertDescends(keyset, at(50, 1))).not.toThrow()
      expect(decode(history, encode(history, merged), 'keyset')).toEqual(merged)
    }
  })

  it.each([
    ['out of order', [at(1, 1), at(2, 2)]],
    ['with equal versions out of order', [at(2, 2), at(2, 1)]],
    ['with an entry twice', [at(2, 2), at(2, 2)]],
  ])('is malformed %s', async (_, entries) => {
    const bytes = new Uint8Array(2 + 24 * entries.length)
    bytes[1] = entries.length
    for (const [index, entry] of entries.entries()) bytes.set(encode(history, [entry]).subarray(2), 2 + 24 * index)
    await failure(() => decode(history, bytes, 'keyset'), 'malformed')
  })
})

describe('a floor', () => {
  const keyset = keysetAt(4, 0x44, [at(3, 0x33), at(2, 0x22), at(1, 0x11)])

  it.each([at(4, 0x44), at(3, 0x33), at(1, 0x11)])('accepts the keyset itself, and what descends from it', (floor) => {
    expect(() => assertDescends(keyset, floor)).not.toThrow()
  })

  it('refuses an older keyset as rollback, also one of another branch', async () => {
    await failure(() => assertDescends(keyset, at(5, 0x44)), 'rollback')
    const error = await failure(() => assertDescends(keyset, at(5, 0x55)), 'rollback')
    expect(error.detail).toEqual({ revision: `4-${'44'.repeat(16)}`, atLeast: `5-${'55'.repeat(16)}` })
  })

  it.each([at(4, 0x43), at(3, 0x34), at(2, 0x44), at(1, 0)])('refuses another branch as forked', async (floor) => {
    await failure(() => assertDescends(keyset, floor), 'forked')
  })

  it('compares versions alone where the history does not reach', async () => {
    const past = Array.from({ length: 255 }, (_, index) => at(400 - index, index))
    const long = keysetAt(401, 0x99, past)
    expect([past.at(-1)!.version, past[252]!.version]).toEqual([146, 148])
    for (const version of [1, 145, 146, 147, 148]) expect(() => assertDescends(long, at(version, 1))).not.toThrow()
    await failure(() => assertDescends(long, at(149, 1)), 'forked')
    await failure(() => assertDescends(long, at(401, 1)), 'forked')
    await failure(() => assertDescends(long, at(402, 1)), 'rollback')
    expect(reachesTo(long, at(148, 1))).toBe(false)
    expect(reachesTo(long, at(149, 1))).toBe(true)
  })

  it('never reports a descendant, whatever was changed and merged on the way', () => {
    // Each step changes one of three branches, or merges another into it. The record of ancestors is kept apart.
    const step = fc.record({ branch: fc.nat(2), from: fc.nat(2) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        let next = 0
        const fresh = () => new Uint8Array(16).map((_, index) => (index < 4 ? next >>> (8 * index) : 0))
        const branches = Array.from({ length: 3 }, () => ({ keyset: keysetAt(1, 0), ancestors: [at(1, 0)] }))
        for (const { branch, from } of steps) {
          const [into, other] = [branches[branch]!, branches[from]!]
          next++
          const version = Math.max(into.keyset.version, other.keyset.version) + 1
          const keyset = { version, revision: fresh(), history: historyAfter(into.keyset, other.keyset) }
          const ancestors = [...into.ancestors, ...other.ancestors, { version, id: keyset.revision }]
          branches[branch] = {
            keyset,
            ancestors: [...new Map(ancestors.map((each) => [revisionText(each), each])).values()],
          }
        }
        for (const { keyset, ancestors } of branches) {
          for (const ancestor of ancestors) expect(() => assertDescends(keyset, ancestor)).not.toThrow()
          const known = new Set(ancestors.map(revisionText))
          for (const other of branches.flatMap((each) => each.ancestors)) {
            if (!known.has(revisionText(other))) expect(descendsFrom(keyset, other)).toBe(false)
          }
        }
      }),
      { numRuns: numRuns(30, 300) },
    )
  })
})
