// Row 5. The writer can change every stored byte, replace one object with another, and restore older ones.
import { deriveClient } from '../../src/client.ts'
import { createDeviceKey } from '../../src/device.ts'
import { createProfile, openProfile, deriveLogin } from '../../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import { encodeBlock, openWriter, parseBlock, parseCard, unlockKeyset } from '../../src/index.ts'
import { parseProfileRecord } from '../../src/vault/profile-record.ts'
import { memoryStateStore } from '../../src/stores.ts'
import {
  ALICE,
  anywhere,
  atStart,
  following,
  failure,
  flipped,
  hex,
  newestBytes,
  PASSWORD,
  patched,
  quickly,
  resummed,
  sample,
} from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { quickKeyset } from './known.ts'

withoutPauses()

const keyset = await quickKeyset()
const lax = await quickKeyset({ encryption: 'x25519' })
const writer = openWriter(keyset.export('host'))
const [one, other] = [await writer.seal(sample(64)), await writer.seal(sample(64, 2))]
const classic = await openWriter(lax.export('host')).seal(sample(64))
const { keyset: sharing, share } = keyset.createShare()
const shared = { ...one, envelope: share.add(one) }
const reader = lax.acceptShare(share.invite(lax.card()), sharing.card())
const record = (await writer.sealRecord(sample(10), atStart)).record

const alice = await deriveLogin(PASSWORD, ALICE)
const store = memoryStateStore()
const created = await createProfile(alice, { zeroTrust: true }).createVault(store)
const { profile: both, vault: secondVault } = await created.profile.createVault(store)
const { vault } = created
const vaultBlock = await vault.seal(sample(64))
const keyring = await newestBytes(store, `keyring/${vault.id}`)

const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const keys = {
  privateKey: { type: 'AES-256', text: 'of the client' },
  accountKey: { type: 'AES-128', text: 'of the account' },
} as const
const client = await quickly(() => deriveClient({ ...names, ...keys }))
const clientBlock = await client.scope('private').seal(sample(64))

const device = createDeviceKey()
const place = { table: 'source', row: '1', column: 'password', version: 1 }
const text = device.sealText('hunter2', place)

/** Opens the vault from a store that returns these bytes as its keyring. */
async function openBy(bytes: Uint8Array) {
  const lying = memoryStateStore()
  await lying.write('profile', 1, both.record)
  await lying.write(`keyring/${vault.id}`, 1, bytes)
  return both.openVault(lying, vault.id)
}

/**
 * Returns the indexes of the bytes to flip: all of them in small objects. In objects that contain the 1,568 bytes of
 * ML-KEM, only every 97th of those bytes; 07-permanent-mask flips them all.
 */
const placesIn = ({ length }: Uint8Array): number[] =>
  Array.from({ length }, (_, index) => index).filter(
    (index) => length < 1568 || index < 120 || index > 1650 || index % 97 === 0,
  )

const CODES = ['authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy'] as const

describe('a writer of storage wants altered objects', () => {
  it.each([
    ['block of the hybrid suite', encodeBlock(one), (b: Uint8Array) => keyset.open(parseBlock(b, one.label))],
    ['block of the X25519 suite', encodeBlock(classic), (b: Uint8Array) => lax.open(parseBlock(b, classic.label))],
    ['block of a share', encodeBlock(shared), (b: Uint8Array) => reader.open(parseBlock(b, shared.label))],
    ['vault block', encodeBlock(vaultBlock), (b: Uint8Array) => vault.open(parseBlock(b, vaultBlock.label))],
    ['client block', encodeBlock(clientBlock), (b: Uint8Array) => client.open(parseBlock(b, clientBlock.label))],
    ['record', record, (b: Uint8Array) => keyset.openRecord(b, atStart)],
    ['keyring', keyring, openBy],
    [
      'keyring, with the checksum made anew',
      keyring.subarray(0, -8),
      (b: Uint8Array) => openBy(resummed(concat(b, new Uint8Array(8)))),
    ],
    ['profile', both.record, (b: Uint8Array) => openProfile(b, alice)],
    ['card', keyset.card().bytes, (b: Uint8Array) => parseCard(b)],
    ['sealed text', text, (b: Uint8Array) => device.openText(b, place)],
  ])('flips every byte of a small object: %s', async (_, bytes, open) => {
    await open(bytes)
    for (const index of placesIn(bytes)) await failure(() => open(flipped(bytes, index, index % 8)), ...CODES)
    await failure(() => open(bytes.subarray(0, -1)), ...CODES)
    await failure(() => open(concat(bytes, Uint8Array.of(0))), ...CODES)
  })
})

describe('a writer of storage wants swapped objects', () => {
  it('a block under another label, with the ciphertext of another block, or with its envelope', async () => {
    await failure(() => keyset.open({ ...one, label: other.label }), 'authentication-failed')
    await failure(() => keyset.open({ ...one, ciphertext: other.ciphertext }), 'authentication-failed')
    await failure(() => keyset.open({ ...one, envelope: other.envelope }), 'authentication-failed')
    await failure(() => keyset.open({ ...other, label: one.label }), 'authentication-failed')
  })

  it('ids: a block of another keyset, unchanged and with the ids of this one', async () => {
    const foreign = await openWriter(lax.export('host'), { encryption: 'hybrid' }).seal(sample(64))
    await failure(() => keyset.open(foreign), 'key-not-found')
    const ids = one.envelope.subarray(16, 48)
    const patchedIds = { ...foreign, envelope: patched(foreign.envelope, 16, ids) }
    await failure(() => keyset.open(patchedIds), 'authentication-failed')
  })

  it('ids: a block of another client, and of another scope of the same client', async () => {
    const twin = await quickly(() => deriveClient({ ...names, ...keys, account: 'acme2' }))
    const theirs = await twin.scope('private').seal(sample(64))
    const ofAccount = await client.scope('account').seal(sample(64))
    const ids = clientBlock.envelope.subarray(16, 48)
    for (const block of [theirs, ofAccount]) {
      await failure(() => client.scope('private').open(block), 'key-not-found', 'unsupported')
      const envelope = patched(block.envelope, 16, ids)
      await failure(() => client.scope('private').open({ ...block, envelope }), 'authentication-failed', 'unsupported')
    }
  })

  it('vaults: a block or the keyring of one vault in place of another’s', async () => {
    const theirs = await secondVault.seal(sample(64))
    await failure(() => vault.open(theirs), 'authentication-failed')
    const ids = vaultBlock.envelope.subarray(16, 48)
    await failure(() => vault.open({ ...theirs, envelope: patched(theirs.envelope, 16, ids) }), 'authentication-failed')
    const foreign = await newestBytes(store, `keyring/${secondVault.id}`)
    await failure(() => openBy(foreign), 'authentication-failed')
    await failure(() => openBy(resummed(patched(foreign, 16, keyring.subarray(16, 48)))), 'authentication-failed')
  })

  it('rows: a text in another table, row or column, or in place of a newer version', async () => {
    for (const elsewhere of [
      { ...place, table: 'target' },
      { ...place, row: '2' },
      { ...place, column: 'comment' },
      { ...place, version: 2 },
    ]) {
      await failure(() => device.openText(text, elsewhere), 'authentication-failed')
    }
    expect(device.openText(text, place)).toBe('hunter2')
  })

  it('whole objects: an object of one kind in place of another', async () => {
    await failure(() => openProfile(keyring, alice), 'unsupported')
    await failure(() => openBy(both.record), 'unsupported')
    for (const bytes of [keyset.card().bytes, vaultBlock.envelope, text]) {
      await failure(() => openBy(bytes), 'malformed')
      await failure(() => openBy(resummed(bytes)), 'unsupported')
    }
    for (const bytes of [encodeBlock(vaultBlock), encodeBlock(clientBlock)]) {
      await failure(() => keyset.open(parseBlock(bytes, one.label)), 'unsupported')
    }
    for (const bytes of [encodeBlock(one), keyring, text]) {
      await failure(() => keyset.openRecord(bytes, anywhere), 'unsupported', 'malformed')
    }
    await failure(() => device.openText(client.save(device), place), 'unsupported', 'malformed')
    // A slot is a WRAP, as in a keyring, but of another type and under another key.
    const slot = parseProfileRecord(both.record).vaults[0]!.slots[0]!.bytes
    await failure(() => openBy(resummed(patched(keyring, 94, slot))), 'authentication-failed')
  })
})

describe('a writer of storage wants older objects', () => {
  it('an older keyset, an older profile', async () => {
    await quickly(async () => {
      const old = keyset.export('storage')
      await failure(() => unlockKeyset(old, PASSWORD, { atLeast: keyset.regenerate().revision }), 'rollback')
      expect((await unlockKeyset(old, PASSWORD, { atLeast: keyset.revision })).id).toBe(keyset.id)
    })
    await failure(() => openProfile(created.profile.record, alice, { atLeast: both.revision }), 'rollback')
  })

  it('an older keyring: its E-key is no longer in the profile', async () => {
    const mine = memoryStateStore()
    const { profile, vault: rotating } = await createProfile(alice, { zeroTrust: true }).createVault(mine)
    const name = `keyring/${rotating.id}`
    const old = await newestBytes(mine, name)
    const rotated = await profile.rotate(mine)
    const replaying = memoryStateStore()
    await replaying.write('profile', 1, rotated.record)
    await replaying.write(name, 1, old)
    await failure(() => rotated.openVault(replaying, rotating.id), 'authentication-failed')
  })

  it('an earlier record in place of the latest one, or the same record twice', async () => {
    const second = (await writer.sealRecord(sample(10, 2), following(record))).record
    const third = (await writer.sealRecord(sample(10, 3), following(second))).record
    expect(hex((await keyset.openRecord(third, following(second))).content)).toBe(hex(sample(10, 3)))
    await failure(() => keyset.openRecord(record, following(second)), 'authentication-failed')
    await failure(() => keyset.openRecord(second, following(second)), 'authentication-failed')
    await failure(() => keyset.openRecord(third, following(record)), 'authentication-failed')
    await failure(() => keyset.openRecord(second, atStart), 'authentication-failed')
    // A fork has the right sequence number: the bytes of the previous record decide.
    const fork = (await writer.sealRecord(sample(10, 4), following(record))).record
    await failure(() => keyset.openRecord(third, following(fork)), 'authentication-failed')
  })
})
