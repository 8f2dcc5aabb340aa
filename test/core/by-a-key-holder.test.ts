// Objects that only a holder of the keys can create: every tag and signature is valid. So these tests cover the checks
// other than the tag.
import { type EncryptedSuite, Suite } from '../../src/core/suite.ts'
import { describe, expect, it } from 'vitest'
import { KeyedCipher, parseClientBlock, PublicCipher } from '../../src/client/block.ts'
import { VaultCipher } from '../../src/vault/block.ts'
import { concat, EMPTY, u64, u8, utf8 } from '../../src/core/bytes.ts'
import { encode } from '../../src/core/codec.ts'
import { clientEnvelope } from '../../src/client/layout.ts'
import { encodePlainEnvelope } from '../../src/core/envelope.ts'
import { vaultEnvelope } from '../../src/vault/layout.ts'
import { encodeHeader, NOBODY, ObjectType } from '../../src/core/header.ts'
import { openLog } from '../../src/index.ts'
import { draftRecord, logIdOf, NO_HASH, parseRecord, positionText } from '../../src/state/record-layout.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { agreeWith } from '../../src/core/agreement.ts'
import { cipherKind, deriveCipherKeys } from '../../src/core/encrypt-then-mac.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { agreedLock, associatedData, deriveLock, keyIdOf } from '../../src/core/wrap.ts'
import { deriveScopeId } from '../../src/client/typed-key.ts'
import { gcmSealContent } from '../../src/primitives/aead.ts'
import { chachaPolyTag, ctrInPlace } from '../../src/primitives/cipher.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { sign } from '../../src/primitives/signature.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { anywhere, atStart, following, expectSame, failure, flipped, hex, makeKeyset, sample } from '../fixtures.ts'

const content = sample(40)

/** What differs from an honest writer's object. */
interface Changes {
  readonly damage?: boolean
  readonly suite?: Suite
  readonly keyId?: Uint8Array
  readonly ownerId?: Uint8Array
}
const nonce = sample(32, 5)

describe('a block of a client', () => {
  const key = new SecretKey('client', sample(32, 7))
  const AES_256 = 3
  const scope = new KeyedCipher('private', { type: AES_256, key }, 'acme')
  const own = { suite: Suite.aes256, keyId: keyIdOf(key), ownerId: deriveScopeId(key, 'acme', 'private') }

  async function crafted({ damage = false, ...names }: Changes) {
    const { buffer, label } = await scope.prepare(content)
    const lock = deriveLock(key, nonce, 'client-block', [utf8('private'), own.ownerId], 32)
    const headerBytes = encodeHeader({ type: ObjectType.envelope, ...own, ...names })
    const commitment = damage ? flipped(lock.commitment, 3) : lock.commitment
    await gcmSealContent(lock.key, lock.iv, associatedData(headerBytes, concat(nonce, commitment), label), buffer)
    const envelope = encode(clientEnvelope, { headerBytes, nonce, commitment })
    return parseClientBlock({ label: hex(label), envelope, ciphertext: buffer }, { des: false })
  }

  it('opens unchanged, and not with a different commitment, owner or suite', async () => {
    expectSame(await scope.open(await crafted({})), content)
    const wrongs: Changes[] = [{ damage: true }, { ownerId: sample(16) }, { suite: Suite.aes128 }]
    for (const wrong of wrongs) {
      const block = await crafted(wrong)
      expect(scope.owns(block)).toBe(true)
      await failure(() => scope.open(block), 'authentication-failed')
    }
    expect(scope.owns(await crafted({ keyId: sample(16) }))).toBe(false)
  })

  it('belongs to a scope only with an envelope of that scope', async () => {
    const envelope = (keyId: Uint8Array) =>
      encodePlainEnvelope(encodeHeader({ type: ObjectType.envelope, suite: Suite.none, keyId, ownerId: NOBODY }))
    const plain = (keyId: Uint8Array) =>
      parseClientBlock({ label: hex(sample(32)), envelope: envelope(keyId), ciphertext: content }, { des: false })
    expect([own.keyId, NOBODY].map((id) => scope.owns(plain(id)))).toEqual([false, false])
    expect([own.keyId, NOBODY].map((id) => new PublicCipher('tests').owns(plain(id)))).toEqual([false, true])
    expect(new PublicCipher('tests').owns(await crafted({ keyId: NOBODY }))).toBe(false)
    await failure(async () => scope.open(plain(own.keyId)), 'authentication-failed')
  })
})

describe('a block of a vault', () => {
  const dataKey = new SecretKey('data', sample(32, 8))
  const vaultId = sample(16, 9)
  const vault = new VaultCipher(vaultId, dataKey.copy())
  const own = { suite: Suite.vault, keyId: keyIdOf(dataKey), ownerId: vaultId }

  async function crafted({ damage = false, ...names }: Changes) {
    const { buffer, label } = await vault.prepare(content)
    const keys = deriveCipherKeys(dataKey, nonce, cipherKind('ctr-poly1305', [u8(ObjectType.envelope), vaultId], 32))
    const headerBytes = encodeHeader({ type: ObjectType.envelope, ...own, ...names })
    const commitment = damage ? flipped(keys.commitment, 3) : keys.commitment
    await ctrInPlace(keys.cipher, buffer)
    const aad = associatedData(headerBytes, concat(nonce, commitment), label)
    const tag = await chachaPolyTag(keys.mac, [aad, buffer, u64(aad.length), u64(buffer.length)])
    return {
      label: hex(label),
      envelope: encode(vaultEnvelope, { headerBytes, nonce, commitment, tag }),
      ciphertext: buffer,
    }
  }

  it('opens unchanged, and not with a different commitment, key id or vault', async () => {
    expectSame(await vault.open(await crafted({})), content)
    const wrongs: Changes[] = [{ damage: true }, { ownerId: sample(16) }, { keyId: sample(16) }]
    for (const wrong of wrongs) {
      const block = await crafted(wrong)
      await failure(() => vault.open(block), 'authentication-failed')
    }
  })
})

describe('a record', async () => {
  const keyset = await makeKeyset({ encryption: 'x25519' })
  interface Crafted {
    sequence?: number
    previous?: Uint8Array
    epoch?: number
    damage?: boolean
    suite?: EncryptedSuite
  }

  async function crafted(
    { sequence = 1, previous = NO_HASH, epoch = 0, damage = false, suite = Suite.hybrid }: Crafted = {},
    owner = keyset,
  ) {
    const { contents } = insidesOf(owner, 'keyset')
    const recipient = new Recipient(contents.blockPair.publicHalves)
    const ids = { suite, keyId: recipient.keyId, ownerId: contents.id }
    const fields = { kind: 'content', epoch, sequence, number: sequence, id: sample(16), previous } as const
    const agreementBytes = suite === Suite.hybrid ? 1600 : 32
    const logId = logIdOf('log')
    const draft = draftRecord(
      { ...fields, isAfterDamage: false },
      ids,
      logId,
      agreementBytes + 64 + content.length + 16 + 64,
    )
    const { body, headerBytes } = draft
    const { parts, agreement } = agreeWith(recipient, { headerBytes, suite, context: EMPTY })
    const lock = agreedLock(agreement, 'combined', nonce, 'record', [])
    const commitment = damage ? flipped(lock.commitment, 3) : lock.commitment
    body.set(concat(parts.ephemeral, parts.encapsulated, nonce, commitment, content))
    const aad = associatedData(headerBytes, draft.parameters(agreementBytes + 64), logId)
    await gcmSealContent(lock.key, lock.iv, aad, body.subarray(agreementBytes + 64, -64))
    body.set(sign(contents.sourceSigning.seed, draft.message(64)), body.length - 64)
    return new Uint8Array(draft.bytes)
  }
  const first = await crafted()
  const behind = { sequence: 2, previous: sha256(first) }

  it('opens unchanged, and not with a different commitment', async () => {
    expectSame((await keyset.openRecord(first, atStart)).content, content)
    const damaged = await crafted({ damage: true })
    await failure(() => keyset.openRecord(damaged, anywhere), 'authentication-failed')
  })

  it('follows another record only with the next sequence number and in the same epoch', async () => {
    expectSame((await keyset.openRecord(await crafted(behind), following(first))).content, content)
    for (const wrong of [{ sequence: 3 }, { sequence: 1 }, { epoch: 1 }, { previous: sample(32) }]) {
      const record = await crafted({ ...behind, ...wrong })
      await failure(() => keyset.openRecord(record, following(first)), 'authentication-failed')
    }
    for (const wrong of [{ sequence: 2 }, { previous: sample(32) }]) {
      const record = await crafted(wrong)
      await failure(() => keyset.openRecord(record, atStart), 'authentication-failed')
    }
  })

  /** Returns the record as it is after resealing the log that it begins. */
  async function resealed(record: Uint8Array, by = keyset, epoch = 0): Promise<Uint8Array> {
    const store = memoryStateStore()
    const name = (number: number) => `log/${hex(logIdOf('log'))}/${number}`
    await store.write(name(epoch), 1, record)
    const { number, id } = parseRecord(record, logIdOf('log'))
    await openLog(store, 'log', by.regenerate()).reseal({ atLeast: positionText({ number, id }) })
    return (await store.readVersion(name(epoch + 1), 1))!
  }

  it('is resealed with the strength that it had', async () => {
    const isHybrid = async (record: Uint8Array, by = keyset) => (await resealed(record, by)).length > 1700
    expect(await isHybrid(first)).toBe(true)
    expect(await isHybrid(await crafted({ suite: Suite.x25519 }))).toBe(false)
    // A keyset whose blocks are unencrypted seals its records under both agreements.
    const open = await makeKeyset({ encryption: 'none' })
    expect(await isHybrid(await crafted({ suite: Suite.x25519 }, open), open)).toBe(true)
  })
})
