import { afterEach, describe, expect, it, vi } from 'vitest'
import { cardHolderOf } from '../../src/core/card.ts'
import {
  changeKeyset,
  createKeyset,
  type Keyset,
  KeystrataError,
  loadKeyset,
  saveKeyset,
  unlockKeyset,
} from '../../src/index.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { encodeSlots, parseSlots } from '../../src/recovery/stored-slots.ts'
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
import { memoryStateStore, routed, type StateStore } from '../../src/stores.ts'
import { CHEAP, expectSame, failure, flipped, KeepingStore, PASSWORD, quickly, resummed, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'

withoutPauses()
afterEach(() => void vi.useRealTimers())

const quick = (password = PASSWORD) => quickly(() => createKeyset(password, { costs: CHEAP }))
const [keyset, friend, stranger] = await Promise.all([quick(), quick('of a friend'), quick('of a stranger')])
const code = generateRecoveryCode()
const parts = await splitRecoveryCode(generateRecoveryCode(), { parts: 5, needed: 3 })
const [byCode, byParts, bySecret] = await Promise.all([
  deriveRecoveryKey({ code }),
  deriveRecoveryKey({ parts: parts.slice(1, 4) }),
  deriveRecoveryKey({ secret: sample(32) }),
])
const block = await keyset.seal(sample(100))

const bound = (store: StateStore): StateStore => ({
  read: (name) => store.read(name),
  readVersion: (name, version) => store.readVersion(name, version),
  write: (name, version, bytes) => store.write(name, version, bytes),
  drop: (name, below) => store.drop(name, below),
})

/** A store whose first write of slots happens without an answer. A later write hides what became of it. */
function losing(store: StateStore): StateStore {
  let writes = 0
  return {
    ...bound(store),
    async write(name, version, bytes) {
      const done = await store.write(name, version, bytes)
      if (name !== 'slots' || writes++ > 0) return done
      await store.write('slots', version + 1, bytes)
      await store.drop('slots', version + 1)
      throw new Error('timeout')
    },
  }
}

function memoryStateStoreWith(of: Keyset): StateStore {
  const store = memoryStateStore()
  void store.write('keyset', 1, of.export('storage'))
  return store
}

async function stored(...slots: readonly (readonly [RecoveryKey | ReturnType<Keyset['card']>, string])[]) {
  const store = new KeepingStore()
  await saveKeyset(store, keyset)
  for (const [to, label] of slots) await addSlot(store, keyset, to, { label })
  return store
}

const everyKind = () => stored([byCode, 'Sheet'], [byParts, 'Family'], [friend.card(), 'Friend'], [bySecret, 'Passkey'])

const newMaster = (store: StateStore, of: Keyset, password = 'next'): Promise<Keyset> =>
  quickly(() => changeKeyset(store, of, (newest) => newest.changePassword(password, { newMaster: true, costs: CHEAP })))

const isCurrent = async (store: StateStore) => (await listSlots(store)).map((slot) => slot.isCurrent)

describe('addSlot', () => {
  it('adds a slot of every kind, and listSlots shows them without a key', async () => {
    const now = Date.UTC(2030, 0, 1, 2, 3, 4, 567)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const store = await everyKind()
    vi.useRealTimers()
    const slots = await listSlots(store)
    expect(slots).toEqual([
      expect.objectContaining({ kind: 'code', label: 'Sheet', isCurrent: true }),
      expect.objectContaining({ kind: 'split', label: 'Family', needed: 3, parts: 5, isCurrent: true }),
      expect.objectContaining({ kind: 'card', label: 'Friend', isCurrent: true }),
      expect.objectContaining({ kind: 'secret', label: 'Passkey', isCurrent: true }),
    ])
    expect(slots[0]).not.toHaveProperty('needed')
    for (const { id, created } of slots) {
      expect(id).toMatch(/^[\da-f]{32}$/)
      expect(created).toEqual(new Date(now))
    }
  })

  it('returns the slot that listSlots shows', async () => {
    const store = await stored()
    expect(await addSlot(store, keyset, byCode, { label: 'Sheet' })).toEqual((await listSlots(store))[0])
  })

  it('replaces the slot of a key or card that has one', async () => {
    const store = await everyKind()
    for (const [to, label] of [
      [await deriveRecoveryKey({ code }), 'Sheet 2'],
      [friend.card(), 'Friend 2'],
    ] as const)
      await addSlot(store, keyset, to, { label })
    const labels = (await listSlots(store)).map(({ label }) => label)
    expect(labels).toEqual(['Family', 'Passkey', 'Sheet 2', 'Friend 2'])
  })

  it('needs the keyset in the store, and a handle under its master key', async () => {
    await failure(() => addSlot(memoryStateStore(), keyset, byCode, { label: 'x' }), 'missing')
    const other = memoryStateStore()
    await saveKeyset(other, stranger)
    await failure(() => addSlot(other, keyset, byCode, { label: 'x' }), 'forked', 'rollback')
    const store = await stored()
    const changed = await newMaster(store, keyset)
    await failure(() => addSlot(store, keyset, byCode, { label: 'x' }), 'wrong-password')
    expect(await addSlot(store, changed, byCode, { label: 'x' })).toMatchObject({ isCurrent: true })
  })

  it('does not add to slots that must be renewed', async () => {
    const store = await stored([byCode, 'Sheet'])
    const changed = await newMaster(store, keyset)
    const { detail } = await failure(() => addSlot(store, changed, bySecret, { label: 'x' }), 'policy')
    expect(detail).toMatchObject({ rule: 'renew-slots' })
    await failure(() => removeSlot(store, changed, '00'.repeat(16)), 'policy')
  })

  it('refuses the own card of the keyset, also that of one that it has adopted', async () => {
    const store = await stored()
    const { detail } = await failure(() => addSlot(store, keyset, keyset.card(), { label: 'x' }), 'policy')
    expect(detail).toMatchObject({ rule: 'own-card' })
    const adopter = await changeKeyset(store, keyset, (newest) => newest.adopt(stranger))
    await failure(() => addSlot(store, adopter, stranger.card(), { label: 'x' }), 'policy')
  })

  it('refuses what is not a recovery key or a valid card', async () => {
    const store = await stored()
    const { bytes, fingerprint } = friend.card()
    for (const to of [undefined, {}, friend, 'code'])
      await expect(addSlot(store, keyset, to as never, { label: 'x' })).rejects.toThrow(TypeError)
    const other = { bytes: stranger.card().bytes, fingerprint }
    await failure(() => addSlot(store, keyset, other, { label: 'x' }), 'key-changed')
    const flippedCard = { bytes: flipped(bytes, 1700), fingerprint }
    await failure(() => addSlot(store, keyset, flippedCard, { label: 'x' }), 'authentication-failed')
    const gone = await deriveRecoveryKey({ code })
    gone.dispose()
    await failure(() => addSlot(store, keyset, gone, { label: 'x' }), 'disposed')
  })

  it('refuses a label that people could not read', async () => {
    const store = await stored()
    for (const label of ['', 'x'.repeat(256), 'two\nlines', '\u200b'])
      await failure(() => addSlot(store, keyset, byCode, { label }), 'invalid-text')
    await expect(addSlot(store, keyset, byCode, {} as never)).rejects.toThrow(/what people see in a list of slots/)
    expect(await addSlot(store, keyset, byCode, { label: 'e\u0301'.repeat(127) })).toMatchObject({
      label: 'é'.repeat(127),
    })
  })

  it('takes 64 slots, and no more', async () => {
    const store = await stored()
    const keys = await Promise.all(
      Array.from({ length: 65 }, (_, at) => deriveRecoveryKey({ secret: sample(32, at + 1) })),
    )
    for (const [at, key] of keys.slice(0, 64).entries())
      await addSlot(store, keyset, key, { label: `${'x'.repeat(250)} ${at}` })
    const { detail } = await failure(() => addSlot(store, keyset, keys[64]!, { label: 'one more' }), 'limit-exceeded')
    expect(detail).toEqual({ object: 'slots', most: 64 })
    expect(await testSlot(store, keys[63]!)).toMatchObject({ isCurrent: true })
    // A slot in the place of another one still fits.
    await addSlot(store, keyset, keys[0]!, { label: 'again' })
    expect(await listSlots(store)).toHaveLength(64)
  })

  it('refuses a keyset from a definition, which lacks the card', async () => {
    const store = await stored()
    using incomplete = await quickly(() => unlockKeyset(keyset.export('definition'), PASSWORD))
    await failure(() => addSlot(store, incomplete, byCode, { label: 'x' }), 'policy')
    await failure(() => renewSlots(store, incomplete), 'policy')
  })

  it('keeps the slots of two machines that add at one time', async () => {
    const store = await stored()
    const keys = await Promise.all([1, 2, 3, 4, 5].map((seed) => deriveRecoveryKey({ secret: sample(32, seed) })))
    await Promise.all(keys.map((key, at) => addSlot(store, keyset, key, { label: `${at}` })))
    for (const key of keys) expect(await testSlot(store, key)).toMatchObject({ isCurrent: true })
  })

  it('notices if the master key was replaced while it wrote', async () => {
    const store = await stored()
    const other = await newMaster(memoryStateStoreWith(keyset), keyset)
    const racing: StateStore = {
      ...bound(store),
      async write(name, version, bytes) {
        const done = await store.write(name, version, bytes)
        if (name === 'slots') await store.write('keyset', 2, other.export('storage'))
        return done
      },
    }
    await failure(() => addSlot(racing, keyset, byCode, { label: 'x' }), 'wrong-password')
  })

  it('says so if it is given a code, or a promise, in the place of a recovery key', async () => {
    const store = await stored()
    await expect(addSlot(store, keyset, code as never, { label: 'x' })).rejects.toThrow(/deriveRecoveryKey\(\{ code/)
    await expect(addSlot(store, keyset, deriveRecoveryKey({ code }) as never, { label: 'x' })).rejects.toThrow(/await/)
    await expect(recoverKeyset(store, code as never)).rejects.toThrow(/derive a recovery key/)
    await expect(testSlot(store, deriveRecoveryKey({ code }) as never)).rejects.toThrow(/await/)
  })

  it('adds a slot although the store cannot drop older versions now', async () => {
    const store = await stored([byCode, 'Sheet'])
    const refusing: StateStore = { ...bound(store), drop: () => Promise.reject(new Error('no permission')) }
    expect(await addSlot(refusing, keyset, bySecret, { label: 'Passkey' })).toMatchObject({ label: 'Passkey' })
  })

  it('says so if the store answers a drop with a mistake', async () => {
    const store = await stored([byCode, 'Sheet'])
    const unrouted = routed({ keyset: store, slots: store })
    for (let seed = 1; seed <= 8; seed++)
      await addSlot(store, keyset, await deriveRecoveryKey({ secret: sample(32, seed) }), { label: `${seed}` })
    const mistaken: StateStore = { ...bound(store), drop: (_, below) => unrouted.drop('other', below) }
    await expect(addSlot(mistaken, keyset, bySecret, { label: 'Passkey' })).rejects.toThrow(/route/)
  })

  it('adds one slot, whatever becomes of the answers', async () => {
    const store = await stored([byCode, 'Sheet'])
    const slot = await addSlot(losing(store), keyset, bySecret, { label: 'Passkey' })
    expect(await listSlots(store)).toMatchObject([{ label: 'Sheet' }, slot])
    // Versions 1 and 2 here, and version 3 by the store. The slot was not sealed again.
    expect((await store.read('slots'))!.version).toBe(3)
  })

  it('gives up where another machine writes first on every try', async () => {
    const store = await stored([byCode, 'Sheet'])
    const racing: StateStore = {
      ...bound(store),
      async write(name, version, bytes) {
        if (name === 'slots') await store.write(name, version, (await store.read('slots'))!.bytes)
        return store.write(name, version, bytes)
      },
    }
    const { detail } = await failure(() => addSlot(racing, keyset, bySecret, { label: 'x' }), 'conflict')
    expect(detail).toMatchObject({ object: 'slots' })
    expect(detail).toHaveProperty('tries')
    expect(await listSlots(store)).toMatchObject([{ label: 'Sheet' }])
  })

  it('keeps eight versions while slots are only added', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    for (let seed = 1; seed <= 10; seed++) {
      await addSlot(store, keyset, await deriveRecoveryKey({ secret: sample(32, seed) }), { label: `${seed}` })
    }
    expect(await store.readVersion('slots', 2)).toBeUndefined()
    expect(await store.readVersion('slots', 3)).toBeDefined()
  })

  it('is an error on damaged or altered slots, which renewSlots repairs', async () => {
    const store = await stored([byCode, 'Sheet'])
    const whole = (await store.read('slots'))!.bytes
    for (const [bytes, wrong] of [
      [flipped(whole, 100), 'malformed'],
      [resummed(flipped(whole, whole.length - 40)), 'authentication-failed'],
    ] as const) {
      const damaged = memoryStateStore()
      await saveKeyset(damaged, keyset)
      await damaged.write('slots', 1, whole)
      await damaged.write('slots', 2, bytes)
      await failure(() => addSlot(damaged, keyset, bySecret, { label: 'x' }), wrong)
      await failure(() => removeSlot(damaged, keyset, '00'.repeat(16)), wrong)
      await failure(() => renewSlots(damaged, keyset), wrong)
      expect(await renewSlots(damaged, keyset, { discardDamaged: true })).toMatchObject([{ label: 'Sheet' }])
      await addSlot(damaged, keyset, bySecret, { label: 'x' })
      expect(await listSlots(damaged)).toHaveLength(2)
    }
  })

  it('fails where the store has no route for the object slots', async () => {
    const store = memoryStateStore()
    const route = routed({ keyset: store })
    await saveKeyset(route, keyset)
    await expect(addSlot(route, keyset, byCode, { label: 'x' })).rejects.toThrow(/route/)
  })
})

/** What a store keeps of a keyset that has slots. */
describe('versions of a keyset with slots', () => {
  it('stay while its slots need them, however often it changes', async () => {
    const store = memoryStateStoreWith(keyset)
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    let changed = await newMaster(store, keyset)
    for (let times = 0; times < 12; times++)
      changed = await changeKeyset(store, changed, (newest) => newest.regenerate())
    using recovered = await recoverKeyset(store, byCode)
    expect(recovered.revision).toBe(keyset.revision)
    await renewSlots(store, changed)
    expect(await store.readVersion('keyset', 1)).toBeUndefined()
    // The last eight, as ever.
    expect(await store.readVersion('keyset', 6)).toBeUndefined()
    expect(await store.readVersion('keyset', 7)).toBeDefined()
  })

  it('are dropped with a new master key, if the last slot was removed', async () => {
    const store = memoryStateStoreWith(keyset)
    const { id } = await addSlot(store, keyset, byCode, { label: 'Sheet' })
    await removeSlot(store, keyset, id)
    await newMaster(store, keyset)
    expect(await store.readVersion('keyset', 1)).toBeUndefined()
  })

  it('are dropped also by a store that refuses names that it does not know', async () => {
    const store = memoryStateStoreWith(keyset)
    const strict: StateStore = {
      ...bound(store),
      read: async (name) => {
        if (name !== 'keyset') throw new KeystrataError('policy', 'unknown name', { rule: 'names' })
        return store.read(name)
      },
    }
    await newMaster(strict, keyset)
    expect(await store.readVersion('keyset', 1)).toBeUndefined()
  })
})

describe('listSlots', () => {
  it('is empty where there are none, and needs a keyset where there are some', async () => {
    expect(await listSlots(memoryStateStore())).toEqual([])
    expect(await listSlots(await stored())).toEqual([])
    const store = await stored([byCode, 'Sheet'])
    const alone = memoryStateStore()
    await alone.write('slots', 1, (await store.read('slots'))!.bytes)
    await failure(() => listSlots(alone), 'missing')
  })

  it('shows the newest undamaged version; if there is none, what is wrong', async () => {
    const store = await stored([byCode, 'Sheet'], [byParts, 'Family'])
    const newest = (await store.read('slots'))!
    await store.write('slots', newest.version + 1, flipped(newest.bytes, 60))
    const shown = await listSlots(store)
    expect(shown.map(({ damage }) => damage?.code)).toEqual(['malformed', 'malformed'])
    expect((await listSlots(await stored([byCode, 'Sheet'])))[0]).not.toHaveProperty('damage')
    // The drill says so too, and an older version without slots is no empty list.
    expect((await testSlot(store, byCode)).damage?.code).toBe('malformed')
    const emptied = await stored([byCode, 'Sheet'])
    await removeSlot(emptied, keyset, (await listSlots(emptied))[0]!.id)
    expect(await listSlots(emptied)).toEqual([])
    await emptied.write('slots', (await emptied.read('slots'))!.version + 1, flipped(newest.bytes, 60))
    await failure(() => listSlots(emptied), 'malformed')
    const one = memoryStateStore()
    await saveKeyset(one, keyset)
    await one.write('slots', 1, flipped(newest.bytes, 60))
    await failure(() => listSlots(one), 'malformed')
    const later = resummed(newest.bytes.map((byte, at) => (at === 4 ? 2 : byte)))
    await store.write('slots', newest.version + 2, later)
    await failure(() => listSlots(store), 'unsupported')
  })

  it('with a keyset is authentic, or an error', async () => {
    const store = await stored([byCode, 'Sheet'], [byParts, 'Other'])
    expect(await listSlots(store, keyset)).toEqual(await listSlots(store))
    const { bytes, version } = (await store.read('slots'))!
    // The store swaps two labels.
    const swapped = new Uint8Array(bytes)
    const text = Buffer.from(bytes)
    swapped.set(Buffer.from('Other'), text.indexOf('Sheet'))
    swapped.set(Buffer.from('Sheet'), text.indexOf('Other'))
    await store.write('slots', version + 1, resummed(swapped))
    expect((await listSlots(store)).map(({ label }) => label)).toEqual(['Other', 'Sheet'])
    await failure(() => listSlots(store, keyset), 'authentication-failed')
    await expect(listSlots(store, {} as never)).rejects.toThrow(TypeError)
    const changed = await newMaster(store, keyset)
    expect((await failure(() => listSlots(store, changed), 'policy', 'authentication-failed')).code).toBe('policy')
  })

  it('shows an altered label that nobody could have written as an empty one', async () => {
    const store = await stored([byCode, 'Sheet'])
    const { bytes, version } = (await store.read('slots'))!
    const at = Buffer.from(bytes).indexOf('Sheet')
    await store.write('slots', version + 1, resummed(bytes.map((byte, index) => (index === at ? 7 : byte))))
    expect(await listSlots(store)).toMatchObject([{ label: '' }])
  })
})

describe('removeSlot', () => {
  it('removes a slot, and every older version that has it', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const { id } = await addSlot(store, keyset, byCode, { label: 'Sheet' })
    await addSlot(store, keyset, bySecret, { label: 'Passkey' })
    await removeSlot(store, keyset, id)
    await failure(() => recoverKeyset(store, byCode), 'key-not-found')
    expect(await listSlots(store)).toMatchObject([{ label: 'Passkey' }])
    expect(await store.readVersion('slots', 2)).toBeUndefined()
    await failure(() => removeSlot(store, keyset, id), 'key-not-found')
  })

  it('refuses an invalid id', async () => {
    const store = await stored()
    await expect(removeSlot(store, keyset, 'x')).rejects.toThrow(RangeError)
    await expect(removeSlot(store, keyset, undefined as never)).rejects.toThrow('id must be a string')
    const { detail } = await failure(() => removeSlot(store, keyset, '00'.repeat(16)), 'key-not-found')
    expect(detail).toEqual({ object: 'slot', slotId: '00'.repeat(16) })
    // Nothing was there, and nothing was written.
    expect(await store.read('slots')).toBeUndefined()
  })

  it('can be repeated after a drop that failed: no version with the slot stays', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const { id } = await addSlot(store, keyset, byCode, { label: 'Sheet' })
    const broken: StateStore = { ...bound(store), drop: () => Promise.reject(new Error('no permission')) }
    await expect(removeSlot(broken, keyset, id)).rejects.toThrow(/older ones were not dropped/)
    expect(await store.readVersion('slots', 1)).toBeDefined()
    await failure(() => removeSlot(store, keyset, id), 'key-not-found')
    expect(await store.readVersion('slots', 1)).toBeUndefined()
  })

  it('does it once, whatever becomes of the answers', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const { id } = await addSlot(store, keyset, byCode, { label: 'Sheet' })
    await removeSlot(losing(store), keyset, id)
    expect(await listSlots(store)).toEqual([])
  })
})

describe('renewSlots', () => {
  it('lets every key and card open the newest keyset again, without any of them', async () => {
    const store = await everyKind()
    const before = await listSlots(store)
    const changed = await newMaster(store, keyset)
    expect(await isCurrent(store)).toEqual([false, false, false, false])
    expect(await testSlot(store, byCode)).toMatchObject({ isCurrent: false })
    const renewed = await renewSlots(store, changed)
    expect(renewed).toEqual(before)
    for (const by of [byCode, byParts, bySecret]) {
      using opened = await recoverKeyset(store, by, { atLeast: changed.revision })
      expect(opened.revision).toBe(changed.revision)
      expectSame(await opened.open(block), sample(100))
    }
    using opened = await recoverKeyset(store, friend, { from: keyset.card(), atLeast: changed.revision })
    expect(opened.revision).toBe(changed.revision)
  })

  it('drops what the old password opens: not before, and all of it afterwards', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    const changed = await newMaster(store, keyset)
    // Until then the slots open only this version.
    expect(await store.readVersion('keyset', 1)).toBeDefined()
    await renewSlots(store, changed)
    expect(await store.readVersion('keyset', 1)).toBeUndefined()
    expect(await store.readVersion('slots', 1)).toBeUndefined()
    await failure(() => quickly(() => loadKeyset(store, PASSWORD)), 'wrong-password')
  })

  it('may be called again, after any interruption, and does nothing then', async () => {
    for (let stopAt = 1; ; stopAt++) {
      const store = memoryStateStore()
      await saveKeyset(store, keyset)
      await addSlot(store, keyset, byCode, { label: 'Sheet' })
      const changed = await newMaster(store, keyset)
      let calls = 0
      const stop = () => {
        if (++calls === stopAt) throw new TypeError('power cut')
      }
      const dying: StateStore = {
        read: async (name) => (stop(), store.read(name)),
        readVersion: async (name, version) => (stop(), store.readVersion(name, version)),
        write: async (name, version, bytes) => (stop(), store.write(name, version, bytes)),
        drop: async (name, below) => (stop(), store.drop(name, below)),
      }
      const outcome = await renewSlots(dying, changed).catch((error: unknown) => error)
      // Whatever happened, the code opens something, and finishing the work needs no more than to call it again.
      using opened = await recoverKeyset(store, byCode)
      expectSame(await opened.open(block), sample(100))
      expect(await renewSlots(store, changed)).toMatchObject([{ isCurrent: true }])
      expect(await isCurrent(store)).toEqual([true])
      expect(await store.readVersion('keyset', 1)).toBeUndefined()
      if (!(outcome instanceof Error)) break
      expect(stopAt).toBeLessThan(50)
    }
  })

  it('writes nothing where everything is current, or nothing is there', async () => {
    const store = await stored([byCode, 'Sheet'])
    const { version } = (await store.read('slots'))!
    expect(await renewSlots(store, keyset)).toMatchObject([{ label: 'Sheet' }])
    expect((await store.read('slots'))!.version).toBe(version)
    const none = await stored()
    expect(await renewSlots(none, keyset)).toEqual([])
    expect(await none.read('slots')).toBeUndefined()
  })

  it('keeps only the slots that the caller knows, if they are named', async () => {
    const store = await everyKind()
    const [sheet, , , passkey] = await listSlots(store)
    const changed = await newMaster(store, keyset)
    const renewed = await renewSlots(store, changed, { only: [passkey!.id, sheet!.id] })
    expect(renewed.map(({ label }) => label)).toEqual(['Sheet', 'Passkey'])
    await failure(() => testSlot(store, byParts), 'key-not-found')
    await failure(() => testSlot(store, friend), 'key-not-found')
    await failure(() => renewSlots(store, changed, { only: [sheet!.id, '00'.repeat(16)] }), 'key-not-found')
    expect(await listSlots(store, changed)).toHaveLength(2)
    expect(await renewSlots(store, changed, { only: [] })).toEqual([])
    await expect(renewSlots(store, changed, { only: ['x'] })).rejects.toThrow(RangeError)
    await expect(renewSlots(store, changed, { only: 'x' as never })).rejects.toThrow('only must be a list of ids')
  })

  it('removes what is not named also where the master key is still the same', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    const { id } = await addSlot(store, keyset, bySecret, { label: 'Passkey' })
    expect(await renewSlots(store, keyset, { only: [id] })).toMatchObject([{ label: 'Passkey' }])
    expect(await listSlots(store, keyset)).toMatchObject([{ label: 'Passkey' }])
    await failure(() => testSlot(store, byCode), 'key-not-found')
    expect(await store.readVersion('slots', 2)).toBeUndefined()
  })

  it('drops the versions that an earlier call left behind', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    const changed = await newMaster(store, keyset)
    const broken: StateStore = { ...bound(store), drop: () => Promise.reject(new Error('no permission')) }
    await expect(renewSlots(broken, changed)).rejects.toThrow(/older ones were not dropped/)
    expect(await store.readVersion('slots', 1)).toBeDefined()
    await renewSlots(store, changed)
    expect(await store.readVersion('slots', 1)).toBeUndefined()
    expect(await store.readVersion('keyset', 1)).toBeUndefined()
  })

  it('begins again without slots if no version is undamaged, but only if the caller says so', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    await store.write('slots', 1, sample(200))
    await failure(() => listSlots(store), 'malformed')
    await failure(() => renewSlots(store, keyset), 'malformed')
    expect((await store.read('slots'))!.version).toBe(1)
    expect(await renewSlots(store, keyset, { discardDamaged: true })).toEqual([])
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    expect(await testSlot(store, byCode)).toMatchObject({ label: 'Sheet' })
  })

  it('reads again what looks damaged: one wrong answer of a proxy destroys nothing', async () => {
    const store = await everyKind()
    const changed = await newMaster(store, keyset)
    let reads = 0
    const proxied: StateStore = {
      ...bound(store),
      read: async (name) => (name === 'slots' && reads++ === 0 ? { version: 9, bytes: sample(300) } : store.read(name)),
    }
    expect(await renewSlots(proxied, changed)).toHaveLength(4)
    expect(await isCurrent(store)).toEqual([true, true, true, true])
  })

  it('names a slot with invalid keys, so that the owner can leave it out', async () => {
    const store = memoryStateStoreWith(keyset)
    const { id } = await addSlot(store, keyset, byCode, { label: 'Sheet' })
    const { bytes } = (await store.read('slots'))!
    const [honest] = parseSlots(bytes).slots
    const { to } = honest!.facts
    if (to.kind !== 'code') throw new Error('not the slot of a code')
    // Whoever has stolen the keys of the keyset can sign such a slot.
    const { contents, master } = insidesOf(keyset, 'keyset')
    const holder = cardHolderOf(keyset, 'keyset', 'slots')
    const owner = {
      ...{ id: contents.id, card: holder.keys, adopted: [], master },
      sign: (message: Uint8Array) => holder.sign(message),
    }
    const keys = { ...to.value.keys, mlKem1024: new Uint8Array(1568).fill(255) }
    const planted = {
      facts: { ...honest!.facts, to: { ...to, value: { ...to.value, keys } } },
      sealed: honest!.sealed,
    }
    await store.write('slots', 2, encodeSlots(owner, [honest!, planted]))
    const [, other] = await listSlots(store)
    const changed = await newMaster(store, keyset)
    const error = await failure(() => renewSlots(store, changed), 'malformed')
    expect(error.detail).toEqual({ object: 'slot list', slotId: other!.id })
    expect(await renewSlots(store, changed, { only: [id] })).toMatchObject([{ id, isCurrent: true }])
    expect(await testSlot(store, byCode)).toMatchObject({ isCurrent: true })
  })

  it('needs a handle under the stored master key', async () => {
    const store = await stored([byCode, 'Sheet'])
    await newMaster(store, keyset)
    await failure(() => renewSlots(store, keyset), 'wrong-password')
  })

  it('does not carry slots over to a keyset that has adopted theirs: they are added again', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    const fresh = stranger.adopt(keyset)
    await saveKeyset(store, fresh)
    const { detail } = await failure(() => renewSlots(store, fresh), 'policy')
    expect(detail).toMatchObject({ rule: 'same-keyset' })
    await failure(() => removeSlot(store, fresh, '00'.repeat(16)), 'key-not-found')
    await addSlot(store, fresh, byCode, { label: 'Sheet' })
    expect(await listSlots(store)).toMatchObject([{ label: 'Sheet', isCurrent: true }])
    using opened = await recoverKeyset(store, byCode)
    expect(opened.id).toBe(stranger.id)
    expectSame(await opened.open(block), sample(100))
    // What the old password opens is gone.
    expect(await store.readVersion('keyset', 1)).toBeUndefined()
  })

  it('refuses the slots of a keyset that it has nothing to do with', async () => {
    const store = await stored([byCode, 'Sheet'])
    const mixed = memoryStateStore()
    await saveKeyset(mixed, stranger)
    await mixed.write('slots', 1, (await store.read('slots'))!.bytes)
    for (const attempt of [
      () => renewSlots(mixed, stranger),
      () => addSlot(mixed, stranger, byCode, { label: 'x' }),
      () => removeSlot(mixed, stranger, '00'.repeat(16)),
    ])
      expect((await failure(attempt, 'policy')).detail).toMatchObject({ rule: 'same-keyset' })
  })

  it('opens after a fork was adopted, and after new key pairs', async () => {
    const store = await stored([byCode, 'Sheet'])
    const regenerated = await changeKeyset(store, keyset, (newest) => newest.regenerate())
    using opened = await recoverKeyset(store, byCode, { atLeast: regenerated.revision })
    expect(opened.retired).toBe(1)
    expectSame(await opened.open(block), sample(100))
  })
})
