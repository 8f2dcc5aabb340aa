// Row 12. The guesser has a file, sees the storage, and wants to know whether another user has the same file.
import { openWriter, type SealedBlock } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { expectSame, hex, sample } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const victim = await quickKeyset()
/** Has another dedup key. */
const guesser = await quickKeyset()
/** Has the same dedup key: the two keysets trust each other. */
const friend = await quickKeyset({ dedupWith: victim })
const file = sample(4096)

/** Counts the 8-byte runs of the second array that also occur in the first. */
function runsInCommon(one: Uint8Array, other: Uint8Array): number {
  const runs: Set<bigint> = new Set()
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  for (let at = 0; at + 8 <= a.length; at++) runs.add(a.readBigUInt64LE(at))
  let common = 0
  for (let at = 0; at + 8 <= b.length; at++) if (runs.has(b.readBigUInt64LE(at))) common++
  return common
}
/**
 * Returns what a store holds of a block, and the block's label. It leaves out the first 48 bytes of the envelope: they
 * hold the owner's id and are not secret.
 */
const stored = ({ label, envelope, ciphertext }: SealedBlock) =>
  Buffer.concat([Buffer.from(label, 'hex'), envelope.subarray(48), ciphertext])

describe('a guesser wants to confirm a known file', () => {
  it('equal files under two dedup keys have distinct ciphertexts and labels, and share no bytes', async () => {
    const [theirs, guess] = [
      await openWriter(victim.export('host')).seal(file),
      await openWriter(guesser.export('host')).seal(file),
    ]
    expect(guess.label).not.toBe(theirs.label)
    expect(hex(guess.ciphertext)).not.toBe(hex(theirs.ciphertext))
    expect(runsInCommon(stored(guess), stored(theirs))).toBe(0)
  })

  it('equal files under two dedup keys share no pack bytes and no member strings', async () => {
    const files = [file, sample(100, 2)]
    const [theirs, guess] = [
      await openWriter(victim.export('host')).pack(files),
      await openWriter(guesser.export('host')).pack(files),
    ]
    expect(runsInCommon(guess.content.subarray(12), theirs.content.subarray(12))).toBe(0)
    for (const member of guess.members) expect(theirs.members).not.toContain(member)
  })

  it('a guess in another mode reveals nothing about a scoped block, and blocks in mode off never match', async () => {
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

  it('a holder of the dedup key can confirm a file, and in global mode anybody can: documented', async () => {
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
