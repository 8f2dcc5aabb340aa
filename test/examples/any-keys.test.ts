// Tests the small backup program with the keys of every key model. The program is the same for all of them.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { backUp, reseal, restore, type Store } from '../../examples/any-keys.ts'
import { deriveClient } from '../../src/client.ts'
import { type Keys, type Keyset, openLog, openWriter } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, type Vault } from '../../src/vault.ts'
import { ALICE, failure, makeKeyset, quick, sample } from '../fixtures.ts'
import { newFolder } from './tree.ts'

beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

const newStore = (): Store => ({ blocks: blocksIn(memoryBlobStore()), state: memoryStateStore() })

/** Creates a folder with small files, empty ones, equal ones, and one that needs several blocks. */
function makeFolder(): string {
  const folder = join(newFolder(), 'source')
  mkdirSync(join(folder, 'deep', 'deeper'), { recursive: true })
  writeFileSync(join(folder, 'empty'), '')
  writeFileSync(join(folder, 'deep', 'small'), sample(3000))
  writeFileSync(join(folder, 'deep', 'deeper', 'the same'), sample(3000))
  writeFileSync(join(folder, 'large'), sample(9 * 1024 * 1024, 7))
  return folder
}
const folder = makeFolder()

/** Returns the content of each file, by its path. */
const contentsOf = (root: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(root, name)).isFile())
      .sort()
      .map((name) => [name, Buffer.from(readFileSync(join(root, name))).toString('base64')]),
  )

async function restored(keys: Keys, store: Store, atLeast: string): Promise<Record<string, string>> {
  const target = join(newFolder(), 'restored')
  await restore(target, keys, store, atLeast)
  return contentsOf(target)
}

async function newVault(): Promise<Vault> {
  using login = await deriveLogin('password', ALICE)
  using profile = createProfile(login, { zeroTrust: true })
  return (await profile.createVault(memoryStateStore())).vault
}

async function newScope(name: 'private' | 'account'): Promise<Keys> {
  const privateKey = { type: 'AES-256', text: 'typed' } as const
  const accountKey = { type: 'AES-128', text: 'for all' } as const
  const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
  return (await deriveClient({ ...names, privateKey, accountKey })).scope(name)
}

const models: [string, () => Promise<Keys>][] = [
  ['a keyset', makeKeyset],
  ['a vault', newVault],
  ['the private scope of a client', () => newScope('private')],
  ['the account scope of a client', () => newScope('account')],
]

describe.each(models)('the backup program with %s', (_, newKeys) => {
  it('restores every file of the newest backup, also after resealing', async () => {
    const [keys, store] = [await newKeys(), newStore()]
    const first = await backUp(folder, keys, store)
    const position = await backUp(folder, keys, store)
    expect(Object.keys(contentsOf(folder))).toHaveLength(4)
    expect(await restored(keys, store, first)).toEqual(contentsOf(folder))
    expect(await reseal(keys, store, position)).toBe(position)
    expect(await restored(keys, store, position)).toEqual(contentsOf(folder))
  })

  it('packs small files, and stores equal content once', async () => {
    const [keys, store] = [await newKeys(), newStore()]
    await backUp(folder, keys, store)
    let blocks = 0
    for await (const { label } of store.blocks.heads()) blocks += label.length / 64
    // One pack, and two pieces of the large file.
    expect(blocks).toBe(3)
    await backUp(folder, keys, store)
    for await (const { label } of store.blocks.heads()) blocks -= label.length / 64
    expect(blocks).toBe(0)
  })

  it('ignores a backup that is not complete', async () => {
    const [keys, store] = [await newKeys(), newStore()]
    const position = await backUp(folder, keys, store)
    const stopping = { ...store, blocks: { ...bound(store), put: () => Promise.reject(new Error('the power is cut')) } }
    const changed = join(newFolder(), 'changed')
    mkdirSync(changed)
    writeFileSync(join(changed, 'another file'), sample(5))
    await expect(backUp(changed, keys, stopping)).rejects.toThrow('the power is cut')
    await openLog(store.state, 'backups', keys).append(Buffer.from('{"backup":"stopped","files":[]}'))
    expect(await restored(keys, store, position)).toEqual(contentsOf(folder))
  })

  it('restores beside records that do not open, but no backup that has lost one', async () => {
    const [keys, store] = [await newKeys(), newStore()]
    const { state } = store
    let log = ''
    const noting: StateStore = {
      ...state,
      write: async (name, version, bytes) => state.write((log = name), version, bytes),
    }
    const position = await backUp(folder, keys, { ...store, state: noting })
    const { version } = (await state.read(log))!
    expect(await state.write(log, version + 1, sample(300))).toBe(true)
    expect(await restored(keys, store, position)).toEqual(contentsOf(folder))
    const withoutFirst: StateStore = {
      read: (name) => state.read(name),
      readVersion: async (name, at) => (name === log && at === 1 ? sample(300) : state.readVersion(name, at)),
      write: (...written) => state.write(...written),
      drop: (...dropped) => state.drop(...dropped),
    }
    const damaged = { ...store, state: withoutFirst }
    await failure(() => restored(keys, damaged, position), 'malformed')
    await backUp(folder, keys, store)
    expect(await restored(keys, damaged, position)).toEqual(contentsOf(folder))
  })

  it('refuses a store that offers an older log', async () => {
    const [keys, store, older] = [await newKeys(), newStore(), memoryStateStore()]
    const { state } = store
    const both: typeof state = {
      ...state,
      write: async (...written) => (await older.write(...written)) && state.write(...written),
    }
    await backUp(folder, keys, { ...store, state: both })
    const position = await backUp(folder, keys, store)
    expect(await restored(keys, store, position)).toEqual(contentsOf(folder))
    const offered = { ...store, state: older }
    await failure(() => restore(join(newFolder(), 'restored'), keys, offered, position), 'rollback')
    await failure(() => reseal(keys, offered, position), 'rollback')
  })
})

const bound = ({ blocks }: Store): Store['blocks'] => ({
  has: (label) => blocks.has(label),
  get: (label) => blocks.get(label),
  put: (block) => blocks.put(block),
  heads: (options) => blocks.heads(options),
  replaceEnvelope: (head, next) => blocks.replaceEnvelope(head, next),
  delete: (label) => blocks.delete(label),
})

describe('the backup program with a host', () => {
  it('backs up with the writer alone, and beside a regeneration nothing is lost', async () => {
    const [keyset, store] = [await makeKeyset(), newStore()]
    using writer = openWriter(keyset.export('host'))
    const first = await backUp(folder, writer, store)
    using regenerated: Keyset = keyset.regenerate()
    for await (const head of store.blocks.heads()) await store.blocks.replaceEnvelope(head, regenerated.rekey(head))
    expect(await reseal(regenerated, store, first)).toBe(first)
    using newest = regenerated.forgetRetired('unchecked')
    using next = openWriter(newest.export('host'))
    const position = await backUp(folder, next, store)
    expect(await restored(newest, store, position)).toEqual(contentsOf(folder))
    await failure(() => restored(keyset, store, position), 'key-not-found')
  })
})
