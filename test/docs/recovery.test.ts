// The examples of docs/recovery.md run, and what it says is true.
import { describe, expect, it, vi } from 'vitest'
import encodeQR from 'qr'
import { type Card, changeKeyset, type Keyset, loadKeyset, saveKeyset } from '../../src/index.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  recoverKeyset,
  renewSlots,
  testSlot,
} from '../../src/recovery.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { deriveLogin, type Login, openProfile, type Profile } from '../../src/vault.ts'
import { ALICE, failure, makeKeyset, PASSWORD, resummed, sample } from '../fixtures.ts'
import { functionsOf, noting, quietly, writeExamples } from './guide.ts'

const { paths } = writeExamples(['recovery.md'])

interface RecoveryGuide {
  addWays(store: StateStore, keyset: Keyset, card: Card, prf: Uint8Array): Promise<{ code: string; parts: string[] }>
  sheetFor(code: string, store: string, keyset: Keyset): string
  drill(store: StateStore, typed: string): Promise<string>
  recover(
    store: StateStore,
    typed: { code: string } | { parts: string[] },
    sheet: { id: string; atLeast: string },
    nextPassword: string,
  ): Promise<Keyset>
  takeAway(store: StateStore, keyset: Keyset, id: string, keep: string[], nextPassword: string): Promise<Keyset>
  replaceKeyset(store: StateStore, old: Keyset, password: string, code: string): Promise<Keyset>
  signUp(login: Login, code: string): Promise<Profile>
  resetByCode(record: Uint8Array, code: string, next: Login): Promise<Profile>
  toMail(keyset: Keyset): string
  fromMail(pasted: string, fingerprint: string): Card
}

const sheetOf = ({ id, revision }: Keyset) => ({ id, atLeast: revision })

describe('docs/recovery.md', () => {
  it('says what is true, from the first slot to a new keyset', async () => {
    const functions = await functionsOf<RecoveryGuide>(paths)
    const { of, called } = noting(functions)
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(store, keyset)
    using partner = await makeKeyset()
    const prf = sample(32)
    const { code, parts } = await of.addWays(store, keyset, partner.card(), prf)
    const slots = await listSlots(store)
    expect(slots.map(({ kind }) => kind)).toEqual(['code', 'split', 'card', 'secret'])
    expect(slots[1]).toMatchObject({ needed: 3, parts: 5 })

    const sheet = of.sheetFor(code, 's3://backup', keyset)
    for (const text of [...code.split('-'), 's3://backup', keyset.id, keyset.revision]) expect(sheet).toContain(text)

    const printed: unknown[] = []
    const log = vi.spyOn(console, 'log').mockImplementation((line) => void printed.push(line))
    expect(await of.drill(store, code.toLowerCase())).toBe('Sheet in the safe opens the keyset')
    log.mockRestore()
    expect(printed).toEqual(slots.map(({ label, kind }) => `${label} (${kind})`))
    await failure(() => of.drill(store, parts[0]!), 'invalid-text')
    using secret = await deriveRecoveryKey({ secret: prf })
    expect((await testSlot(store, secret)).label).toBe('Passkey on the phone')

    const typed = [...sheet.matchAll(/<li>(\w{5})<\/li>/g)].map(([, group]) => group!.toLowerCase()).join(' ')
    using recovered = await of.recover(store, { code: typed }, sheetOf(keyset), 'the second')
    using byParts = await of.recover(store, { parts: parts.slice(2) }, sheetOf(recovered), 'the third')
    using third = await loadKeyset(store, 'the third')
    expect(third.revision).toBe(byParts.revision)
    await failure(
      () => of.recover(store, { code }, { id: keyset.id, atLeast: `9${keyset.revision.slice(1)}` }, 'x'),
      'rollback',
    )
    const few = await failure(() => of.recover(store, { parts: parts.slice(3) }, sheetOf(keyset), 'x'), 'invalid-text')
    expect(few.detail).toMatchObject({ reason: 'too-few' })
    const wrong = [parts[0]!, parts[1]!, parts[2]!.slice(1)]
    expect(await failure(() => deriveRecoveryKey({ parts: wrong }), 'invalid-text')).toMatchObject({
      detail: { part: 3 },
    })

    using kept = await recoverKeyset(store, partner, { from: keyset.card() })
    const keep = slots.filter(({ kind }) => kind !== 'card').map(({ id }) => id)
    using last = await of.takeAway(store, third, slots[2]!.id, keep, 'the fourth')
    await failure(() => recoverKeyset(store, partner, { from: keyset.card() }), 'key-not-found')
    await failure(() => changeKeyset(store, kept, (newest) => newest.regenerate()), 'wrong-password')
    await failure(async () => kept.open(await last.seal(sample(9))), 'key-not-found')
    expect((await listSlots(store)).map(({ id, isCurrent }) => [id, isCurrent])).toEqual(keep.map((id) => [id, true]))
    expect(await quietly(() => of.drill(store, code))).toBe('Sheet in the safe opens the keyset')

    const newCode = generateRecoveryCode()
    using again = await of.replaceKeyset(store, last, 'the fifth', newCode)
    expect((await listSlots(store)).map(({ label }) => label)).toEqual(['Sheet in the safe'])
    using newest = await of.recover(store, { code: newCode }, sheetOf(again), 'the sixth')
    expect(newest.id).toBe(again.id)
    using oldKey = await deriveRecoveryKey({ code })
    await failure(() => recoverKeyset(store, oldKey), 'key-not-found')
    await failure(() => testSlot(store, secret), 'key-not-found')

    using first = await deriveLogin(PASSWORD, ALICE)
    using next = await deriveLogin('the next', ALICE)
    using profile = await of.signUp(first, code)
    using reset = await of.resetByCode(profile.record, code, next)
    expect(openProfile(reset.record, next).revision).toBe(reset.revision)
    await of.resetByCode(reset.record, code, first)

    const mailed = of.toMail(keyset).replaceAll('\n', '\r\n> ')
    expect(of.fromMail(mailed, keyset.card().fingerprint)).toEqual(keyset.card())
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('is right about slots that must be renewed', async () => {
    const of = await functionsOf<RecoveryGuide>(paths)
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(store, keyset)
    using partner = await makeKeyset()
    const { code } = await of.addWays(store, keyset, partner.card(), sample(32))
    using changed = await changeKeyset(store, keyset, (newest) =>
      newest.changePassword('the second', { newMaster: true }),
    )
    expect(await quietly(() => of.drill(store, code))).toBe('Sheet in the safe must be renewed')
    await failure(() => of.addWays(store, changed, partner.card(), sample(32)), 'policy')
    expect(await renewSlots(store, changed)).toHaveLength(4)
    expect(await quietly(() => of.drill(store, code))).toBe('Sheet in the safe opens the keyset')
  })

  it('is right about a new keyset whose slots were not added again', async () => {
    const of = await functionsOf<RecoveryGuide>(paths)
    const store = memoryStateStore()
    using old = await makeKeyset()
    await saveKeyset(store, old)
    using partner = await makeKeyset()
    const { code } = await of.addWays(store, old, partner.card(), sample(32))
    using created = await makeKeyset()
    using adopted = created.adopt(old)
    await saveKeyset(store, adopted)
    await failure(() => renewSlots(store, adopted), 'policy')
    using key = await deriveRecoveryKey({ code })
    using opened = await recoverKeyset(store, key)
    expect([opened.id, opened.revision]).toEqual([old.id, old.revision])
  })

  it('is right about what the store can do', async () => {
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(store, keyset)
    using key = await deriveRecoveryKey({ code: generateRecoveryCode() })
    await addSlot(store, keyset, key, { label: 'mine' })
    const bytes = Buffer.from((await store.read('slots'))!.bytes)
    const before = { slots: bytes, keyset: (await store.read('keyset'))!.bytes }
    // It changes a label, and makes the checksum fit again.
    const altered = Buffer.from(bytes)
    altered.write('mind', bytes.indexOf('mine'))
    const summed = resummed(altered)
    const forging = memoryStateStore()
    await forging.write('keyset', 1, before.keyset)
    await forging.write('slots', 1, summed)
    expect((await listSlots(forging)).map(({ label }) => label)).toEqual(['mind'])
    await failure(() => recoverKeyset(forging, key), 'authentication-failed')

    using newer = await changeKeyset(store, keyset, (newest) => newest.regenerate())
    const late = memoryStateStore()
    await late.write('keyset', 1, before.keyset)
    await late.write('slots', 1, before.slots)
    await failure(() => recoverKeyset(late, key, { atLeast: newer.revision }), 'rollback')
  })

  it('is right about the revision on an old sheet', async () => {
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    using key = await deriveRecoveryKey({ code: generateRecoveryCode() })
    await saveKeyset(store, keyset)
    await addSlot(store, keyset, key, { label: 'Sheet' })
    // A keyset remembers 255 revisions.
    let newest = keyset
    for (let change = 1; change <= 260; change++) {
      newest = await newest.changePassword(PASSWORD)
      if (change % 130 === 0) await saveKeyset(store, newest)
    }
    using opened = await recoverKeyset(store, key, { atLeast: keyset.revision })
    expect(opened.revision).toBe(newest.revision)
  })

  it('is right about what fits one QR code', async () => {
    using keyset = await makeKeyset()
    const ecc = 'low'
    const text = (bytes: number) => 'a'.repeat(bytes)
    expect(encodeQR(text(2953), 'raw', { ecc })).toHaveLength(177 + 4)
    expect(() => encodeQR(text(2954), 'raw', { ecc })).toThrow()
    expect(keyset.card().bytes.length).toBeLessThan(2953)
    expect(keyset.export('storage').length).toBeGreaterThan(3900)
  })
})
