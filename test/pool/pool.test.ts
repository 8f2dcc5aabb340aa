// A pool gives the same blocks and the same errors as the handles themselves, and runs a bounded number of tasks.
import {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  type KeystrataError,
  openWriter,
  type StoredBlock,
} from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { deriveClient } from '../../src/client.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recipeOf } from '../../src/core/recipe.ts'
import { createPool, type Pool } from '../../src/pool.ts'
import { disposeKeys, SecretKey } from '../../src/core/secret.ts'
import { verifyBlock } from '../../src/core/verify.ts'
import { ALICE, expectSame, failure, flipped, makeKeyset, PASSWORD, quickly, sample } from '../fixtures.ts'
import { mortalWorker, worker } from './source-pool.ts'

let pool: Pool
beforeAll(() => {
  pool = createPool({ threads: 2, worker })
})
afterAll(() => pool.close())

const keyset = await makeKeyset()
const unencrypted = await makeKeyset({ encryption: 'none' })
const names = { realm: 'tests', account: 'acme', name: 'desktop' }
const client = await quickly(() =>
  deriveClient({
    ...{ ...names, platform: 'linux' },
    ...{ privateKey: { type: 'AES-192', text: 'x' }, accountKey: { type: 'AES-128', text: 'y' } },
  }),
)
const login = await deriveLogin(PASSWORD, ALICE)
const { vault } = await createProfile(login, { zeroTrust: true }).createVault(memoryStateStore())

const doors: [string, BlockWriter, BlockReader][] = [
  ...(['scoped', 'global', 'off'] as const).map((dedup): [string, BlockWriter, BlockReader] => [
    `keyset ${dedup}`,
    openWriter(keyset.export('host'), { dedup }),
    keyset,
  ]),
  ['a host export', openWriter(keyset.export('host')), keyset],
  ['keyset without encryption', openWriter(unencrypted.export('host'), { encryption: 'none' }), unencrypted],
  ['vault', vault, vault],
  ...(['private', 'account', 'public'] as const).map((which): [string, BlockWriter, BlockReader] => [
    `client ${which}`,
    client.scope(which),
    which === 'public' ? client.scope(which) : client,
  ]),
  ['a scope of a client', client.scope('private'), client.scope('private')],
]

describe.each(doors)('%s', (_, writer, reader) => {
  let pooled: BlockWriter
  let opening: BlockReader
  beforeAll(() => {
    pooled = pool.writer(writer)
    opening = pool.reader(reader)
  })

  it.each([0, 1, 70_000])('seals and opens %i bytes as the handle does', async (length) => {
    const content = sample(length)
    const sealing = pooled.seal(content)
    content.fill(0xff)
    const block = await sealing
    expectSame(await reader.open(block), sample(length))
    expectSame(await opening.open(block), sample(length))
    const own = await writer.seal(sample(length))
    expect(own.label).toBe(block.label)
    expect([own.envelope.length, own.ciphertext.length]).toEqual([block.envelope.length, block.ciphertext.length])
    expectSame(await opening.open(own), sample(length))
    // The caller's buffers were not transferred.
    expect([own.envelope.length, own.ciphertext.length]).toEqual([block.envelope.length, block.ciphertext.length])
  })

  it('packs files as the handle does', async () => {
    const files = [sample(10), sample(300, 2)]
    const packing = pooled.pack(files)
    for (const file of files) file.fill(0xff)
    expect(await packing).toEqual(await writer.pack([sample(10), sample(300, 2)]))
    expect(files.map(({ length }) => length)).toEqual([10, 300])
    await failure(() => pooled.pack(Array.from({ length: 1025 }, () => new Uint8Array(0))), 'limit-exceeded')
    await expect(pooled.pack(['text'] as never)).rejects.toBeInstanceOf(TypeError)
  })

  it('prepares a block, and seals it once', async () => {
    const content = sample(1000)
    const preparing = pooled.prepare(content)
    content.fill(0)
    const prepared = await preparing
    expect(prepared.label).toBe((await writer.prepare(sample(1000))).label)
    expectSame(await reader.open(await prepared.seal()), sample(1000))
    await failure(() => prepared.seal(), 'disposed')
    const other = await pooled.prepare(sample(10))
    other.dispose()
    other.dispose()
    await failure(() => other.seal(), 'disposed')
  })

  it('throws the same errors', async () => {
    const block = await writer.seal(sample(40))
    const damaged = { ...block, ciphertext: flipped(block.ciphertext, 20) }
    await failure(() => opening.open(damaged), 'authentication-failed')
    await failure(() => opening.open({ ...block, label: 'x' }), 'malformed')
    await expect(opening.open({ ...block, envelope: 5 as never })).rejects.toBeInstanceOf(TypeError)
    await expect(pooled.seal('text' as never)).rejects.toBeInstanceOf(TypeError)
    await failure(() => pooled.seal(new Uint8Array(64 * 1024 * 1024 + 1)), 'limit-exceeded')
    await failure(() => pooled.prepare(new Uint8Array(64 * 1024 * 1024 + 1)), 'limit-exceeded')
  })
})

describe('shares', () => {
  it('get envelopes, and open their blocks, in workers', async () => {
    const { keyset: owner, share } = keyset.createShare()
    const writer = pool.writer(openWriter(owner.export('host')))
    const block = await writer.seal(sample(100), { shares: [share.id] })
    const recipient = owner.acceptShare(share.invite(owner.card()), owner.card())
    const opening = pool.reader(recipient)
    const asShared = (envelope: Uint8Array): StoredBlock => ({ ...block, envelope })
    expectSame(await opening.open(asShared(block.shared!.get(share.id)!)), sample(100))
    const prepared = await writer.prepare(sample(100))
    const envelopes = await prepared.envelopesFor([share.id])
    expectSame(await opening.open(asShared(envelopes.get(share.id)!)), sample(100))
    await failure(() => prepared.envelopesFor(['0'.repeat(32)]), 'key-not-found')
    prepared.dispose()
    await expect(writer.seal(sample(1), { shares: 'x' as never })).rejects.toBeInstanceOf(TypeError)
    await failure(() => opening.open(block), 'key-not-found')
  })

  it('exist only for keysets', async () => {
    await expect(pool.writer(vault).seal(sample(1), { shares: [] })).rejects.toBeInstanceOf(TypeError)
  })
})

describe('a rekeyer', () => {
  it('gives a new envelope for each head, and an error for one that is damaged or of another keyset', async () => {
    const writer = openWriter(keyset.export('host'))
    const blocks = await Promise.all(Array.from({ length: 90 }, (_, index) => writer.seal(sample(20, index + 1))))
    const next = keyset.regenerate()
    const foreign = await openWriter((await makeKeyset()).export('host')).seal(sample(6))
    const rekeyer = pool.rekeyer(next)
    const heads: BlockHead[] = [...blocks, { ...blocks[0]!, envelope: flipped(blocks[0]!.envelope, 60) }, foreign]
    const done = await Promise.allSettled(heads.map(async (head) => rekeyer.rekey(head)))
    for (const [index, outcome] of done.slice(0, 90).entries()) {
      const envelope = (outcome as PromiseFulfilledResult<Uint8Array>).value
      expect(rekeyer.isCurrent(envelope)).toBe(true)
      expectSame(await next.open({ ...blocks[index]!, envelope }), sample(20, index + 1))
    }
    expect(rekeyer.isCurrent(blocks[0]!.envelope)).toBe(false)
    const codes = (done.slice(90) as PromiseRejectedResult[]).map(({ reason }) => (reason as KeystrataError).code)
    expect(codes).toEqual(['authentication-failed', 'key-not-found'])
  })

  it('reads a head before the call returns', async () => {
    const block = await openWriter(keyset.export('host')).seal(sample(20))
    const next = keyset.regenerate()
    const envelope = new Uint8Array(block.envelope)
    const rekeying = pool.rekeyer(next).rekey({ ...block, envelope })
    envelope.fill(0)
    expectSame(await next.open({ ...block, envelope: await rekeying }), sample(20))
  })

  it('refuses what is not a head, and goes on', async () => {
    const block = await openWriter(keyset.export('host')).seal(sample(20))
    const rekeyer = pool.rekeyer(keyset.regenerate())
    for (const wrong of [{ label: 5 as never }, { label: (() => 'x') as never }, { envelope: 'x' as never }]) {
      await expect(rekeyer.rekey({ ...block, ...wrong })).rejects.toBeInstanceOf(TypeError)
    }
    expect((await rekeyer.rekey(block)).length).toBe(block.envelope.length)
    await expect(pool.reader(keyset).open({ ...block, label: (() => 'x') as never })).rejects.toBeInstanceOf(TypeError)
  })

  it('is made of a keyset, not of what only seals or opens', async () => {
    const block = await openWriter(keyset.export('host')).seal(sample(20))
    await expect(pool.rekeyer(vault as never).rekey(block)).rejects.toThrow('cannot rekey')
    expect(() => pool.rekeyer({ isCurrent: () => true, rekey: () => block.envelope })).toThrow(TypeError)
  })

  it('rejects every head that waits when its pool closes, and those of a thread that dies', async () => {
    const own = createPool({ threads: 1, worker })
    const block = await openWriter(keyset.export('host')).seal(sample(20))
    const rekeyer = own.rekeyer(keyset.regenerate())
    const rekeying = Array.from({ length: 200 }, async () => rekeyer.rekey(block))
    const closing = own.close()
    const outcomes = await Promise.allSettled(rekeying)
    await closing
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
    expect(refused.length).toBeGreaterThan(0)
    for (const { reason } of refused) expect((reason as KeystrataError).code).toBe('disposed')
    await failure(() => rekeyer.rekey(block), 'disposed')
  })

  const sharing = keyset.createShare()
  it.each<[string, object, string[]]>([
    ['a writer, without its signing key', openWriter(sharing.keyset.export('host')), ['block-salt', 'dedup']],
    ['a keyset', sharing.keyset, ['block-salt', 'dedup', 'ml-kem-1024', 'x25519']],
    ['a vault', vault, ['data']],
    ['a client, which opens all scopes', client, ['client', 'client']],
    ['the private scope', client.scope('private'), ['client']],
    ['the account scope', client.scope('account'), ['client']],
    ['the public scope', client.scope('public'), []],
  ])('gives threads only the keys that they need for %s', (_, handle, expected) => {
    const recipe = recipeOf(handle)
    const roles: string[] = []
    const collect = (value: unknown): void => {
      if (value instanceof SecretKey) roles.push(String(value.role))
      else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value))
        Object.values(value).forEach(collect)
    }
    collect(recipe)
    expect(roles.sort()).toEqual(expected)
    disposeKeys(recipe)
  })
})

it('a reader verifies blocks in its threads, and gives an error for each that does not open', async () => {
  const good = await openWriter(keyset.export('host')).seal(sample(50_000))
  const reader = pool.reader(keyset)
  await verifyBlock(reader, good)
  await failure(
    () => verifyBlock(reader, { ...good, ciphertext: flipped(good.ciphertext, 30_000) }),
    'authentication-failed',
  )
  await failure(() => verifyBlock(reader, { ...good, label: '0'.repeat(64) }), 'authentication-failed')
  expectSame(await reader.open(good), sample(50_000))
})

describe('a pool', () => {
  it('has 1 to 64 threads, and refuses handles that cannot be recreated in a worker', async () => {
    for (const threads of [0, 65, 1.5, NaN]) expect(() => createPool({ threads, worker })).toThrow(RangeError)
    expect(() => pool.writer({ ...vault })).toThrow(TypeError)
    const legacy = await quickly(() =>
      deriveLegacyClient({ ...names, platform: 'windows', privateKey: { type: 'DES-56', text: 'x' } }),
    )
    expect(() => pool.reader(legacy)).toThrow(TypeError)
    const gone = await makeKeyset()
    gone.dispose()
    await failure(() => pool.reader(gone), 'disposed')
  })

  it('has its own copies of keys until it is closed', async () => {
    const own = createPool({ threads: 1, worker })
    const mine = await makeKeyset()
    const block = await openWriter(mine.export('host')).seal(sample(30))
    const reader = own.reader(mine)
    mine.dispose()
    expectSame(await reader.open(block), sample(30))
    const running = Array.from({ length: 2 }, () => reader.open(block))
    const waiting = failure(() => reader.open(block), 'disposed')
    const closing = own.close()
    for (const each of running) expectSame(await each, sample(30))
    await waiting
    await closing
    await own.close()
    await failure(() => reader.open(block), 'disposed')
    await failure(() => own.reader(keyset), 'disposed')
    await failure(() => own.rekeyer(keyset), 'disposed')
    expect(() => pool.writer(pool.writer(vault))).toThrow('one of a worker pool already')
    expect(() => pool.reader(pool.reader(vault))).toThrow('one of a worker pool already')
  })

  it('reports a worker that dies, and replaces it', async () => {
    const own = createPool({ threads: 1, worker: mortalWorker })
    const [writer, reader] = [own.writer(vault), own.reader(vault)]
    const block = await writer.seal(sample(30))
    const prepared = await writer.prepare(sample(31))
    // Content of 666 bytes makes this worker exit.
    await expect(writer.seal(sample(666))).rejects.toThrow('a worker of the pool died')
    expectSame(await reader.open(block), sample(30))
    await expect(prepared.seal()).rejects.toThrow('a worker of the pool died')
    prepared.dispose()
    expectSame(await vault.open(await writer.seal(sample(32))), sample(32))
    await own.close()
  })

  // In browsers too. starting.test.ts has the causes on Node.
  it('says where it looked for a worker that cannot start, and what to pass', async () => {
    const own = createPool({ threads: 1, worker: new URL('nowhere.mjs', import.meta.url) })
    const sealing = own.writer(vault).seal(sample(1))
    await expect(sealing).rejects.toThrow(/could not start.*nowhere\.mjs.*pass createPool\(\{ worker \}\)/)
    await expect(sealing).rejects.toThrow(TypeError)
    await own.close()
  })
})
