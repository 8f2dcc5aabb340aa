import { describe, expect, it } from 'vitest'
import { checkRetired, type Keyset, openLog, openWriter, unlockKeyset } from '../../src/index.ts'
import { blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { ALICE, failure, makeKeyset, PASSWORD, patched, quickly, sample } from '../fixtures.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'

const old = await makeKeyset({ encryption: 'none' })
const keyset = old.regenerate({ encryption: 'x25519' })
const stranger = await makeKeyset()
const NONE = { logs: [] } as const

async function storeOf(...sealed: readonly (readonly [Keyset, number, object?])[]) {
  const blobs = memoryBlobStore()
  const blocks = blocksIn(blobs)
  for (const [owner, seed, options] of sealed) {
    await blocks.put(
      await openWriter(owner.export('host'), { encryption: 'x25519', ...options }).seal(sample(20, seed)),
    )
  }
  return { blobs, blocks }
}

describe('checkRetired', () => {
  it('passes if every block is under the current key pair, and says what it looked at', async () => {
    const { blocks } = await storeOf([keyset, 1], [keyset, 2])
    const checked = await checkRetired(blocks, keyset, NONE)
    expect(checked).toEqual({ keyset: keyset.id, revision: keyset.revision, heads: 2 })
    expect(keyset.forgetRetired(checked).retired).toBe(0)
  })

  it('refuses while a block is under a retired key pair, with counts', async () => {
    const { blocks } = await storeOf([old, 1], [keyset, 2], [old, 3])
    const error = await failure(() => checkRetired(blocks, keyset, NONE), 'policy')
    expect(error.detail).toEqual({
      rule: 'retired-keys',
      heads: 3,
      retired: 2,
      unencrypted: 0,
      unknown: 0,
      records: 0,
      first: error.detail['first'],
    })
    expect(old.isCurrent((await blocks.get(String(error.detail['first'])))!.envelope)).toBe(true)
    for await (const head of blocks.heads()) await blocks.replaceEnvelope(head, keyset.rekey(head))
    expect((await checkRetired(blocks, keyset, NONE)).heads).toBe(3)
  })

  it('refuses unencrypted blocks that only a retired key pair accepts', async () => {
    const { blocks } = await storeOf([old, 1, { encryption: 'none' }])
    const error = await failure(() => checkRetired(blocks, keyset, NONE), 'policy')
    expect(error.detail).toMatchObject({ heads: 1, retired: 0, unencrypted: 1, unknown: 0 })
    // Forgetting would make them unreadable.
    const label = String(error.detail['first'])
    const block = (await blocks.get(label))!
    await keyset.open(block)
    await failure(() => keyset.forgetRetired('unchecked').open(block), 'policy')
    // If the current key pair accepts them, they only have to name it.
    const lax = old.regenerate()
    expect((await failure(() => checkRetired(blocks, lax, NONE), 'policy')).detail).toMatchObject({ retired: 1 })
    for await (const head of blocks.heads()) await blocks.replaceEnvelope(head, lax.rekey(head))
    expect((await checkRetired(blocks, lax, NONE)).heads).toBe(1)
  })

  it('passes by unencrypted blocks of an adopted keyset, which no key pair accepts, and by blocks of others', async () => {
    const { blocks } = await storeOf([old, 1, { encryption: 'none' }], [stranger, 2, { encryption: 'hybrid' }])
    const login = await quickly(() => deriveLogin(PASSWORD, ALICE))
    const { vault } = await createProfile(login, { zeroTrust: true }).createVault(memoryStateStore())
    await blocks.put(await vault.seal(sample(20)))
    expect((await checkRetired(blocks, (await makeKeyset()).adopt(old), NONE)).heads).toBe(3)
  })

  it('refuses if a head is damaged or of a later release, because nobody can tell', async () => {
    const { blobs, blocks } = await storeOf([keyset, 1])
    const { envelope } = await keyset.seal(sample(1))
    const later = new Uint8Array([0, 0, 0, 9, ...patched(envelope, 4, [2]), ...sample(32)])
    for (const [index, bytes] of [new Uint8Array(0), sample(300), later].entries()) {
      await blobs.put(`head/${String(index).repeat(64)}`, bytes)
    }
    const error = await failure(() => checkRetired(blocks, keyset, NONE), 'policy')
    expect(error.detail).toEqual({
      rule: 'retired-keys',
      heads: 4,
      retired: 0,
      unencrypted: 0,
      unknown: 3,
      records: 0,
      first: '0'.repeat(64),
    })
    expect(error.message).toContain('do not delete')
  })

  it('looks for the key pairs of adopted keysets too', async () => {
    const adopter = stranger.adopt(keyset)
    const { blocks } = await storeOf([old, 1], [keyset, 2])
    const error = await failure(() => checkRetired(blocks, adopter, NONE), 'policy')
    expect(error.detail).toMatchObject({ retired: 2 })
  })

  it('refuses a keyset from a definition, which has no retired key pairs', async () => {
    using definition = await unlockKeyset(keyset.export('definition'), PASSWORD)
    await failure(async () => checkRetired((await storeOf()).blocks, definition, NONE), 'policy')
  })

  it('stops when it is aborted', async () => {
    const { blocks } = await storeOf([keyset, 1], [keyset, 2])
    for (const each of [blocks, (await storeOf()).blocks]) {
      await failure(() => checkRetired(each, keyset, { ...NONE, signal: AbortSignal.abort() }), 'aborted')
    }
    const controller = new AbortController()
    const stopping = {
      async *heads() {
        for await (const head of blocks.heads()) {
          yield head
          controller.abort()
        }
      },
    }
    await failure(() => checkRetired(stopping, keyset, { ...NONE, signal: controller.signal }), 'aborted')
  })

  it('refuses while a record of a log is under a retired key pair, until the log is resealed', async () => {
    const { blocks } = await storeOf([keyset, 1])
    const store = memoryStateStore()
    const names = ['backups', 'notes'] as const
    const logsOf = (by: Keyset) => names.map((name) => openLog(store, name, by))
    const positions: string[] = []
    for (const log of logsOf(old)) {
      await log.append(sample(5, 1))
      positions.push(await log.append(sample(5, 2)))
    }
    const error = await failure(() => checkRetired(blocks, keyset, { logs: logsOf(keyset) }), 'policy')
    expect(error.detail).toEqual({
      ...{ rule: 'retired-keys', heads: 1, retired: 0, unencrypted: 0, unknown: 0, records: 4 },
    })
    expect(error.message).toContain('reseal their logs')
    // A log that is not named is not looked at: a store cannot list logs.
    expect((await checkRetired(blocks, keyset, NONE)).heads).toBe(1)
    const [backups, notes] = logsOf(keyset)
    await backups!.reseal({ atLeast: positions[0]! })
    const rest = await failure(() => checkRetired(blocks, keyset, { logs: [backups!, notes!] }), 'policy')
    expect(rest.detail).toMatchObject({ records: 2 })
    await notes!.reseal({ atLeast: positions[1]! })
    const checked = await checkRetired(blocks, keyset, { logs: logsOf(keyset) })
    const forgotten = keyset.forgetRetired(checked)
    for (const log of logsOf(forgotten)) expect((await log.last())!.content).toEqual(sample(5, 2))
    // An old host that goes on writing is found.
    await openLog(store, 'notes', openWriter(old.export('host'), { encryption: 'x25519' })).append(sample(5, 3))
    const late = await failure(() => checkRetired(blocks, keyset, { logs: logsOf(keyset) }), 'policy')
    expect(late.detail).toMatchObject({ records: 1 })
  })

  it('counts blocks and records together, and says what to do first', async () => {
    const { blocks } = await storeOf([old, 1])
    const log = openLog(memoryStateStore(), 'backups', keyset)
    await openLog(memoryStateStore(), 'backups', old).append(sample(5))
    expect((await failure(() => checkRetired(blocks, keyset, { logs: [log] }), 'policy')).detail).toMatchObject({
      ...{ retired: 1, records: 0 },
    })
    const store = memoryStateStore()
    await openLog(store, 'backups', old).append(sample(5))
    const both = await failure(
      () => checkRetired(blocks, keyset, { logs: [openLog(store, 'backups', keyset)] }),
      'policy',
    )
    expect(both.detail).toMatchObject({ retired: 1, records: 1 })
    expect(both.message).toContain('rekey them first')
  })

  it('passes by markers and garbage in a log, which name no key pair', async () => {
    const { blocks } = await storeOf()
    const store = memoryStateStore()
    const log = openLog(store, 'backups', keyset)
    const first = await log.append(sample(5, 1))
    await log.reseal({ atLeast: first, leaveOut: [first] })
    const name =
      'log/' + String((await failure(() => log.last({ atLeast: `9-${'0'.repeat(32)}` }), 'rollback')).detail['log'])
    await store.write(`${name}/1`, 2, sample(400))
    await store.write(`${name}/1`, 3, new Uint8Array(0))
    expect((await checkRetired(blocks, keyset, { logs: [log] })).heads).toBe(0)
  })

  it('stops between two records when it is aborted', async () => {
    const { blocks } = await storeOf()
    const store = memoryStateStore()
    const log = openLog(store, 'backups', keyset)
    await log.append(sample(5))
    const controller = new AbortController()
    const reading: StateStore = {
      ...store,
      async read(each) {
        controller.abort()
        return store.read(each)
      },
    }
    const options = { logs: [openLog(reading, 'backups', keyset)], signal: controller.signal }
    await failure(() => checkRetired(blocks, keyset, options), 'aborted')
  })

  it('refuses what is no log', async () => {
    const { blocks } = await storeOf()
    const log = openLog(memoryStateStore(), 'backups', keyset)
    for (const logs of [undefined, [1], {}, log, [log, { read: log.read }]]) {
      await expect(checkRetired(blocks, keyset, { logs: logs as never })).rejects.toThrow(TypeError)
    }
  })
})
