// Row 12. He has a file, sees the storage, and would like to know whether somebody else has it too.
import { openWriter, type SealedBlock } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { expectSame, hex, sample } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const victim = await quickKeyset()
/** Another dedup key. */
const guesser = await quickKeyset()
/** The same dedup key: they trust each other. */
const friend = await quickKeyset({ dedupWith: victim })
const file = sample(4096)

/** How many runs of 8 bytes of one are somewhere in the other. */
function runsInCommon(one: Uint8Array, other: Uint8Array): number {
  const runs: Set<bigint> = new Set()
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  for (let at = 0; at + 8 <= a.length; at++) runs.add(a.readBigUInt64LE(at))
  let common = 0
  for (let at = 0; at + 8 <= b.length; at++) if (runs.has(b.readBigUInt64LE(at))) common++
  return common
}
/** What a store holds of a block, and its name; the two owners' ids, and all that is 0, are no secret. */
const stored = ({ label, envelope, ciphertext }: SealedBlock) =>
  Buffer.concat([Buffer.from(label, 'hex'), envelope.subarray(48), ciphertext])

describe('a guesser wants to confirm a known file', () => {
  it('equal files under two dedup keys have distinct ciphertexts, labels, and nothing in common', async () => {
    const [theirs, guess] = [
      await openWriter(victim.export('host')).seal(file),
      await openWriter(guesser.export('host')).seal(file),
    ]
    expect(guess.label).not.toBe(theirs.label)
    expect(hex(guess.ciphertext)).not.toBe(hex(theirs.ciphertext))
    expect(runsInCommon(stored(guess), stored(theirs))).toBe(0)
  })

  it('nor have equal packs of equal files, and the strings that open them', async () => {
    const files = [file, sample(100, 2)]
    const [theirs, guess] = [
      await openWriter(victim.export('host')).pack(files),
      await openWriter(guesser.export('host')).pack(files),
    ]
    expect(runsInCommon(guess.content.subarray(12), theirs.content.subarray(12))).toBe(0)
    for (const member of guess.members) expect(theirs.members).not.toContain(member)
  })

  it('a guess in another mode tells nothing about a scoped block, and off meets nothing at all', async () => {
    const theirs = await openWriter(victim.export('host')).seal(file)
    for (const dedup of ['global', 'off'] as const) {
      const guess = await openWriter(guesser.export('host'), { dedup }).seal(file)
      expect(runsInCommon(stored(guess), stored(theirs))).toBe(0)
    }
    const [one, two] = [
      await openWriter(victim.export('host'), { dedup: 'off' }).seal(file),
      await openWriter(victim.export('host'), { dedup: 'off' }).seal(file),
    ]
    expect(runsInCommon(one.ciphertext, two.ciphertext)).toBe(0)
  })

  it('who has the dedup key can, and in global mode everybody: documented', async () => {
    const [theirs, same] = [
      await openWriter(victim.export('host')).seal(file),
      await openWriter(friend.export('host')).seal(file),
    ]
    expectSame(same.ciphertext, theirs.ciphertext)
    expect(same.label).not.toBe(theirs.label)
    const [open, guess] = [
      await openWriter(victim.export('host'), { dedup: 'global' }).seal(file),
      await openWriter(guesser.export('host'), { dedup: 'global' }).seal(file),
    ]
    expectSame(guess.ciphertext, open.ciphertext)
    expect(guess.label).not.toBe(open.label)
  })
})
