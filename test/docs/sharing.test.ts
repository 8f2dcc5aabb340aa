// The examples of docs/sharing.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import {
  type BlockReader,
  type Keyset,
  type KeysetWriter,
  loadKeyset,
  openLog,
  openWriter,
  packInto,
  saveKeyset,
  type Share,
  type SharedReader,
  shareFrom,
  type StoredBlock,
} from '../../src/index.ts'
import {
  blocksIn,
  memoryBlobStore,
  memoryStateStore,
  prefixed,
  type SharedBlocks,
  type StateStore,
} from '../../src/stores.ts'
import { all, failure, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { functionsOf, noting, printed, quietly, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['sharing.md'])

interface SharingGuide {
  share(
    state: StateStore,
    owner: Keyset,
    card: Uint8Array,
    fingerprint: string,
  ): Promise<{ shareId: string; invite: Uint8Array; hostExport: Uint8Array }>
  accept(recipient: Keyset, invite: Uint8Array, card: Uint8Array, fingerprint: string): SharedReader
  backUpShared(
    file: ReadableStream<Uint8Array>,
    writer: KeysetWriter,
    id: string,
    blocks: SharedBlocks,
    state: StateStore,
  ): Promise<void>
  shareStored(stored: string[], share: Share, blocks: SharedBlocks, state: StateStore): Promise<void>
  openShared(reader: SharedReader, blocks: SharedBlocks, state: StateStore): Promise<AsyncIterable<Uint8Array>>
  addOne(
    block: StoredBlock,
    owner: BlockReader,
    share: Share,
  ): Promise<{ label: string; envelope: Uint8Array; sha256: string }>
  openOne(
    shared: { label: string; envelope: Uint8Array; sha256: string },
    ciphertext: Uint8Array,
    reader: SharedReader,
  ): Promise<Uint8Array>
  revoke(state: StateStore, owner: Keyset, shareId: string): Promise<Uint8Array>
}

const guideFunctions = () => quietly(() => functionsOf<SharingGuide>(paths))

/** Two users, and a share of the first with the second that the second has accepted. */
async function shared() {
  const of = await guideFunctions()
  const state = memoryStateStore()
  const [alice, bob] = [await makeKeyset(), await makeKeyset()]
  await saveKeyset(state, alice)
  const [aliceCard, bobCard] = [alice.card(), bob.card()]
  const { shareId, invite, hostExport } = await of.share(state, alice, bobCard.bytes, bobCard.fingerprint)
  const reader = of.accept(bob, invite, aliceCard.bytes, aliceCard.fingerprint)
  const keyset = await loadKeyset(state, PASSWORD)
  return { of, state, alice, bob, keyset, shareId, invite, hostExport, reader, blocks: blocksIn(memoryBlobStore()) }
}

describe('docs/sharing.md', () => {
  it('shares a file in its first example', async () => {
    expect(await printed(() => import(`${paths[0]!}?again`))).toEqual(['our file'])
  })

  it('shares, from a card to a file', async () => {
    const parts = await shared()
    const { of, called } = noting(parts.of)
    const { state, alice, bob, keyset, shareId, hostExport, reader, blocks } = parts
    const [aliceCard, bobCard] = [alice.card(), bob.card()]
    expect(keyset.shares).toEqual([shareId])
    expect(reader.id).toBe(shareId)
    await failure(() => of.share(state, alice, aliceCard.bytes, bobCard.fingerprint), 'key-changed')
    await failure(() => of.share(state, alice, bobCard.bytes, bobCard.fingerprint.slice(1)), 'invalid-text')
    await failure(() => of.accept(alice, parts.invite, aliceCard.bytes, aliceCard.fingerprint), 'key-not-found')
    await failure(() => of.accept(bob, parts.invite, bobCard.bytes, bobCard.fingerprint), 'authentication-failed')

    using writer = openWriter(hostExport)
    const forShare = await writer.seal(sample(10), { shares: [shareId] })
    expect(forShare.shared!.get(shareId)).toHaveLength(1713)
    const openedText = async () => Buffer.concat(await all(await of.openShared(reader, blocks, state))).toString()
    // A second time, it is stored already.
    for (let night = 0; night < 2; night++) {
      await of.backUpShared(new Blob(['every night']).stream(), writer, shareId, blocks, state)
      expect(await openedText()).toBe('every night')
    }
    const block = await openWriter(alice.export('host')).seal(Buffer.from('shared'))
    await blocks.put(block)
    using owned = keyset.share(shareId)
    await of.shareStored([block.label], owned, blocks, state)
    expect(await openedText()).toBe('shared')

    const planted = await writer.seal(Buffer.from('planted'), { shares: [shareId] })
    const theirs = blocks.shared(shareId)
    await theirs.delete(block.label)
    await theirs.put({ label: block.label, envelope: planted.shared!.get(shareId)!, ciphertext: planted.ciphertext })
    await failure(openedText, 'authentication-failed')

    const one = await of.addOne(block, keyset, owned)
    expect(Buffer.from(await of.openOne(one, block.ciphertext, reader)).toString()).toBe('shared')
    const other = { ...one, envelope: planted.shared!.get(shareId)! }
    await expect(of.openOne(other, planted.ciphertext, reader)).rejects.toThrow('not what the owner shared')

    await of.revoke(state, keyset, shareId)
    // The examples call the other two themselves.
    expect([...called, 'ownPart', 'sha256'].sort()).toEqual(Object.keys(parts.of).sort())
  })

  it('is right about packed files: the ref of one opens that one alone', async () => {
    const { of, keyset, hostExport, reader, blocks, state, shareId } = await shared()
    using writer = openWriter(hostExport)
    const files = [sample(10), sample(20, 2)]
    const refs = (await all(packInto(blocks, writer, files))).map(({ ref }) => ref)
    using owned = keyset.share(shareId)
    await of.shareStored([refs[1]!], owned, blocks, state)
    expect(await all(await of.openShared(reader, blocks, state))).toEqual([sample(20, 2)])
  })

  it('is right about cards, invites and logs', async () => {
    const { alice, bob, keyset, shareId, reader, state } = await shared()
    using regenerated = keyset.regenerate()
    using changed = await regenerated.changePassword('the next')
    expect(changed.card()).toEqual(alice.card())
    expect(alice.card().bytes).toHaveLength(1776)
    using owned = changed.share(shareId)
    const invite = owned.invite(alice.card())
    expect(invite.length / 1000).toBeCloseTo(3.5, 0)
    using own = alice.acceptShare(invite, alice.card())
    const part = prefixed(state, 'own/')
    await openLog(part, 'files', owned).append(Buffer.from('a record'))
    for (const each of [own, reader]) {
      expect(Buffer.from((await openLog(part, 'files', each).last())!.content).toString()).toBe('a record')
    }

    using direct = keyset.createShare({ to: bob.card() })
    await failure(() => direct.share.invite(alice.card()), 'policy')
    const directInvite = direct.share.invite(bob.card())
    expect(directInvite).toHaveLength(invite.length - 96)
    const block = await direct.keyset.seal(sample(30), { shares: [direct.share.id] })
    using directReader = bob.acceptShare(directInvite, alice.card())
    const envelope = block.shared!.get(direct.share.id)!
    expect(await directReader.open({ ...block, envelope })).toEqual(sample(30))
  })

  it('takes nothing back at the end of a share', async () => {
    const { of, state, alice, keyset, shareId, hostExport, reader, blocks } = await shared()
    const old = openWriter(hostExport)
    await of.backUpShared(new Blob(['before']).stream(), old, shareId, blocks, state)
    const next = openWriter(await of.revoke(state, keyset, shareId))
    const late = of.backUpShared(new Blob(['later']).stream(), next, shareId, blocks, state)
    await failure(() => late, 'key-not-found')
    expect(Buffer.concat(await all(await of.openShared(reader, blocks, state))).toString()).toBe('before')
    // A host that keeps its old export still shares.
    await of.backUpShared(new Blob(['still']).stream(), old, shareId, blocks, state)
    expect(Buffer.concat(await all(await of.openShared(reader, blocks, state))).toString()).toBe('still')
    using revoked = await loadKeyset(state, PASSWORD)
    await failure(() => revoked.share(shareId), 'key-not-found')
    await failure(() => of.revoke(state, alice, shareId), 'key-not-found')
  })

  it('names the errors of blocks that cannot be shared', async () => {
    const { keyset, shareId, blocks, hostExport } = await shared()
    using owned = keyset.share(shareId)
    await failure(() => all(shareFrom(blocks, owned, ['0'.repeat(64)])), 'missing')
    using open = await makeKeyset({ encryption: 'none' })
    using created = open.createShare()
    await failure(async () => created.share.add(await open.seal(sample(10))), 'policy')
    // With dedup off, a host may have shared another sealing of the same content.
    using writer = openWriter(hostExport, { dedup: 'off' })
    const [one, two] = [await writer.seal(sample(10)), await writer.seal(sample(10), { shares: [shareId] })]
    await blocks.put(one)
    await blocks.shared(shareId).put({ ...two, envelope: two.shared!.get(shareId)! })
    await failure(() => all(shareFrom(blocks, owned, [one.label])), 'conflict')
    expect(textOf('sharing.md')).toContain('| `conflict` | `shareFrom` |')
  })
})
