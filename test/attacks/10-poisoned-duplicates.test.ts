// Row 10. A co-tenant with the same dedup key, or a recipient of a share, knows block keys K_b and can encrypt
// anything under them with a valid tag. The owner recomputes the label and the block key from the content. A share's
// reader has only the commitment and, in `global` mode, the hash.
import { Suite } from '../../src/core/suite.ts'
import { openWriter, type SealedBlock } from '../../src/index.ts'
import {
  type MaskedEnvelope,
  EncryptedMode,
  FRAME_BYTES,
  maskKey,
  Mode,
  parseEnvelope,
  unmaskKey,
} from '../../src/keyset/mask.ts'
import { describe, it } from 'vitest'
import { ContentScheme } from '../../src/keyset/dedup.ts'
import { encryptContent } from '../../src/keyset/seal.ts'
import { concat } from '../../src/core/bytes.ts'
import { Identity, Recipient } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { anywhere, atStart, expectSame, failure, hex, sample, unhex } from '../fixtures.ts'
import { blockKeyOf, insides, quickKeyset } from './known.ts'

const alice = await quickKeyset()
const bob = await quickKeyset()
const { keyset: owner, share } = alice.createShare()
const reader = bob.acceptShare(share.invite(bob.card()), alice.card())
const contents = insides(owner)
const recipient = new Recipient(contents.blockPair.publicHalves)
const sealIn = (dedup: 'scoped' | 'global' | 'off') => openWriter(owner.export('host'), { dedup }).seal(sample(64))
const forged = sample(64, 9)

/** Encrypts content under a key, as a writer of storage who knows the key would. */
async function plantedUnder(blockKey: SecretKey<'block'>, mode: EncryptedMode, label: string, content = forged) {
  const { before, after } = FRAME_BYTES[mode]
  const buffer = concat(new Uint8Array(before), content, new Uint8Array(after))
  await encryptContent({ mode, buffer, blockKey, label: unhex(label), nonce: sample(32) })
  return buffer
}

describe('a co-tenant wants poisoned duplicates', () => {
  it.each(['scoped', 'global', 'off'] as const)('plants content under a known K_b: refused (%s)', async (dedup) => {
    const victim = await sealIn(dedup)
    const [mode, blockKey] = [Mode[dedup], blockKeyOf(victim, owner)]
    const place = { ownerId: contents.id, suite: Suite.hybrid, mode, label: unhex(victim.label) } as const
    // Once with the owner's envelope, and once with a new envelope around the same key.
    const [ciphertext, envelope] = [
      await plantedUnder(blockKey, mode, victim.label),
      maskKey(blockKey, recipient, place),
    ]
    await failure(() => owner.open({ ...victim, ciphertext }), 'authentication-failed')
    await failure(() => owner.open({ ...victim, envelope, ciphertext }), 'authentication-failed')
    // Control: the right content, encrypted by the same code, opens. So the refusals above are due to the content.
    const right = await plantedUnder(blockKey, mode, victim.label, sample(64))
    expectSame(await owner.open({ ...victim, envelope, ciphertext: right }), sample(64))
  })

  it('plants the right content and label under a wrong key: refused', async () => {
    // The label is not enough: in these modes the key, too, depends on the content.
    for (const dedup of ['scoped', 'global'] as const) {
      const victim = await sealIn(dedup)
      const [mode, blockKey] = [Mode[dedup], new SecretKey('block', sample(32))]
      const place = { ownerId: contents.id, suite: Suite.hybrid, mode, label: unhex(victim.label) } as const
      const ciphertext = await plantedUnder(blockKey, mode, victim.label, sample(64))
      const envelope = maskKey(blockKey, recipient, place)
      await failure(() => owner.open({ ...victim, envelope, ciphertext }), 'authentication-failed')
    }
  })

  it('plants content under the hash of that content, with a label of another keyset: refused', async () => {
    const scheme = new ContentScheme(Mode.global, insides(bob))
    const { blockKey, label } = await scheme.copyAndIdentify(sample(64), new Uint8Array(64))
    const place = { ownerId: contents.id, suite: Suite.hybrid, mode: Mode.global, label } as const
    const ciphertext = await plantedUnder(blockKey!, Mode.global, hex(label), sample(64))
    const envelope = maskKey(blockKey!, recipient, place)
    await failure(() => owner.open({ label: hex(label), envelope, ciphertext }), 'authentication-failed')
  })
})

describe('a share’s recipient wants to forge content', () => {
  const { additional, sourceSigning } = contents
  const sharer = sourceSigning.publicKey
  const pair = additional!.shares[0]!

  /** Returns the block key, as the share's reader obtains it. */
  function keyByShare(block: SealedBlock) {
    const envelope = parseEnvelope(share.add(block)) as MaskedEnvelope
    return unmaskKey(envelope, new Identity(pair as never), unhex(block.label), sharer)
  }

  it('plants content under a key from the share: refused by the owner', async () => {
    const block = await sealIn('scoped')
    const ciphertext = await plantedUnder(keyByShare(block), Mode.scoped, block.label)
    await failure(() => owner.open({ ...block, ciphertext }), 'authentication-failed')
    // Another recipient of the share is deceived. docs/threat-model.md documents this: the share's log shows the difference.
    expectSame(await reader.open({ ...block, envelope: share.add(block), ciphertext }), forged)
  })

  it.each(['scoped', 'off'] as const)('content under a key other than the shared one: refused (%s)', async (dedup) => {
    const block = await sealIn(dedup)
    const ciphertext = await plantedUnder(new SecretKey('block', sample(32)), Mode[dedup], block.label)
    await failure(() => reader.open({ ...block, envelope: share.add(block), ciphertext }), 'authentication-failed')
    await failure(() => owner.open({ ...block, ciphertext }), 'authentication-failed')
  })

  it('in global mode, where the cipher commits to nothing: content whose hash is not its key is refused', async () => {
    const { label } = await sealIn('global')
    const blockKey = new SecretKey('block', sample(32))
    const ciphertext = await plantedUnder(blockKey, Mode.global, label)
    const place = {
      ownerId: unhex(share.id),
      suite: Suite.hybrid,
      mode: Mode.global,
      label: unhex(label),
      sharer,
    } as const
    const envelope = maskKey(blockKey, new Recipient(pair.publicHalves), place)
    await failure(() => reader.open({ label, envelope, ciphertext }), 'authentication-failed')
  })

  it('cannot open a record or an unshared block of the keyset with the keys of a share', async () => {
    const unshared = await sealIn('scoped')
    await failure(() => reader.open(unshared), 'key-not-found')
    const { record } = await openWriter(owner.export('host')).sealRecord(sample(10), atStart)
    await failure(() => reader.openRecord(record, anywhere), 'key-not-found')
  })
})
