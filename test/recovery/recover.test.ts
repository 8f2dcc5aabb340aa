import { describe, expect, it } from 'vitest'
import { changeKeyset, createKeyset, type Keyset, loadKeyset, saveKeyset, unlockKeyset } from '../../src/index.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  type RecoveryKey,
  recoverKeyset,
  testSlot,
} from '../../src/recovery.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { CHEAP, expectSame, failure, flipped, PASSWORD, quickly, resummed, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'

withoutPauses()

const quick = (password = PASSWORD) => quickly(() => createKeyset(password, { costs: CHEAP }))
const [keyset, friend] = await Promise.all([quick(), quick('of a friend')])
const code = generateRecoveryCode()
const byCode = await deriveRecoveryKey({ code })
const block = await keyset.seal(sample(100))

async function stored(of: Keyset = keyset, to: RecoveryKey | ReturnType<Keyset['card']> = byCode): Promise<StateStore> {
  const store = memoryStateStore()
  await saveKeyset(store, of)
  await addSlot(store, of, to, { label: 'Sheet' })
  return store
}

const newPassword = (store: StateStore, of: Keyset, password: string, newMaster = false): Promise<Keyset> =>
  quickly(() => changeKeyset(store, of, (newest) => newest.changePassword(password, { newMaster, costs: CHEAP })))

describe('recoverKeyset', () => {
  it('opens a keyset whose password is lost, and a new password can be set', async () => {
    const store = await stored()
    using recovered = await recoverKeyset(store, byCode)
    expect(recovered).toMatchObject({ id: keyset.id, revision: keyset.revision })
    expectSame(await recovered.open(block), sample(100))
    using changed = await newPassword(store, recovered, 'remembered')
    using loaded = await quickly(() => loadKeyset(store, 'remembered'))
    expect(loaded.revision).toBe(changed.revision)
    // The master key is the same, so the slot is as good as before.
    expect(await testSlot(store, byCode)).toMatchObject({ isCurrent: true })
  })

  it('opens by a card, and only for whom the card holder expects', async () => {
    const store = await stored(keyset, friend.card())
    using recovered = await recoverKeyset(store, friend, { from: keyset.card() })
    expect(recovered.id).toBe(keyset.id)
    await failure(() => recoverKeyset(store, friend, { from: friend.card() }), 'key-changed')
    await expect(recoverKeyset(store, friend, {} as never)).rejects.toThrow(/from/)
    await expect(recoverKeyset(store, friend, { from: undefined } as never)).rejects.toThrow(TypeError)
    await failure(() => recoverKeyset(store, keyset, { from: keyset.card() }), 'key-not-found')
  })

  it('opens by a keyset that has adopted the one whose card has the slot', async () => {
    const store = await stored(keyset, friend.card())
    using heir = (await quick('of the heir')).adopt(friend)
    using recovered = await recoverKeyset(store, heir, { from: keyset.card() })
    expect(recovered.id).toBe(keyset.id)
  })

  it('refuses a keyset from a definition, whose card it has not', async () => {
    const store = await stored(keyset, friend.card())
    using incomplete = await quickly(() => unlockKeyset(friend.export('definition'), 'of a friend'))
    await failure(() => recoverKeyset(store, incomplete, { from: keyset.card() }), 'policy')
  })

  it('checks the floor: an older keyset, and another one', async () => {
    const store = await stored()
    const newer = keyset.regenerate()
    await failure(() => recoverKeyset(store, byCode, { atLeast: newer.revision }), 'rollback')
    await failure(() => recoverKeyset(store, byCode, { atLeast: friend.revision }), 'forked')
    await expect(recoverKeyset(store, byCode, { atLeast: undefined } as never)).rejects.toThrow(TypeError)
    await expect(recoverKeyset(store, byCode, { atLeast: 'x' })).rejects.toThrow(TypeError)
  })

  it('checks the id that the caller expects', async () => {
    const store = await stored()
    using recovered = await recoverKeyset(store, byCode, { id: keyset.id })
    expect(recovered.id).toBe(keyset.id)
    const { detail } = await failure(() => recoverKeyset(store, byCode, { id: friend.id }), 'policy')
    expect(detail).toEqual({ rule: 'expected-keyset', field: 'id', found: keyset.id })
    await expect(recoverKeyset(store, byCode, { id: undefined } as never)).rejects.toThrow(TypeError)
    await expect(recoverKeyset(store, byCode, { id: 5 } as never)).rejects.toThrow(TypeError)
  })

  it('reads again what a late read did not find', async () => {
    const store = await stored()
    const late = { slots: 2, keyset: 2 }
    const lagging: StateStore = {
      read: async (name) => (late[name as 'slots']-- > 0 ? undefined : store.read(name)),
      readVersion: (name, version) => store.readVersion(name, version),
      write: (name, version, bytes) => store.write(name, version, bytes),
      drop: (name, below) => store.drop(name, below),
    }
    using recovered = await recoverKeyset(lagging, byCode)
    expect(recovered.id).toBe(keyset.id)
  })

  it('reads again if a late read returned a keyset that is older than its slots', async () => {
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const before = (await store.read('keyset'))!
    const changed = await newPassword(store, keyset, 'next', true)
    await addSlot(store, changed, byCode, { label: 'Sheet' })
    let late = 2
    const lagging: StateStore = {
      read: async (name) => (name === 'keyset' && late-- > 0 ? before : store.read(name)),
      readVersion: (name, version) => store.readVersion(name, version),
      write: (name, version, bytes) => store.write(name, version, bytes),
      drop: (name, below) => store.drop(name, below),
    }
    using recovered = await recoverKeyset(lagging, byCode)
    expect(recovered.revision).toBe(changed.revision)
  })

  it('opens the last version that the slot opens, where slots were not renewed', async () => {
    const store = await stored()
    const later = await changeKeyset(store, keyset, (newest) => newest.createShare())
    const changed = await newPassword(store, later.keyset, 'next', true)
    using recovered = await recoverKeyset(store, byCode)
    expect(recovered.revision).toBe(later.keyset.revision)
    await failure(() => recoverKeyset(store, byCode, { atLeast: changed.revision }), 'rollback')
    await failure(() => saveKeyset(store, recovered), 'conflict')
    // It can be saved in another place, by a new keyset that adopts it.
    using fresh = (await quick('of the new one')).adopt(recovered)
    expectSame(await fresh.open(block), sample(100))
    // A damaged version between the two hides nothing.
    const [one, two, three] = await Promise.all([1, 2, 3].map((version) => store.readVersion('keyset', version)))
    const damaged = memoryStateStore()
    for (const [index, bytes] of [one!, two!, flipped(three!, 200), three!].entries())
      await damaged.write('keyset', index + 1, bytes)
    await damaged.write('slots', 1, (await store.read('slots'))!.bytes)
    expect(await testSlot(damaged, byCode)).toMatchObject({ isCurrent: false })
    // Not even that is there any more.
    await store.drop('keyset', 3)
    const { message } = await failure(() => recoverKeyset(store, byCode), 'key-not-found')
    expect(message).toContain('not renewed')
  })

  it('passes allowWeaker on', async () => {
    using plain = await quickly(() => createKeyset('another', { costs: CHEAP, encryption: 'none' }))
    const weak = await plain.seal(sample(10))
    const store = await stored(keyset.adopt(plain))
    using strict = await recoverKeyset(store, byCode)
    await failure(() => strict.open(weak), 'policy')
    using weaker = await recoverKeyset(store, byCode, { allowWeaker: 'none' })
    expectSame(await weaker.open(weak), sample(10))
    await expect(recoverKeyset(store, byCode, { allowWeaker: 'weak' as never })).rejects.toThrow(TypeError)
  })

  it('says what is missing', async () => {
    expect((await failure(() => recoverKeyset(memoryStateStore(), byCode), 'missing')).detail).toMatchObject({
      object: 'slots',
    })
    const store = await stored()
    const alone = memoryStateStore()
    await alone.write('slots', 1, (await store.read('slots'))!.bytes)
    expect((await failure(() => recoverKeyset(alone, byCode), 'missing')).detail).toMatchObject({ object: 'keyset' })
    const other = await deriveRecoveryKey({ code: generateRecoveryCode() })
    expect((await failure(() => recoverKeyset(store, other), 'key-not-found')).detail).toEqual({
      ...{ object: 'slots', ownerId: keyset.id },
    })
  })

  it('refuses handles that open no slot, and unknown options', async () => {
    const store = await stored()
    for (const by of [undefined, {}, code])
      await expect(recoverKeyset(store, by as never, { from: keyset.card() })).rejects.toThrow(TypeError)
    await expect(recoverKeyset(store, byCode, { from: keyset.card() } as never)).rejects.toThrow(/no option/)
    const gone = await deriveRecoveryKey({ code })
    gone.dispose()
    await failure(() => recoverKeyset(store, gone), 'disposed')
    await expect(recoverKeyset({} as never, byCode)).rejects.toThrow(/StateStore/)
  })

  it('survives damage to the newest slots, by the version before', async () => {
    const store = await stored()
    const { bytes, version } = (await store.read('slots'))!
    await store.write('slots', version + 1, flipped(bytes, 500))
    using recovered = await recoverKeyset(store, byCode)
    expect(recovered.id).toBe(keyset.id)
    // Altered with a right checksum: the MAC is wrong.
    await store.write('slots', version + 2, resummed(flipped(bytes, 70)))
    expect(await testSlot(store, byCode)).toMatchObject({ label: 'Sheet' })
    await store.drop('slots', version + 2)
    await failure(() => recoverKeyset(store, byCode), 'authentication-failed')
  })

  it('never opens by a flipped bit: every byte of the slots counts', async () => {
    const store = await stored()
    const { bytes } = (await store.read('slots'))!
    const keysetBytes = (await store.read('keyset'))!.bytes
    const step = bytes.length > 4000 ? 7 : 1
    for (let at = 0; at < bytes.length; at += at < 120 || at > bytes.length - 150 ? 1 : step) {
      for (const change of [flipped(bytes, at), resummed(flipped(bytes, at))]) {
        if (change.every((byte, index) => byte === bytes[index])) continue
        const altered = memoryStateStore()
        await altered.write('keyset', 1, keysetBytes)
        await altered.write('slots', 1, change)
        await failure(
          () => testSlot(altered, byCode),
          ...(['malformed', 'unsupported', 'authentication-failed', 'key-not-found'] as const),
        )
      }
    }
  })
})

describe('testSlot', () => {
  it('says which slot opens, and leaves everything as it is', async () => {
    const store = await stored()
    await addSlot(store, keyset, friend.card(), { label: 'Friend' })
    const before = (await store.read('slots'))!.version
    expect(await testSlot(store, byCode)).toMatchObject({ kind: 'code', label: 'Sheet', isCurrent: true })
    expect(await testSlot(store, friend)).toMatchObject({ kind: 'card', label: 'Friend', isCurrent: true })
    expect((await store.read('slots'))!.version).toBe(before)
    expect(Object.keys(await testSlot(store, byCode)).sort()).toEqual(['created', 'id', 'isCurrent', 'kind', 'label'])
  })

  it('fails as recovery would', async () => {
    await failure(() => testSlot(memoryStateStore(), byCode), 'missing')
    await failure(async () => testSlot(await stored(), friend), 'key-not-found')
    await expect(testSlot(memoryStateStore(), {} as never)).rejects.toThrow(TypeError)
  })
})
