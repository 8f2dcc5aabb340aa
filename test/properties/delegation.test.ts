// A delegation rekeys exactly what its keyset rekeys, and every block still opens with the keyset. Any flipped bit of it is an
// error. The reader that was written from SPEC.md alone agrees on all of it.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import { delegate, type Delegation, openDelegation } from '../../src/fleet.ts'
import type { Encryption, Keyset } from '../../src/index.ts'
import { expectSame, failure, flipped, hex, makeKeyset, numRuns, patched, PASSWORD, sample } from '../fixtures.ts'
import { openKeyset } from '../spec-reader.ts'
import * as spec from '../spec-reader-fleet.ts'
import { delegationOf, ownerCard, sealOf, signedAgain } from '../vectors/make-delegation.ts'
import { keysetVectors, outcome } from '../vectors/vectors.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'

const runs = (usual: number, long: number) => ({ numRuns: numRuns(usual, long) })
const until = new Date(Date.now() + 365 * 86_400_000)
const fleet = await makeKeyset()
const theirFleet = openKeyset(fleet.export('storage'), PASSWORD)

describe('a delegation', () => {
  it('does not open with any bit flipped, and damage is malformed', async () => {
    const owner = (await makeKeyset()).regenerate()
    const [bytes, from] = [delegate(owner, fleet.card(), { until }), owner.card()]
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        const other = flipped(bytes, bit >> 3, bit & 7)
        await failure(() => openDelegation(other, fleet, { from }), 'malformed')
        expect(await outcome(() => spec.openDelegation(other, from.bytes, theirFleet, 0))).toBe('malformed')
      }),
      runs(60, 5000),
    )
  })

  it('is read alike by both readers, however its owner altered and signed it', async () => {
    const { export: stored, password } = keysetVectors().find(({ id }) => id === 'host-full')!
    const [ours, theirs] = [
      unlocked(plantedContents(), plantedMaster.copy(), undefined),
      openKeyset(Buffer.from(stored, 'hex'), password),
    ]
    const [from, whole, sealed] = [ownerCard(), delegationOf({ until: 8.64e15 }), sealOf({ until: 8.64e15 })]
    const seen = { ok: 0, refused: 0 }
    const change = fc.record({ where: fc.nat(2), at: fc.nat(), to: fc.nat(255) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 2 }), fc.nat(8), async (changes, cut) => {
        let bytes = signedAgain(whole)
        for (const { where, at, to } of changes) {
          const place = [at % 84, 84 + (at % 48), at % (84 + sealed.length)][where]!
          bytes = patched(bytes, place, [to])
        }
        if (cut === 0) bytes = concat(bytes.subarray(0, 200), bytes.subarray(-72))
        bytes = signedAgain(bytes)
        const results = await Promise.all([
          outcome(() => openDelegation(bytes, ours, { from }).dispose()),
          outcome(() => spec.openDelegation(bytes, from.bytes, theirs, Date.now())),
        ])
        expect(results[0]).toBe(results[1])
        seen[results[0] === 'ok' ? 'ok' : 'refused']++
      }),
      runs(60, 5000),
    )
    expect(seen.ok).toBeGreaterThan(0)
    expect(seen.refused).toBeGreaterThan(0)
  })

  it('rekeys exactly what the keyset rekeys, and every block still opens', async () => {
    const steps = fc.array(fc.constantFrom<Encryption>('none', 'x25519', 'hybrid'), { minLength: 1, maxLength: 3 })
    const first = fc.constantFrom<Encryption>('none', 'x25519', 'hybrid')
    const seen: Record<string, number> = {}
    await fc.assert(
      fc.asyncProperty(first, steps, fc.boolean(), async (encryption, regenerated, isAdopting) => {
        let keyset: Keyset = await makeKeyset({ encryption })
        const blocks = [await keyset.seal(sample(10))]
        if (isAdopting) {
          const other = await makeKeyset({ encryption })
          blocks.push(await other.seal(sample(12)))
          keyset = keyset.adopt(other)
        }
        for (const [i, next] of regenerated.entries()) {
          keyset = keyset.regenerate({ encryption: next })
          blocks.push(await keyset.seal(sample(20 + i)))
        }
        const strange = await makeKeyset()
        blocks.push(await strange.seal(sample(13)))
        const bytes = delegate(keyset, fleet.card(), { until })
        using delegation: Delegation = openDelegation(bytes, fleet, { from: keyset.card() })
        const theirs = spec.openDelegation(bytes, keyset.card().bytes, theirFleet, Date.now())
        for (const block of blocks) {
          const { label, envelope } = block
          const isCurrent = keyset.isCurrent(envelope)
          expect(delegation.isCurrent(envelope)).toBe(isCurrent)
          expect(spec.isCurrent(envelope, theirs, Date.now())).toBe(isCurrent)
          if (isCurrent) continue
          const code = await outcome(() => keyset.rekey(block))
          const ours = () => delegation.rekey({ label, envelope })
          for (const rekey of [ours, () => spec.rekey(envelope, label, theirs, Date.now())]) {
            expect(await outcome(rekey)).toBe(code)
            seen[code] = (seen[code] ?? 0) + 1
            if (code !== 'ok') continue
            const again = rekey()
            expect(hex(again.subarray(0, 48))).toBe(hex(keyset.rekey(block).subarray(0, 48)))
            const whole = { ...block, envelope: again }
            expectSame(await keyset.open(whole), await keyset.open(block))
          }
        }
      }),
      runs(12, 300),
    )
    expect(Object.keys(seen)).toEqual(expect.arrayContaining(['ok', 'key-not-found']))
  })
})
