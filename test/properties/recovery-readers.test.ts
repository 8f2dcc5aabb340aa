// The library and the reader that was written from SPEC.md alone must agree on every text and every object of SPEC §20, also
// on those changed by somebody who has all keys. The inputs are frozen vectors, changed in a few places.
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { concat, u16 } from '../../src/core/bytes.ts'
import { insidesOf, type Keyset, unlocked } from '../../src/keyset/keyset.ts'
import { dearmor, deriveRecoveryKey, recoverKeyset } from '../../src/recovery.ts'
import { shownSlot } from '../../src/recovery/slots.ts'
import { combineParts, parseRecoveryCode } from '../../src/recovery/split.ts'
import { parseSlots, sealSlot } from '../../src/recovery/stored-slots.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { hex, makeKeyset, numRuns, patched, resummed } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import * as spec from '../spec-reader-recovery.ts'
import { adminCard, RECOVERY_CODE } from '../vectors/make-profile.ts'
import * as make from '../vectors/make-slots.ts'
import { plantedCards } from '../vectors/planted-cards.ts'
import { armorVectors, codeVectors, outcome, partsVectors } from '../vectors/vectors.ts'

const runs = (usual: number, long: number) => ({ numRuns: numRuns(usual, long) })

/** What both gave, how often. A property that only ever sees refusals proves little. */
const seen: Map<string, number> = new Map()
afterAll(() => seen.clear())

/** Runs the two readers, and compares what they return, or the names of their errors. */
async function agree(what: string, ours: () => unknown, theirs: () => unknown): Promise<void> {
  const run = async (read: () => unknown) => {
    let value: unknown
    const code = await outcome(async () => (value = await read()))
    return { code, value }
  }
  const [one, other] = [await run(ours), await run(theirs)]
  expect(one, what).toEqual(other)
  const name = `${what} ${one.code === 'ok' ? 'ok' : 'refused'}`
  seen.set(name, (seen.get(name) ?? 0) + 1)
}
function expectBoth(what: string): void {
  for (const result of ['ok', 'refused']) expect(seen.get(`${what} ${result}`) ?? 0, result).toBeGreaterThan(0)
}

const PIECES = [
  ...['\u0085', '\ufeff', '\u2028', '\u180e', '\u00ad', '\u1680', '\ud83d', '\u0308', '\u0000'],
  ...['=', '-', '>', '|', '_', '+', '/', '==', ' ', '«', '•', '\u2212'],
  ...[
    'S1NUUg',
    'BEGIN KEYSTRATA ',
    'END KEYSTRATA ',
    'SLOT',
    'A',
    'é',
    'ß',
    'ſ',
    'ı',
    '¹',
    'Ⅰ',
    '٣',
    '𝟎',
    'ﬁ',
    'U',
    'O',
    'l',
  ],
]
const piece = fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 2 }))
const edit = fc.record({ at: fc.nat(), cut: fc.nat({ max: 3 }), put: fc.option(piece, { nil: '' }) })
const edits = fc.array(edit, { maxLength: 3 })
function edited(text: string, all: readonly { at: number; cut: number; put: string }[]): string {
  return all.reduce((now, { at, cut, put }) => {
    const from = at % (now.length + 1)
    return now.slice(0, from) + put + now.slice(from + cut)
  }, text)
}

describe('both readers agree', () => {
  it('on text forms of objects', async () => {
    const texts = armorVectors().filter(({ text }) => text.length < 20_000)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...texts), edits, async ({ text }, all) => {
        const given = edited(text, all)
        await agree(
          'armor',
          () => hex(dearmor(given)),
          () => hex(spec.dearmor(given)),
        )
      }),
      runs(1000, 100_000),
    )
    expectBoth('armor')
  })

  it('on codes and parts of codes', async () => {
    const sets = fc.constantFrom(...partsVectors().filter(({ parts }) => parts.length > 0))
    const codes = fc.constantFrom(...codeVectors())
    await fc.assert(
      fc.asyncProperty(codes, sets, fc.nat(), fc.boolean(), edits, async ({ text }, { parts }, at, isWhole, all) => {
        const code = edited(text, all)
        await agree(
          'code',
          () => parseRecoveryCode(code),
          () => spec.parseRecoveryCode(code),
        )
        const given = parts.with(at % parts.length, isWhole ? parts[0]! : edited(parts[at % parts.length]!, all))
        const ours = async () => (await combineParts(given)).code
        await agree('parts', ours, () => spec.combineParts(given))
      }),
      runs(1000, 100_000),
    )
    for (const what of ['code', 'parts']) expectBoth(what)
  })

  it('on recovery slots', async () => {
    const keyset = await makeKeyset()
    const owner = make.slotsOwnerOf(keyset)
    const [code, secret] = [await make.holderOf(RECOVERY_CODE), await make.holderOf(0x17)]
    const facts = [
      make.factsOf(make.keyTarget('code', code, owner)),
      make.factsOf(make.splitTarget(secret, owner, 2, 3)),
      make.factsOf({ kind: 'card', value: adminCard }),
    ]
    const whole = make.slotsWith(owner, ...facts)
    const slots = facts.map((one) => make.slotBytes(sealSlot(owner, one)))
    const stored = keyset.export('storage')
    const from = keyset.card()
    const openers: readonly (readonly [unknown, spec.By])[] = [
      [await deriveRecoveryKey({ code: RECOVERY_CODE }), { recoveryKey: spec.recoveryKeyOfCode(RECOVERY_CODE) }],
      [
        await deriveRecoveryKey({ secret: new Uint8Array(32).fill(0x17) }),
        { recoveryKey: spec.recoveryKeyOf(Buffer.alloc(32, 0x17), 'secret') },
      ],
      [
        unlocked(plantedContents(), plantedMaster.copy(), undefined),
        { cards: plantedCards().map(({ pair }) => pair), from: from.fingerprint },
      ],
    ]
    /** Changes a byte of one slot, near its start, in the header of its SEAL, or anywhere; or replaces its SEAL. */
    const change = fc.record({ slot: fc.nat(2), where: fc.nat(3), at: fc.nat(), to: fc.nat(255) })
    function changed(
      all: Uint8Array[],
      { slot, where, at, to }: { slot: number; where: number; at: number; to: number },
    ) {
      const bytes = all[slot]!
      const seal = bytes.length - 1728
      if (where === 3) return all.with(slot, concat(bytes.subarray(0, seal), slots[to % 3]!.subarray(-1728)))
      const place = [at % 44, seal + (at % 48), at % bytes.length][where]!
      return all.with(slot, patched(bytes, place, [where === 1 ? to % 3 : to]))
    }
    const signed = fc.constantFrom('all', 'all', 'all', 'mac', 'checksum')
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 2 }),
        fc.option(fc.record({ at: fc.nat(), to: fc.nat(4) }), { freq: 3 }),
        fc.subarray([0, 1, 2], { minLength: 1 }),
        signed,
        async (changes, header, chosen, by) => {
          const parts = changes.reduce<Uint8Array[]>(changed, slots)
          const body = concat(...chosen.map((index) => parts[index]!))
          let bytes = concat(whole.subarray(0, 48), u16(chosen.length), body, whole.subarray(-136))
          if (header !== null) bytes = patched(bytes, header.at % 50, [header.to])
          if (by === 'all') bytes = make.slotsResigned(bytes, owner)
          bytes = by === 'mac' ? make.slotsRemacked(bytes, owner.master) : resummed(bytes)
          const listed = () => {
            const parsed = parseSlots(bytes)
            return parsed.slots.map((one) => {
              const { id, label, created, needed, parts: n } = shownSlot(parsed.header.ownerId, one.facts, true)
              return [id, label, created.getTime(), needed, n]
            })
          }
          const theirs = () =>
            spec.parseSlots(bytes).slots.map(({ id, label, created, k, n }) => [hex(id), label, created, k, n])
          await agree('form', listed, theirs)
          const store = memoryStateStore()
          await store.write('slots', 1, bytes)
          await store.write('keyset', 1, stored)
          for (const [handle, opener] of openers) {
            const ours = async () => {
              using opened = await recoverKeyset(
                store,
                handle as Keyset,
                ('cards' in opener ? { from } : {}) as { from: typeof from },
              )
              return make.masterText(insidesOf(opened, 'keyset').master)
            }
            const opened = () => hex(spec.openByRecovery({ slots: [bytes], keyset: [stored] }, opener).M)
            await agree('open', ours, opened)
          }
        },
      ),
      runs(200, 2000),
    )
    for (const what of ['form', 'open']) expectBoth(what)
  })
})
