// Row 29. The store, or whoever may write to it, wants a person who recovers to take its own keyset for theirs, or wants to
// be sealed to. Somebody had a slot and lost it, or found a sheet or too few parts.
import { combine } from 'shamir-secret-sharing'
import { describe, expect, it } from 'vitest'
import { allocate, concat, copyOf } from '../../src/core/bytes.ts'
import { cardHolderOf } from '../../src/core/card.ts'
import { codeCheck, fromLetters, toLetters } from '../../src/core/code.ts'
import { keyIdOf } from '../../src/core/wrap.ts'
import { recoveryHolderOf } from '../../src/core/recovery-holder.ts'
import { changeKeyset, type Keyset, saveKeyset } from '../../src/index.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  type RecoveryKey,
  recoverKeyset,
  removeSlot,
  renewSlots,
  splitRecoveryCode,
  testSlot,
} from '../../src/recovery.ts'
import type { SlotFacts, StoredSlot } from '../../src/recovery/layout.ts'
import { combineParts } from '../../src/recovery/split.ts'
import {
  encodeSlots,
  ownershipMessage,
  parseSlots,
  sealSlot,
  type SlotsOwner,
} from '../../src/recovery/stored-slots.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { CHEAP, failure, flipped, hex, KeepingStore, newestBytes, PASSWORD, quickly, resummed } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { quickKeyset } from './known.ts'

withoutPauses()

const [victim, second, evil, friend] = await Promise.all([quickKeyset(), quickKeyset(), quickKeyset(), quickKeyset()])
const code = generateRecoveryCode()
const [victimKey, evilKey] = await Promise.all([
  deriveRecoveryKey({ code }),
  deriveRecoveryKey({ code: generateRecoveryCode() }),
])

async function stored(of: Keyset = victim): Promise<KeepingStore> {
  const store = new KeepingStore()
  await saveKeyset(store, of)
  await addSlot(store, of, victimKey, { label: 'Sheet' })
  await addSlot(store, of, friend.card(), { label: 'Friend' })
  return store
}

/** What somebody has who has all keys of a keyset. */
function ownerOf(of: Keyset): SlotsOwner {
  const holder = cardHolderOf(of, 'keyset', 'an attack')
  const { contents, master } = insidesOf(of, 'keyset')
  return { id: contents.id, card: holder.keys, adopted: [], master, sign: (message) => holder.sign(message) }
}

const factsFor = (by: RecoveryKey, keyset: Keyset, over: Partial<SlotFacts> = {}): SlotFacts => {
  const holder = recoveryHolderOf(by, 'by')
  const value = { keys: holder.keys, signature: holder.sign(ownershipMessage(ownerOf(keyset).card)) }
  return { created: 0, label: Buffer.from('Sheet'), to: { kind: 'code', value }, ...over }
}

/** Returns a store with these objects, as a store could return them. */
async function storeOf(objects: Readonly<Record<string, Uint8Array>>): Promise<StateStore> {
  const store = memoryStateStore()
  for (const [name, bytes] of Object.entries(objects)) await store.write(name, 1, bytes)
  return store
}

const newMaster = (store: StateStore, of: Keyset): Promise<Keyset> =>
  quickly(() => changeKeyset(store, of, (newest) => newest.changePassword('next', { newMaster: true, costs: CHEAP })))

describe('the store, which wants its own keyset to be taken for the person’s own', () => {
  it('seals its master key to the public keys of a slot, and cannot sign as the recovery key', async () => {
    const slots = parseSlots(await newestBytes(await stored(), 'slots'))
    const { facts } = slots.slots[0]!
    const forgery = encodeSlots(ownerOf(evil), [sealSlot(ownerOf(evil), facts)])
    const store = await storeOf({ keyset: evil.export('storage'), slots: forgery })
    await failure(() => recoverKeyset(store, victimKey), 'authentication-failed')
    await failure(() => testSlot(store, victimKey), 'authentication-failed')
  })

  it('signs by a key of its own, in the place of the recovery key', async () => {
    const { keys } = recoveryHolderOf(victimKey, 'key')
    const own = recoveryHolderOf(evilKey, 'key')
    const signature = own.sign(ownershipMessage(ownerOf(evil).card))
    for (const signing of [keys.signing, own.keys.signing]) {
      const to = { kind: 'code', value: { keys: { ...keys, signing }, signature } } as const
      const facts = factsFor(evilKey, evil, { to })
      const slots = encodeSlots(ownerOf(evil), [sealSlot(ownerOf(evil), facts)])
      const store = await storeOf({ keyset: evil.export('storage'), slots })
      await failure(() => recoverKeyset(store, victimKey), 'authentication-failed')
    }
  })

  it('calls the slot one to a card', async () => {
    const { facts } = parseSlots(await newestBytes(await stored(), 'slots')).slots[0]!
    const sealed = sealSlot(ownerOf(evil), facts)
    const asCard = { ...facts, to: { kind: 'card', value: friend.card().bytes } } as const
    for (const slot of [{ ...sealed, facts: asCard }, sealed]) {
      const slots = encodeSlots(ownerOf(evil), [slot])
      await failure(
        async () => recoverKeyset(await storeOf({ keyset: evil.export('storage'), slots }), victimKey),
        'authentication-failed',
      )
    }
  })

  it('seals its master key to the card of a friend: the friend expects the card of the owner', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, evil)
    await addSlot(store, evil, friend.card(), { label: 'Friend' })
    await failure(() => recoverKeyset(store, friend, { from: victim.card() }), 'key-changed')
  })

  it('offers a keyset of its own under the id of the victim', async () => {
    const { id } = ownerOf(victim)
    const owner = { ...ownerOf(evil), id }
    const { facts } = parseSlots(await newestBytes(await stored(), 'slots')).slots[0]!
    const slots = encodeSlots(owner, [sealSlot(owner, facts)])
    for (const keyset of [evil, victim]) {
      const store = await storeOf({ keyset: keyset.export('storage'), slots })
      await failure(() => recoverKeyset(store, victimKey), 'authentication-failed', 'key-not-found')
    }
  })
})

describe('the store, which swaps the slots of two keysets of one person', () => {
  it('gives the slots of one beside the keyset of the other', async () => {
    const [one, other] = [await stored(victim), await stored(second)]
    const mixed = await storeOf({ keyset: await newestBytes(one, 'keyset'), slots: await newestBytes(other, 'slots') })
    await failure(() => recoverKeyset(mixed, victimKey), 'key-not-found')
    await failure(() => recoverKeyset(mixed, friend, { from: victim.card() }), 'key-not-found')
  })

  it('swaps both: the floor notices', async () => {
    const other = await stored(second)
    await failure(() => recoverKeyset(other, victimKey, { atLeast: victim.revision }), 'forked')
    await failure(() => recoverKeyset(other, friend, { from: victim.card() }), 'key-changed')
  })

  it('puts a slot of one into the slots of the other, or the sealed key of one slot into another', async () => {
    const [one, other] = [await stored(victim), await stored(second)]
    const [mine, theirs] = [one, other].map((store) => newestBytes(store, 'slots'))
    const [a, b] = [parseSlots(await mine!), parseSlots(await theirs!)]
    const owner = ownerOf(victim)
    const rows: readonly (readonly StoredSlot[])[] = [
      [b.slots[0]!],
      [{ facts: a.slots[0]!.facts, sealed: b.slots[0]!.sealed }],
      [{ facts: { ...a.slots[0]!.facts, label: Buffer.from('Sheet of somebody else') }, sealed: a.slots[0]!.sealed }],
      [{ facts: { ...a.slots[0]!.facts, created: 5 }, sealed: a.slots[0]!.sealed }],
    ]
    for (const slots of rows) {
      // Even if it could sign and authenticate them.
      const store = await storeOf({ keyset: await newestBytes(one, 'keyset'), slots: encodeSlots(owner, slots) })
      await failure(() => recoverKeyset(store, victimKey), 'authentication-failed')
    }
  })
})

describe('the store, which wants the next master key to be sealed to itself', () => {
  it('adds a slot of its own before the owner renews: it is never sealed to', async () => {
    const store = await stored()
    const { version, bytes } = (await store.read('slots'))!
    const { slots } = parseSlots(bytes)
    const changed = await newMaster(store, victim)
    const own = sealSlot(ownerOf(evil), factsFor(evilKey, victim))
    const forged = { ...ownerOf(evil), id: ownerOf(victim).id }
    await store.write('slots', version + 1, encodeSlots(forged, [...slots, own]))
    await failure(() => renewSlots(store, changed), 'authentication-failed')
    const renewed = await renewSlots(store, changed, { discardDamaged: true })
    expect(renewed.map(({ label }) => label)).toEqual(['Sheet', 'Friend'])
    await failure(() => testSlot(store, evilKey), 'key-not-found')
    expect(await testSlot(store, victimKey)).toMatchObject({ isCurrent: true })
  })

  it('replaces the public keys of a slot, also while nothing was renewed', async () => {
    const store = await stored()
    const { version, bytes } = (await store.read('slots'))!
    const { x25519 } = recoveryHolderOf(victimKey, 'key').keys
    const at = Buffer.from(bytes).indexOf(Buffer.from(x25519))
    const keys = recoveryHolderOf(evilKey, 'key').keys
    const swapped = copyOf(bytes)
    swapped.set(concat(keys.x25519, keys.mlKem1024, keys.signing), at)
    await store.write('slots', version + 1, swapped)
    const changed = await newMaster(store, victim)
    await failure(() => renewSlots(store, changed), 'malformed')
    await store.write('slots', version + 2, resummed(swapped))
    await failure(() => renewSlots(store, changed), 'authentication-failed')
    await renewSlots(store, changed, { discardDamaged: true })
    await failure(() => testSlot(store, evilKey), 'key-not-found')
    expect(await testSlot(store, victimKey)).toMatchObject({ isCurrent: true })
  })
})

describe('the store, which offers old slots', () => {
  it('has nothing that opens the newest keyset, once the master key was replaced', async () => {
    const store = await stored()
    const old = await newestBytes(store, 'slots')
    const changed = await newMaster(store, victim)
    await renewSlots(store, changed)
    const rolledBack = await storeOf({ keyset: await newestBytes(store, 'keyset'), slots: old })
    await failure(() => recoverKeyset(rolledBack, victimKey), 'key-not-found')
    expect(await listSlots(rolledBack)).toMatchObject([{ isCurrent: false }, { isCurrent: false }])
    // With the old keyset too, the floor notices.
    const both = await storeOf({ keyset: victim.export('storage'), slots: old })
    await failure(() => recoverKeyset(both, victimKey, { atLeast: changed.revision }), 'rollback')
  })
})

describe('the store, which damages slots so that the person believes to have none, or the wrong ones', () => {
  it('damages the newest version: the list and the drill say so, and the owner repairs it', async () => {
    const store = await stored()
    const newest = (await store.read('slots'))!
    await store.write('slots', newest.version + 1, flipped(newest.bytes, 60))
    for (const shown of [...(await listSlots(store)), await testSlot(store, victimKey)])
      expect(shown.damage?.code).toBe('malformed')
    using recovered = await recoverKeyset(store, victimKey)
    expect(recovered.id).toBe(victim.id)
    await failure(() => renewSlots(store, victim), 'malformed')
    await renewSlots(store, victim, { discardDamaged: true })
    expect((await listSlots(store)).map(({ label, damage }) => [label, damage])).toEqual([
      ['Sheet', undefined],
      ['Friend', undefined],
    ])
    expect(await testSlot(store, victimKey)).not.toHaveProperty('damage')
  })

  it('damages all versions: that is an error and no empty list', async () => {
    const { bytes } = (await (await stored()).read('slots'))!
    const store = await storeOf({ keyset: victim.export('storage'), slots: flipped(bytes, 60) })
    await failure(() => listSlots(store), 'malformed')
    await failure(() => testSlot(store, victimKey), 'malformed')
    await failure(() => recoverKeyset(store, victimKey), 'malformed')
    // Deleted slots cannot be told from none. The drill notices.
    const without = await storeOf({ keyset: victim.export('storage') })
    expect(await listSlots(without)).toEqual([])
    await failure(() => testSlot(without, victimKey), 'missing')
  })

  it('swaps labels: a list with the keyset notices, and the drill says which slot the code opens', async () => {
    const store = await stored()
    const { bytes, version } = (await store.read('slots'))!
    const swapped = copyOf(bytes)
    swapped.set(Buffer.from('Shoot'), Buffer.from(bytes).indexOf('Sheet'))
    await store.write('slots', version + 1, resummed(swapped))
    expect((await listSlots(store)).map(({ label }) => label)).toEqual(['Shoot', 'Friend'])
    await failure(() => listSlots(store, victim), 'authentication-failed')
    const drilled = await testSlot(store, victimKey)
    expect([drilled.label, drilled.damage?.code]).toEqual(['Sheet', 'authentication-failed'])
  })
})

describe('somebody whose slot was removed', () => {
  it('has the master key that they kept, which opens nothing that is stored after a new one', async () => {
    const store = await stored()
    using kept = await recoverKeyset(store, friend, { from: victim.card() })
    const { id } = (await listSlots(store)).find(({ label }) => label === 'Friend')!
    await removeSlot(store, victim, id)
    const changed = await newMaster(store, victim)
    await renewSlots(store, changed)
    await failure(() => recoverKeyset(store, friend, { from: victim.card() }), 'key-not-found')
    await failure(() => changeKeyset(store, kept, (newest) => newest.regenerate()), 'wrong-password')
    // The store keeps no version of either object that the old master key opens.
    const { master } = insidesOf(kept, 'kept')
    const keyId = keyIdOf(master)
    for (const name of ['keyset', 'slots']) {
      const { version } = (await store.read(name))!
      for (let each = 1; each <= version; each++) {
        const bytes = await store.readVersion(name, each)
        if (bytes !== undefined) expect(hex(bytes.subarray(16, 32)), `${name} ${each}`).not.toBe(hex(keyId))
      }
    }
  })

  it('puts their slot back before the owner renews: the list shows it, and ids that the owner knows stop it', async () => {
    const store = await stored()
    using kept = await recoverKeyset(store, friend, { from: victim.card() })
    const { id } = (await listSlots(store)).find(({ label }) => label === 'Friend')!
    await removeSlot(store, victim, id)
    const known = (await listSlots(store)).map((slot) => slot.id)
    const changed = await newMaster(store, victim)
    // They have every old key, the card signing key too, and may write to the store.
    const facts = factsFor(evilKey, kept, { label: Buffer.from('Sheet') })
    const { version, bytes } = (await store.read('slots'))!
    const own = ownerOf(kept)
    const mine = sealSlot(own, facts)
    // They add their slot, or put their keys into the place of the owner's slot, with its label and date.
    const [sheet] = parseSlots(bytes).slots
    const posing = sealSlot(own, { ...sheet!.facts, to: facts.to })
    for (const [index, slots] of [[...parseSlots(bytes).slots, mine], [posing], [mine]].entries()) {
      const place = version + 1 + index
      await store.write('slots', place, encodeSlots(own, slots))
      const listed = await listSlots(store)
      expect(listed.map(({ id }) => id)).not.toEqual(known)
      if (index > 0) await failure(() => renewSlots(store, changed, { only: known }), 'key-not-found')
    }
    await store.write('slots', version + 4, encodeSlots(own, [...parseSlots(bytes).slots, mine]))
    expect((await renewSlots(store, changed, { only: known })).map((slot) => slot.id)).toEqual(known)
    await failure(() => testSlot(store, evilKey), 'key-not-found')
    expect(await testSlot(store, victimKey)).toMatchObject({ isCurrent: true })
    // Afterwards the MAC is under a master key that they do not have.
    const { version: now, bytes: current } = (await store.read('slots'))!
    const { master } = ownerOf(evil)
    await store.write('slots', now + 1, encodeSlots({ ...own, master }, [...parseSlots(current).slots, mine]))
    for (const attempt of [
      () => addSlot(store, changed, evilKey, { label: 'x' }),
      () => listSlots(store, changed),
      () => removeSlot(store, changed, known[0]!),
    ])
      await failure(attempt, 'policy', 'authentication-failed')
  })

  it('offers a keyset of their own making under the old id: only a new keyset with new codes stops that', async () => {
    const store = await stored()
    using kept = await recoverKeyset(store, friend, { from: victim.card() })
    // The owner adopts the old keyset in a new one, and prints new codes.
    const fresh = second.adopt(victim)
    const newCode = await deriveRecoveryKey({ code: generateRecoveryCode() })
    const moved = memoryStateStore()
    await saveKeyset(moved, fresh)
    await addSlot(moved, fresh, newCode, { label: 'New sheet' })
    // Whatever they sign with the old keys, the new code has never signed it.
    const to = parseSlots(await newestBytes(moved, 'slots')).slots[0]!.facts.to
    const own = ownerOf(kept)
    const slots = encodeSlots(own, [sealSlot(own, { created: 0, label: Buffer.from('x'), to })])
    const forged = await storeOf({ keyset: kept.export('storage'), slots })
    await failure(() => recoverKeyset(forged, newCode), 'authentication-failed')
    // The old code opens the old keyset, which the store can put back. The id that the owner expects shows it.
    const old = await storeOf({ keyset: kept.export('storage'), slots: await newestBytes(store, 'slots') })
    await failure(() => recoverKeyset(old, victimKey, { id: fresh.id }), 'policy')
  })
})

describe('the finder of too few parts', () => {
  it('learns nothing: every code is as likely, because some third part would give it', async () => {
    const parts = await splitRecoveryCode(code, { parts: 5, needed: 3 })
    const found = parts.slice(0, 2).map((part) => part.replaceAll('-', ''))
    const shares = found.map((part) => fromLetters(part.slice(8, 40), allocate(20)))
    for (let tries = 0; tries < 20; tries++) {
      const guess = generateRecoveryCode().replaceAll('-', '')
      const secret = fromLetters(guess, allocate(19))
      const x = 7 + tries
      if (shares.some((share) => share[19] === x)) continue
      // The package gives the value at 0. With every coordinate moved by x, that is the value at x.
      const moved = [concat(secret, Uint8Array.of(0)), ...shares].map((share) => {
        const copy = copyOf(share)
        copy[19] = copy[19]! ^ x
        return copy
      })
      const third = concat(await combine(moved), Uint8Array.of(x))
      const checked = found[0]!.slice(0, 5) + `353` + toLetters(third)
      const part = checked + codeCheck('recovery-part', checked, 5)
      expect((await combineParts([...found, part])).code).toBe(guess)
    }
  })

  it('cannot use parts of another set in their place', async () => {
    const split = () => splitRecoveryCode(code, { parts: 3, needed: 2 })
    const one = await split()
    let other = await split()
    // The five letters of a set are random: once in 33 million times, two sets have the same.
    for (let tries = 0; tries < 3 && other[0]!.slice(0, 5) === one[0]!.slice(0, 5); tries++) other = await split()
    const { detail } = await failure(() => deriveRecoveryKey({ parts: [one[0]!, other[1]!] }), 'invalid-text')
    expect(detail).toMatchObject({ reason: 'mixed', part: 2 })
  })
})

describe('the finder of a sheet', () => {
  it('has the keyset with the store, and nothing without it: the code is in none of its objects', async () => {
    const store = await stored()
    const all = concat(...store.history.map(({ bytes }) => bytes))
    for (const text of [code, code.replaceAll('-', ''), PASSWORD]) expect(Buffer.from(all).includes(text)).toBe(false)
    using found = await recoverKeyset(store, await deriveRecoveryKey({ code }))
    expect(found.id).toBe(victim.id)
  })
})
