import { describe, expect, it } from 'vitest'
import { blobStoreLaws, registryStoreLaws } from '../../src/stores/contract.ts'
import { checkStore, memoryBlobStore, memoryStateStore } from '../../src/stores.ts'

describe('a StateStore in memory', () => {
  it.each(registryStoreLaws(memoryStateStore))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore again and again', async () => {
    const store = memoryStateStore()
    for (let start = 0; start < 3; start++) await checkStore(store)
    await expect(Promise.all([checkStore(store), checkStore(store), checkStore(store)])).resolves.toBeDefined()
  })

  it('forgets a key after its date', async () => {
    const store = memoryStateStore()
    expect(await store.once('key', new Date(Date.now() - 1))).toBe(true)
    expect(await store.once('key', new Date(Date.now() + 60_000))).toBe(true)
    expect(await store.once('key', new Date(Date.now() + 60_000))).toBe(false)
  })
})

describe('checkStore', () => {
  it.each([undefined, null, {}, 'store', { read: () => undefined }])('refuses %j, which is no store', async (store) => {
    await expect(checkStore(store as never)).rejects.toThrow('takes a StateStore or a BlobStore')
  })

  it('tests a store that is both, in both ways', async () => {
    const both = { ...memoryStateStore(), ...memoryBlobStore() }
    await checkStore(both)
    await expect(checkStore({ ...both, put: async () => true })).rejects.toThrow('it ignores the condition')
    await expect(checkStore({ ...both, write: async () => true })).rejects.toThrow('this store cannot be used')
  })
})

describe('a BlobStore in memory', () => {
  it.each(blobStoreLaws(memoryBlobStore))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore, and keeps nothing of it', async () => {
    const store = memoryBlobStore()
    await checkStore(store)
    for await (const { name } of store.list('')) throw new Error(`${name} was left behind`)
  })
})
