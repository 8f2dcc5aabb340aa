// The examples of docs/legacy-des.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import { type Client, deriveClient, generateTypedKey } from '../../src/client.ts'
import { createDeviceKey } from '../../src/device.ts'
import { openLog, openPackMember, type SealedBlock, type StoredBlock } from '../../src/index.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { createPool } from '../../src/pool.ts'
import type { KeyRegistry } from '../../src/server.ts'
import { type BlobStore, blocksIn, memoryBlobStore, memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { all, failure, sample, streamOf } from '../fixtures.ts'
import { connectTo, depositIn, enrolIn } from '../registry-fixtures.ts'
import { functionsOf, noting, writeExamples } from './guide.ts'

const { paths } = writeExamples(['legacy-des.md'])

interface LegacyGuide {
  registries(store: RegistryStore): { registry: KeyRegistry; forTheMove: KeyRegistry }
  moveToAes(
    text: string,
    blocks: AsyncIterable<SealedBlock>,
    modern: Client,
    keep: (old: string, block: SealedBlock) => Promise<void>,
  ): Promise<void>
  deleteOld(blobs: BlobStore, block: StoredBlock): Promise<void>
}

const names = { realm: 'com.example.backup', account: 'customer-17', platform: 'linux' } as const
const privateKey = { type: 'DES-56', text: 'asigra56' } as const
const sealing = () => deriveLegacyClient({ ...names, name: 'old', privateKey, dangerouslyAllowDes: true })
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

describe('docs/legacy-des.md', () => {
  it('moves data from DES to AES, past mandatory safeguarding', async () => {
    const functions = await functionsOf<LegacyGuide>(paths)
    const { of, called } = noting(functions)
    const accountKey = generateTypedKey('AES-128')
    const [old, modern] = await Promise.all([
      sealing(),
      deriveClient({ ...names, name: 'new', privateKey: generateTypedKey('AES-256'), accountKey }),
    ])
    const { registry, forTheMove } = of.registries(memoryStateStore())
    await enrolIn(registry, modern)
    await failure(() => connectTo(registry, modern), 'safeguarding-required')
    await depositIn(registry, modern)
    expect((await connectTo(registry, modern)).safeguarded).toBe(true)
    const joined = await old.withAccountKey(accountKey)
    await enrolIn(registry, joined)
    await failure(() => connectTo(registry, joined), 'safeguarding-required')
    await failure(() => connectTo(forTheMove, old), 'account-key-required')
    expect((await connectTo(forTheMove, joined)).name).toBe('old')

    const writer = old.scope('private')
    const { content, members } = await writer.pack([Buffer.from('one'), Buffer.from('two')])
    const stored = await Promise.all([writer.seal(content), writer.seal(Buffer.from('three'))])
    const moved: Map<string, SealedBlock> = new Map()
    await of.moveToAes('asigra56', streamOf(stored), modern, async (label, block) => void moved.set(label, block))
    const [pack, three] = await Promise.all(stored.map(({ label }) => modern.open(moved.get(label)!)))
    expect(text(three!)).toBe('three')
    expect(await Promise.all(members.map(async (member) => text(await openPackMember(pack!, member))))).toEqual([
      'one',
      'two',
    ])
    expect([...moved].every(([label, block]) => label !== block.label)).toBe(true)
    const blobs = memoryBlobStore()
    for (const block of stored) await blocksIn(blobs).put(block)
    await of.deleteOld(blobs, stored[0])
    expect(await blocksIn(blobs).get(stored[0].label)).toBeUndefined()
    expect(await all(blobs.list('data/'))).toHaveLength(1)
    // The sizes that the docstring of BlockHead.envelope gives.
    const open = await modern.scope('public').seal(Buffer.from('four'))
    const lengths = [stored[0], moved.get(stored[0].label)!, open].map(({ envelope }) => envelope.length)
    expect(lengths).toEqual([88, 112, 49])
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('is right about what a client under DES can do', async () => {
    const [able, old] = [await sealing(), await deriveLegacyClient({ ...names, name: 'old', privateKey })]
    const block = await able.scope('private').seal(sample(100))
    expect(await old.open(block)).toEqual(sample(100))
    await failure(() => old.scope('private').seal(sample(100)), 'policy')
    const open = await old.scope('public').seal(sample(100))
    expect(await old.scope('public').open(open)).toEqual(sample(100))
    const joined = await old.withAccountKey(generateTypedKey('AES-128'))
    expect(await joined.open(await joined.scope('account').seal(sample(100)))).toEqual(sample(100))
    await failure(() => openLog(memoryStateStore(), 'backups', able.scope('private')).append(sample(1)), 'policy')
    await failure(() => old.save(createDeviceKey()), 'policy')
    await failure(() => old.safeguard(), 'policy')
    const nine = { ...names, name: 'old', privateKey: { type: 'DES-56', text: 'asigra567' } } as const
    await failure(() => deriveLegacyClient(nine), 'invalid-text')
    await using pool = createPool()
    expect(() => pool.writer(able.scope('private'))).toThrow(TypeError)
    const forged = { ...block, ciphertext: block.ciphertext.map((byte, index) => (index === 0 ? byte ^ 1 : byte)) }
    await failure(() => old.open(forged), 'authentication-failed')
  })
})
