// Row 28. A recipient of a share, who has its keys and may write to the storage, wants other recipients to take forged
// content for the owner's, although they compare hashes with the share's log: the log itself would have to name it.
import { describe, expect, it } from 'vitest'
import { Identity, Recipient } from '../../src/core/key-pairs.ts'
import { concat } from '../../src/core/bytes.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { Suite } from '../../src/core/suite.ts'
import { type KeystrataError, openFrom, openWriter, sealInto, type Share, shareFrom } from '../../src/index.ts'
import { FRAME_BYTES, maskKey, type MaskedEnvelope, Mode, parseEnvelope, unmaskKey } from '../../src/keyset/mask.ts'
import { encryptContent } from '../../src/keyset/seal.ts'
import { blocksIn, memoryBlobStore, type SharedBlocks } from '../../src/stores.ts'
import { all, expectSame, failure, hex, sample, unhex } from '../fixtures.ts'
import { insides, quickKeyset } from './known.ts'

const alice = await quickKeyset()
const bob = await quickKeyset()
const first = alice.createShare()
const second = first.keyset.createShare()
const owner = second.keyset
const readerOf = (share: Share) => bob.acceptShare(share.invite(bob.card()), owner.card())
const { additional, sourceSigning } = insides(owner)
const sharer = sourceSigning.publicKey
const pairOf = ({ id }: Share) => additional!.shares.find((each) => hex(each.id) === id)!
const forged = sample(64, 9)

async function ciphertextUnder(blockKey: SecretKey<'block'>, label: string) {
  const { before, after } = FRAME_BYTES[Mode.scoped]
  const buffer = concat(new Uint8Array(before), forged, new Uint8Array(after))
  await encryptContent({ mode: Mode.scoped, buffer, blockKey, label: unhex(label) })
  return buffer
}

/** Puts forged content under a label into a share, before the owner adds the block. */
async function plant(blocks: SharedBlocks, share: Share, label: string) {
  const blockKey = new SecretKey('block', sample(32))
  const place = { ownerId: unhex(share.id), suite: Suite.hybrid, mode: Mode.scoped, label: unhex(label), sharer }
  const envelope = maskKey(blockKey, new Recipient(pairOf(share).publicHalves), place)
  await blocks.shared(share.id).put({ label, envelope, ciphertext: await ciphertextUnder(blockKey, label) })
}

/** Opens what the log of a share names. It must be what the owner meant, or fail. */
async function assertHonest(blocks: SharedBlocks, share: Share, refs: () => Promise<string[]>) {
  const reader = readerOf(share)
  let named: string[]
  try {
    named = await refs()
  } catch (error) {
    expect((error as KeystrataError).code).toBe('authentication-failed')
    return
  }
  const [opened] = await all(openFrom(blocks.shared(share.id), reader, named))
  expectSame(opened!, sample(64))
}

describe('the log of a share names nothing that a recipient has planted', () => {
  const { share } = first

  it('when a stored block is added', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const [stored] = await all(sealInto(blocks, owner, [sample(64)]))
    await plant(blocks, share, stored!.ref)
    await assertHonest(blocks, share, () => all(shareFrom(blocks, share, [stored!.ref])))
  })

  it.each(['a stored', 'a new'])('when a backup shares %s block', async (which) => {
    const blocks = blocksIn(memoryBlobStore())
    const writer = openWriter(owner.export('host'))
    const { label } = await writer.prepare(sample(64))
    if (which === 'a stored') await all(sealInto(blocks, writer, [sample(64)]))
    await plant(blocks, share, label)
    await assertHonest(blocks, share, async () => {
      const sealed = await all(sealInto(blocks, writer, [sample(64)], { shares: [share.id] }))
      return sealed.map(({ shared }) => shared!.get(share.id)!)
    })
  })

  it.each(['is added', 'is backed up again'])(
    'when a block whose key they know from another share %s',
    async (which) => {
      const blobs = memoryBlobStore()
      const blocks = blocksIn(blobs)
      const [stored] = await all(sealInto(blocks, owner, [sample(64)], { shares: [share.id] }))
      const label = stored!.ref
      const theirs = (await blocks.shared(share.id).get(label))!
      const envelope = parseEnvelope(theirs.envelope) as MaskedEnvelope
      const blockKey = unmaskKey(envelope, new Identity(pairOf(share) as never), unhex(label), sharer)
      const own = (await blocks.get(label))!
      // The owner's own head names the forged ciphertext from now on.
      await blobs.delete(`head/${label}`)
      await blocks.put({ ...own, ciphertext: await ciphertextUnder(blockKey, label) })
      await failure(() => all(openFrom(blocks, owner, [label])), 'authentication-failed')
      const other = second.share
      await assertHonest(blocks, other, async () => {
        if (which === 'is added') return all(shareFrom(blocks, other, [label]))
        const sealed = await all(sealInto(blocks, owner, [sample(64)], { shares: [other.id] }))
        return sealed.map(({ shared }) => shared!.get(other.id)!)
      })
    },
  )
})
