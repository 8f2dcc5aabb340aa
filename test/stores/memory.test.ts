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

describe('a BlobStore in memory', () => {
  it.each(blobStoreLaws(memoryBlobStore))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore, and keeps nothing of it', async () => {
    const store = memoryBlobStore()
    await checkStore(store)
    for await (const { name } of store.list('')) throw new Error(`${name} was left behind`)
  })
})
