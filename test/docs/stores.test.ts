// The examples of docs/stores.md run, and its table says what operations cost.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3Client } from '@aws-sdk/client-s3'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { deriveClient, generateTypedKey } from '../../src/client.ts'
import {
  changeKeyset,
  checkWriter,
  type Keyset,
  type KeysetWriter,
  labelOf,
  loadKeyset,
  openFrom,
  openLog,
  openWriter,
  rekeyBlocks,
  saveKeyset,
  sealInto,
  shareFrom,
  verifyBlocks,
} from '../../src/index.ts'
import { addSlot, deriveRecoveryKey, recoverKeyset, testSlot } from '../../src/recovery.ts'
import { openKeyRegistry, saveCredential, verifyCredential } from '../../src/server.ts'
import {
  type BlobStore,
  type Blocks,
  blocksIn,
  checkBlocks,
  checkStore,
  memoryBlobStore,
  memoryStateStore,
  type RegistryStore,
  type SharedBlocks,
  type StateStore,
} from '../../src/stores.ts'
import { s3BlobStore, s3StateStore } from '../../src/stores/s3.ts'
import { createProfile, deriveLogin, loadProfile, saveProfile } from '../../src/vault.ts'
import { ALICE, all, failure, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { CountingBucket } from './counting.ts'
import { functionsOf, noting, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['stores.md'])

interface StoresGuide {
  openFolder(path: string): Promise<{ state: StateStore; blocks: SharedBlocks }>
  openBucket(client: S3Client, bucket: string): { state: StateStore; blocks: SharedBlocks }
  storeOfUser(server: StateStore, id: string, bucket: StateStore): StateStore
  backUpInto(
    state: StateStore,
    blocks: Blocks,
    file: ReadableStream<Uint8Array>,
    writer: KeysetWriter,
  ): Promise<string[]>
  regenerateAndMove(
    state: StateStore,
    blocks: Blocks,
    keyset: Keyset,
    atLeast: string,
    send: (hostExport: Uint8Array) => Promise<void>,
  ): Promise<Keyset>
  testStores(connect: () => Promise<StateStore>, open: () => Promise<BlobStore>): Promise<void>
}

const bytes = (text: string) => new TextEncoder().encode(text)
const bucketOf = (bucket: CountingBucket) => bucket as unknown as S3Client

describe('docs/stores.md', () => {
  it('keeps keys and blocks in stores, and puts them under new key pairs', async () => {
    const functions = await functionsOf<StoresGuide>(paths)
    const { of, called } = noting(functions)
    const folder = mkdtempSync(join(tmpdir(), 'keystrata-guide-'))
    try {
      for (const { state, blocks } of [
        await of.openFolder(join(folder, 'a')),
        of.openBucket(bucketOf(new CountingBucket()), 'x'),
      ]) {
        const keyset = await makeKeyset()
        await saveKeyset(state, keyset)
        const writer = openWriter(keyset.export('host'))
        const file = () => new Blob(['a file']).stream()
        const refs = await of.backUpInto(state, blocks, file(), writer)
        expect(await of.backUpInto(state, blocks, file(), writer)).toEqual(refs)

        const position = await openLog(state, 'backups', writer).append(bytes(refs[0]!))
        const sent: Uint8Array[] = []
        const send = async (hostExport: Uint8Array) => void sent.push(hostExport)
        const loaded = await loadKeyset(state, PASSWORD)
        const last = await of.regenerateAndMove(state, blocks, loaded, position, send)
        expect(sent.map((each) => openWriter(each).revision.split('-')[0])).toEqual(['2', '3'])
        expect(last.retired).toBe(0)
        expect((await openLog(state, 'backups', last).last({ atLeast: position }))?.position).toBe(position)
        expect(Buffer.concat(await all(openFrom(blocks, last, refs))).toString()).toBe('a file')
        await failure(() => all(openFrom(blocks, keyset, refs)), 'key-not-found')
        await failure(() => of.backUpInto(state, blocks, file(), writer), 'stale-export')
        expect(await of.backUpInto(state, blocks, file(), openWriter(sent[1]!))).toEqual(refs)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }

    const [server, bucket] = [memoryStateStore(), memoryStateStore()]
    const store = of.storeOfUser(server, '17', bucket)
    await store.write('profile', 1, bytes('profile'))
    await store.write('keyring/1', 1, bytes('keyring'))
    expect(await server.read('user/17/profile')).toEqual({ version: 1, bytes: bytes('profile') })
    expect(await bucket.read('keyring/1')).toEqual({ version: 1, bytes: bytes('keyring') })
    await expect(store.read('login/1')).rejects.toThrow(TypeError)

    const log = vi.spyOn(console, 'log').mockReturnValue()
    await of.testStores(
      async () => memoryStateStore(),
      async () => memoryBlobStore(),
    )
    expect(log).toHaveBeenCalledWith('kept: drop deletes what is below')
    expect(log).toHaveBeenCalledWith('kept: put never replaces')
    const broken = { ...memoryBlobStore(), put: async () => true }
    const tested = of.testStores(
      async () => memoryStateStore(),
      async () => broken,
    )
    await expect(tested).rejects.toThrow('put')
    log.mockRestore()
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('is right about damaged envelopes, and about ciphertexts that no head names', async () => {
    const [keyset, blobs] = [await makeKeyset(), memoryBlobStore()]
    const blocks = blocksIn(blobs)
    const [one, two] = await all(sealInto(blocks, keyset, [sample(9), sample(9, 2)]))
    const name = `head/${labelOf(one!.ref)}`
    const head = (await blobs.get(name))!
    const damaged = Uint8Array.from(head, (byte, index) => (index === 1000 ? byte ^ 1 : byte))
    await blobs.replace(name, head, damaged)
    expect(await all(checkBlocks(blobs, { readData: true }))).toEqual([])
    const results = await all(verifyBlocks(blocks, keyset, [one!.ref, two!.ref]))
    expect(results.map(({ error }) => error?.code)).toEqual(['authentication-failed', undefined])

    await blocks.delete(labelOf(one!.ref))
    const named: Set<string> = new Set()
    for (const start of ['head/', 'share/'])
      for await (const found of blobs.list(start))
        named.add(Buffer.from((await blobs.get(found.name))!.subarray(-32)).toString('hex'))
    const unnamed = (await all(blobs.list('data/'))).filter((found) => !named.has(found.name.slice('data/'.length)))
    expect(unnamed).toHaveLength(1)
    await blobs.delete(unnamed[0]!.name)
    expect(await all(openFrom(blocks, keyset, [two!.ref]))).toEqual([sample(9, 2)])
  })

  it('is right about two branches, and about the versions that a store keeps', async () => {
    const state = memoryStateStore()
    const keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    const [one, other] = [await keyset.changePassword('one'), keyset.regenerate()]
    await saveKeyset(state, one)
    await failure(() => saveKeyset(state, other), 'forked')
    // The branch that has regenerated adopts the other one, and the password that is stored stays.
    await failure(() => loadKeyset(state, PASSWORD), 'wrong-password')
    const stored = await loadKeyset(state, 'one')
    await saveKeyset(state, stored.adopt(other))
    let last = await loadKeyset(state, 'one')
    for (let change = 0; change < 9; change++) last = await changeKeyset(state, last, (newest) => newest.regenerate())
    const { version } = (await state.read('keyset'))!
    const kept: number[] = []
    for await (const each of state.readVersions!('keyset', 1)) kept.push(each.version)
    expect(kept).toEqual(Array.from({ length: 8 }, (_, index) => version - 7 + index))
    await changeKeyset(state, last, (newest) => newest.changePassword('two', { newMaster: true }))
    expect(await state.readVersion('keyset', version)).toBeUndefined()
  })

  it('is right about what `checkStore` does', async () => {
    const [state, blobs] = [new CountingStore(), new CountingBlobs()]
    for (let start = 0; start < 2; start++) {
      expect(callsIn(await state.during(() => checkStore(state)))).toBeLessThanOrEqual(50)
      expect(callsIn(await blobs.during(() => checkStore(blobs)))).toBeLessThanOrEqual(50)
    }
    expect(state.names).toEqual(new Set(['check', 'check/1']))
    expect(await all(blobs.inner.list(''))).toEqual([])
    const ignoring = memoryBlobStore()
    await expect(
      checkStore({ ...ignoring, put: async (...given) => (await ignoring.put(...given), true) }),
    ).rejects.toThrow('it ignores the condition')
  })

  it('writes ciphertexts without a head if it is interrupted, and continues', async () => {
    const blobs = memoryBlobStore()
    const block = await (await makeKeyset()).seal(sample(100))
    const dying = {
      ...blobs,
      put: async (name: string, given: Uint8Array) => {
        if (name.startsWith('head/')) throw new Error('power cut')
        return blobs.put(name, given)
      },
    }
    await expect(blocksIn(dying).put(block)).rejects.toThrow('power cut')
    expect((await all(blobs.list(''))).map(({ name }) => name.split('/')[0])).toEqual(['data'])
    expect(await blocksIn(blobs).put(block)).toBe(true)
    await blocksIn(blobs).delete(block.label)
    expect((await all(blobs.list(''))).map(({ name }) => name.split('/')[0])).toEqual(['data'])
  })
})

/** A store in memory that counts its calls. It has no `readVersions`, so each version is a call. */
class CountingStore implements RegistryStore {
  readonly inner: RegistryStore = memoryStateStore()
  readonly names: Set<string> = new Set()
  #counts = { read: 0, write: 0, drop: 0, once: 0 }

  read(name: string): ReturnType<RegistryStore['read']> {
    this.#counts.read++
    return this.inner.read(name)
  }
  readVersion(name: string, version: number): ReturnType<RegistryStore['readVersion']> {
    this.#counts.read++
    return this.inner.readVersion(name, version)
  }
  write(name: string, version: number, given: Uint8Array): Promise<boolean> {
    this.#counts.write++
    this.names.add(name)
    return this.inner.write(name, version, given)
  }
  drop(name: string, below: number): Promise<void> {
    this.#counts.drop++
    return this.inner.drop(name, below)
  }
  once(key: string, until: Date): Promise<boolean> {
    this.#counts.once++
    return this.inner.once(key, until)
  }

  /** Returns how many calls `work` makes, such as `2 reads, 1 write`. */
  async during(work: () => Promise<unknown>): Promise<string> {
    this.#counts = { read: 0, write: 0, drop: 0, once: 0 }
    await work()
    return inWords(this.#counts)
  }
}

/** The same for blobs. */
class CountingBlobs implements BlobStore {
  readonly inner: BlobStore = memoryBlobStore()
  #counts = { get: 0, put: 0, replace: 0, list: 0 }

  get(name: string): ReturnType<BlobStore['get']> {
    this.#counts.get++
    return this.inner.get(name)
  }
  put(name: string, given: Uint8Array): Promise<boolean> {
    this.#counts.put++
    return this.inner.put(name, given)
  }
  replace(name: string, expected: Uint8Array, next: Uint8Array): Promise<boolean> {
    this.#counts.replace++
    return this.inner.replace(name, expected, next)
  }
  delete(name: string): Promise<void> {
    return this.inner.delete(name)
  }
  list(prefix: string): ReturnType<BlobStore['list']> {
    this.#counts.list++
    return this.inner.list(prefix)
  }

  async during(work: () => Promise<unknown>): Promise<string> {
    this.#counts = { get: 0, put: 0, replace: 0, list: 0 }
    await work()
    return inWords(this.#counts)
  }
}

const inWords = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}${count > 1 && what !== 'once' ? 's' : ''}`)
    .join(', ')

const callsIn = (words: string) => words.split(', ').reduce((sum, part) => sum + Number(part.split(' ')[0]), 0)

/** The rows of a table in the guide, by their first cell. */
function tableAfter(title: string): ReadonlyMap<string, readonly string[]> {
  const [, table = ''] = textOf('stores.md').split(`${title}\n`)
  const rows = [...table.split('\n## ')[0]!.matchAll(/^\| (.*) \|$/gm)].map(([, row]) => row!.split(' | '))
  return new Map(rows.slice(2).map(([first, ...rest]) => [first!, rest]))
}

describe('what each operation costs', () => {
  const table = tableAfter('## What each operation costs')
  const measured: Set<string> = new Set()
  const bucket = new CountingBucket()
  const ofBucket = (prefix: string) => ({ client: bucketOf(bucket), bucket: 'x', prefix })
  const [state, blobs] = [new CountingStore(), new CountingBlobs()]
  const [s3State, s3Blobs] = [s3StateStore(ofBucket('state/')), s3BlobStore(ofBucket('blobs/'))]
  let keyset: Keyset

  /** Runs an operation on both stores, and compares what it costs with what the row says. */
  async function expectRow(
    row: string,
    ofState: ((store: StateStore) => Promise<unknown>) | undefined,
    ofBlobs?: (store: BlobStore) => Promise<unknown>,
  ) {
    measured.add(row)
    const calls =
      ofState === undefined ? await blobs.during(() => ofBlobs!(blobs)) : await state.during(() => ofState(state))
    const requests = await bucket.during(() => (ofState === undefined ? ofBlobs!(s3Blobs) : ofState(s3State)))
    expect([calls, requests], row).toEqual(table.get(row))
  }

  beforeAll(async () => {
    keyset = await makeKeyset()
  })

  it('of a keyset', async () => {
    await expectRow('`saveKeyset`, the first', (store) => saveKeyset(store, keyset))
    await expectRow('`loadKeyset`', (store) => loadKeyset(store, PASSWORD))
    await expectRow('`checkWriter`', (store) => checkWriter(store, keyset))
    const recoveryKey = await deriveRecoveryKey({ secret: sample(32) })
    for (const store of [state, s3State]) await addSlot(store, keyset, recoveryKey, { label: 'x' })
    await expectRow('`recoverKeyset`, `testSlot`', (store) => recoverKeyset(store, recoveryKey))
    await expectRow('`recoverKeyset`, `testSlot`', (store) => testSlot(store, recoveryKey))
    await expectRow('`changeKeyset`', (store) => changeKeyset(store, keyset, (newest) => newest.regenerate()))
  })

  it('of blocks', async () => {
    const contents = Array.from({ length: 10 }, (_, index) => sample(100, index + 1))
    const refsIn: Map<BlobStore, string[]> = new Map()
    const seal =
      (given: Uint8Array[], by: Keyset, shares: string[] = []) =>
      async (store: BlobStore) => {
        const sealed = await all(sealInto(blocksIn(store), by, given, { shares }))
        refsIn.set(
          store,
          sealed.map(({ ref }) => ref),
        )
      }
    await expectRow('`sealInto`, a new block', undefined, seal(contents.slice(0, 1), keyset))
    await expectRow('`sealInto`, a known block', undefined, seal(contents.slice(0, 1), keyset))
    await expectRow('`openFrom`, a ref', undefined, (store) =>
      all(openFrom(blocksIn(store), keyset, refsIn.get(store)!)),
    )
    for (const store of [blobs, s3Blobs]) await seal(contents.slice(0, 9), keyset)(store)
    const { keyset: sharing, share } = keyset.createShare()
    await expectRow('`shareFrom`, a block', undefined, (store) =>
      all(shareFrom(blocksIn(store), share, refsIn.get(store)!.slice(0, 1))),
    )
    await expectRow('`sealInto`, a new block for one share', undefined, seal(contents.slice(9), sharing, [share.id]))
    const regenerated = keyset.regenerate()
    const rekey = (expected: object) => async (store: BlobStore) =>
      expect(await rekeyBlocks(blocksIn(store), regenerated)).toMatchObject(expected)
    await expectRow('`rekeyBlocks`, 10 old heads', undefined, rekey({ rekeyed: 10 }))
    await expectRow('`rekeyBlocks`, 10 current heads', undefined, rekey({ current: 10 }))
  })

  it('of a log', async () => {
    const logs = new Map([state, s3State].map((store) => [store as StateStore, openLog(store, 'backups', keyset)]))
    const positions: Map<StateStore, string> = new Map()
    const append = async (store: StateStore) => void positions.set(store, await logs.get(store)!.append(sample(10)))
    for (const store of logs.keys()) for (let record = 1; record < 100; record++) await append(store)
    await expectRow('`append` to a log', append)
    await expectRow('`last`', (store) => logs.get(store)!.last())
    await expectRow('`read`, 100 records', async (store) => {
      expect(await all(openLog(store, 'backups', keyset).read())).toHaveLength(100)
    })
    const regenerated = keyset.regenerate()
    await expectRow('`reseal`, 100 records', (store) =>
      openLog(store, 'backups', regenerated).reseal({ atLeast: positions.get(store)! }),
    )
    // The first call on another object.
    const others = new Map([state, s3State].map((store) => [store as StateStore, openLog(store, 'others', keyset)]))
    for (const log of others.values()) for (let record = 0; record < 3; record++) await log.append(sample(10))
    const first = (name: string, by: Keyset) => async (store: StateStore) => openLog(store, name, by).last()
    const costs = async (work: (store: StateStore) => Promise<unknown>) => [
      await state.during(() => work(state)),
      await bucket.during(() => work(s3State)),
    ]
    expect(await costs(first('others', keyset))).toEqual(['4 reads', '5 GET'])
    expect(await costs(first('backups', regenerated))).toEqual(['6 reads', '8 GET'])
  })

  it('of a profile and its vaults', async () => {
    const login = await deriveLogin(PASSWORD, ALICE)
    const first = createProfile(login, { zeroTrust: true })
    for (const store of [state, s3State]) await saveCredential(store, first.record, login.credential, { cost: 10 })
    await expectRow('`saveProfile`, the first', (store) => saveProfile(store, first))
    await expectRow('`verifyCredential`', (store) => verifyCredential(store, login.credential, { cost: 10 }))
    const vaults: Map<StateStore, string> = new Map()
    for (const store of [state, s3State]) vaults.set(store, (await first.createVault(store)).vault.id)
    const profiles: Map<StateStore, Awaited<ReturnType<typeof loadProfile>>> = new Map()
    await expectRow('`loadProfile`, after a change', async (store) =>
      profiles.set(store, await loadProfile(store, login)),
    )
    await expectRow('`openVault`', (store) => profiles.get(store)!.openVault(store, vaults.get(store)!))
    await expectRow('`rotate`, one vault', (store) => profiles.get(store)!.rotate(store))
  })

  it('of a registry', async () => {
    const registry = openKeyRegistry(state, { realm: 'tests', server: 's' })
    const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
    const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
    const expectCalls = async (row: string, call: (challenge: Uint8Array) => Promise<unknown>) => {
      measured.add(row)
      const challenge = await registry.challenge()
      expect([await state.during(() => call(challenge)), '–'], row).toEqual(table.get(row))
    }
    await expectCalls('`enrol` of a registry', (challenge) =>
      registry.enrol(client.enrolment(challenge, { server: 's' }), { account: 'acme' }),
    )
    await expectCalls('`connect` of a registry', (challenge) =>
      registry.connect(client.prove(challenge, { server: 's' })),
    )
  })

  it('is measured for every row', () => {
    expect([...measured].sort()).toEqual([...table.keys()].sort())
  })
})
