// Tests what the keyset demo does when other machines change the keyset, or write blocks, while it runs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FolderStore, folderStore } from '../../examples/backup-store.ts'
import type { Demo } from '../../examples/demo.ts'
import { keysetDemo, ownKeyset } from '../../examples/demo-keyset.ts'
import { regenerate } from '../../examples/demo-regenerate.ts'
import { BackupLog, BACKUPS, readBackups } from '../../examples/backup-log.ts'
import { changeKeyset, type Keyset, loadKeyset, openLog, openWriter, saveKeyset } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { failure, makeKeyset, PASSWORD, quick, sample } from '../fixtures.ts'
import { newFolder } from './tree.ts'

beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

/** A store with a cheap keyset, one block of it, and a host that has its export. */
async function started(): Promise<{ store: FolderStore; keyset: Keyset }> {
  const store = folderStore(newFolder())
  const keyset = await makeKeyset()
  await saveKeyset(store.state, keyset)
  await store.blocks.put(await openWriter(keyset.export('host')).seal(sample(100)))
  return { store, keyset }
}

const demoOf = (store: FolderStore, backUp: Demo['backUp']): Demo => ({
  store,
  password: PASSWORD,
  restoreOnly: false,
  folder: '/nowhere',
  snapshot: undefined,
  atLeast: undefined,
  regenerate: false,
  share: undefined,
  sheet: '/nowhere.html',
  backUp,
  restore: async () => undefined,
})

/** Makes a backup of nothing. Returns the position of its last record. */
async function backedUp({ state }: FolderStore, keyset: Keyset): Promise<string> {
  const index = new BackupLog(openLog(state, BACKUPS, keyset))
  await index.finish({ created: '', files: 0, bytes: 0 })
  return index.position!
}

/** What another machine does meanwhile. */
async function changedElsewhere({ state }: FolderStore): Promise<void> {
  using other = await loadKeyset(state, PASSWORD)
  using changed = await changeKeyset(state, other, (newest) => newest.regenerate())
  expect(changed.retired).toBe(1)
}

describe('the keyset demo', () => {
  it('uses the keyset that is stored, and refuses another password', async () => {
    const { store, keyset } = await started()
    using again = await ownKeyset(store.state, PASSWORD)
    expect([again.id, again.revision]).toEqual([keyset.id, keyset.revision])
    await failure(() => ownKeyset(store.state, 'another'), 'wrong-password')
  })

  it('fails with stale-export if another machine changes the keyset during the backup', async () => {
    const { store } = await started()
    const demo = demoOf(store, async (_, index) => {
      await changedElsewhere(store)
      await index.finish({ created: '', files: 0, bytes: 0 })
    })
    await failure(() => keysetDemo(demo), 'stale-export')
    // The next run has the new export.
    const next = demoOf(store, (_, index) => index.finish({ created: '', files: 0, bytes: 0 }))
    await keysetDemo(next)
  })
})

describe('regenerating', () => {
  it('moves every head and the index to the new key pair, and then forgets the old one', async () => {
    const { store, keyset } = await started()
    using last = await regenerate(store, keyset, await backedUp(store, keyset))
    expect(last.retired).toBe(0)
    using reader = await loadKeyset(store.state, PASSWORD, { atLeast: last.revision })
    let heads = 0
    for await (const { label } of store.blocks.heads()) {
      heads++
      expect(await reader.open((await store.blocks.get(label))!)).toEqual(sample(100))
    }
    expect(heads).toBe(1)
    expect((await readBackups(openLog(store.state, BACKUPS, reader))).snapshots).toBe(1)
  })

  it('keeps the old key pair if a host that is late writes under it, and finishes in a second run', async () => {
    const { store, keyset } = await started()
    const late = openWriter(keyset.export('host'))
    const { blocks } = store
    const position = await backedUp(store, keyset)
    let scans = 0
    const racing: FolderStore = {
      ...store,
      blocks: Object.assign(Object.create(blocks) as typeof blocks, {
        shared: (share: string) => blocks.shared(share),
        replaceEnvelope: (...args: Parameters<typeof blocks.replaceEnvelope>) => blocks.replaceEnvelope(...args),
        async *heads() {
          // The late block arrives after rekeying, and before the check.
          if (++scans === 2) await blocks.put(await late.seal(sample(50, 2)))
          yield* blocks.heads()
        },
      }),
    }
    await failure(() => regenerate(racing, keyset, position), 'policy')
    using between = await loadKeyset(store.state, PASSWORD)
    expect(between.retired).toBe(1)
    using last = await regenerate(store, between, position)
    expect(last.retired).toBe(0)
    for await (const { label } of blocks.heads()) await last.open((await blocks.get(label))!)
  })
})
