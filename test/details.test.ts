// The details that errors give to programs besides the code: sizes, ids, and names of fields and rules.
import { unlocked } from '../src/keyset/keyset.ts'
import { createProfile, deriveLogin, openProfile, openSavedLogin, resetProfile } from '../src/vault.ts'
import { armRegistration, deriveClient, openSavedClient } from '../src/client.ts'
import {
  ALICE,
  anywhere,
  atStart,
  DESKTOP,
  failure,
  flipped,
  hex,
  makeKeyset,
  PASSWORD,
  patched,
  quickly,
  resummed,
  sample,
} from './fixtures.ts'
import {
  encodeBlock,
  openPackMember,
  openSavedKeyset,
  openWriter,
  parseBlock,
  parseCard,
  unlockKeyset,
} from '../src/index.ts'
import { hashPassword, openKeyRegistry, saveCredential } from '../src/server.ts'
import { memoryStateStore } from '../src/stores.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import { describe, expect, it } from 'vitest'
import { u32 } from '../src/core/bytes.ts'
import { assertContentBytes } from '../src/core/content.ts'
import { generateKeyringKey, parseKeyring } from '../src/vault/keyring.ts'
import { contentsOf, rewritten } from './vault/forged.ts'
import { nextVersion } from '../src/state/version.ts'
import { plantedContents, plantedMaster } from './keyset/planted.ts'

const MIB = 1024 * 1024
const keyset = await makeKeyset()
const writer = openWriter(keyset.export('host'))
const block = await writer.seal(sample(100))
const stored = encodeBlock(block)
const { record } = await writer.sealRecord(sample(10), atStart)
const { content: pack, members } = await writer.pack([sample(3)])
const { share } = keyset.createShare()
const card = keyset.card()
const invite = share.invite(card)
const login = await deriveLogin(PASSWORD, ALICE)
const store = memoryStateStore()
const { profile, vault } = await createProfile(login, { zeroTrust: true }).createVault(store)
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const client = await quickly(() => deriveClient({ ...names, privateKey: { type: 'AES-256', text: 'a long secret' } }))
const clientBlock = await client.scope('private').seal(sample(9))
const registered = client.safeguard()
const device = createDeviceKey()
const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 'server' })
const contents = plantedContents()
const additional = contents.additional!
/** The number of vaults follows the byte that says who may reset the profile. */
const crowdedProfile = resummed(patched(profile.record, 281, u32(257).subarray(2)))
const crowded = { ...contents, additional: { ...additional, shares: Array(700).fill(additional.shares[0]) as never } }
const place = { table: 'sources', row: '1', column: 'password', version: 1 }

/** Returns a copy of an object, with zeros appended up to `length` bytes. */
const longer = (bytes: Uint8Array, length: number): Uint8Array => {
  const long = new Uint8Array(length)
  long.set(bytes)
  return long
}
const packOf = (...lengths: number[]): Uint8Array =>
  new Uint8Array(Buffer.concat([u32(lengths.length), ...lengths.map(u32), new Uint8Array(Math.max(...lengths))]))

describe('the detail', () => {
  it.each([
    ['a truncated block', () => parseBlock(stored.subarray(0, block.envelope.length - 1), block.label), 1712],
    ['an envelope that is too long', () => keyset.isCurrent(new Uint8Array(5000)), 5000],
    ['a truncated ciphertext', () => keyset.open({ ...block, ciphertext: sample(47) }), 47],
    ["a truncated ciphertext in a client's block", () => client.open({ ...clientBlock, ciphertext: sample(15) }), 15],
    ['a truncated record', () => keyset.openRecord(record.subarray(0, -11), anywhere), record.length - 11],
    ['a truncated invite', () => keyset.acceptShare(invite.subarray(0, -1), card), invite.length - 1],
    ['a truncated card', () => parseCard(card.bytes.subarray(1)), 1775],
    ['a pack with trailing bytes', () => openPackMember(longer(pack, pack.length + 1), members[0]!), pack.length + 1],
  ])('gives the size of %s', async (_, action, bytes) => {
    const { detail } = await failure(action, 'malformed')
    expect(detail).toMatchObject({ bytes })
  })

  it.each([
    ['a member of a pack', () => writer.pack([sample(1), new Uint8Array(8 * MIB + 1)]), { bytes: 8 * MIB + 1 }],
    ['a pack', () => writer.pack(Array<Uint8Array>(9).fill(new Uint8Array(8 * MIB))), undefined],
    ['a number of pack members', () => writer.pack(Array<Uint8Array>(1025).fill(sample(1))), { members: 1025 }],
    ['a number of members in a stored pack', () => openPackMember(sample(100), members[0]!), undefined],
    ['a member of a stored pack', () => openPackMember(packOf(8 * MIB + 49), members[0]!), { bytes: 8 * MIB + 49 }],
    ['a record', () => keyset.openRecord(longer(record, 64 * MIB + 5000), anywhere), { bytes: 64 * MIB + 5000 }],
    ['an export', () => unlockKeyset(new Uint8Array(MIB + 1), PASSWORD), { bytes: MIB + 1 }],
    ['a text to seal', () => device.sealText('x'.repeat(65_537), place), { bytes: 65_537 }],
    ['a sealed text', () => device.openText(new Uint8Array(70_000), place), { bytes: 70_000 }],
    ['a registration file', () => armRegistration(new Uint8Array(MIB), registered.activationCode), { most: 8192 }],
    [
      'a registration file one byte',
      () => armRegistration(new Uint8Array(8193), registered.activationCode),
      { most: 8192 },
    ],
    ['an enrolment', () => registry.enrol(new Uint8Array(MIB), { account: 'acme' }), { object: 'enrolment' }],
    ['a keyring', () => parseKeyring(new Uint8Array(MIB)), { bytes: MIB }],
    ['a version', () => nextVersion(Number.MAX_SAFE_INTEGER), { version: Number.MAX_SAFE_INTEGER }],
    ['a record to seal', () => writer.sealRecord(new Uint8Array(64 * MIB + 1), atStart), { bytes: 64 * MIB + 1 }],
    ['a number of vaults in a profile', () => openProfile(crowdedProfile, login), { vaults: 257 }],
    ['the generation of a keyring key', () => generateKeyringKey(2 ** 32), { generation: 2 ** 32 }],
    ['a keyset with many shares', () => unlocked(crowded, plantedMaster.copy(), undefined), undefined],
    ['a block', () => parseBlock(longer(stored, 64 * MIB + 5000), block.label), { bytes: 64 * MIB + 5000 }],
    [
      'the cost of a verifier',
      () => saveCredential(memoryStateStore(), profile.record, login.credential, { cost: 3 }),
      { cost: 3 },
    ],
  ])('describes %s beyond the limit', async (_, action, detail) => {
    const error = await failure(action, 'limit-exceeded')
    if (detail === undefined) expect(Object.values(error.detail)).toEqual([expect.any(String), expect.any(Number)])
    else expect(error.detail).toMatchObject(detail)
  })
})

describe('`key-not-found`', () => {
  const zeros = '0'.repeat(32)
  const idOf = (header: Uint8Array) => ({ keyId: hex(header.subarray(16, 32)), ownerId: hex(header.subarray(32, 48)) })

  it('names the object, its owner and its key, from the header', async () => {
    const other = await makeKeyset()
    const otherDevice = createDeviceKey()
    const stranger = await quickly(() => deriveClient({ ...names, privateKey: { type: 'AES-256', text: 'another' } }))
    const scopeRecord = await client.scope('private').sealRecord(sample(3), atStart)
    const saved = login.save(device)
    const text = device.sealText('a text', place)
    const inviteToOther = share.invite(other.card())
    const cases: [string, Uint8Array, () => unknown][] = [
      ['envelope', block.envelope, () => other.open(block)],
      ['envelope', block.envelope, () => other.rekey(block)],
      ['record', record, () => other.openRecord(record, anywhere)],
      ['block', clientBlock.envelope, () => stranger.open(clientBlock)],
      ['block', clientBlock.envelope, () => stranger.scope('private').open(clientBlock)],
      [
        'record',
        scopeRecord.record,
        () => stranger.scope('private').openRecord(scopeRecord.record, { ...atStart, after: 'unchecked' }),
      ],
      ['invite', inviteToOther, () => keyset.acceptShare(inviteToOther, card)],
      ['saved handle', saved, () => openSavedLogin(saved, otherDevice, ALICE)],
      ['text value', text, () => otherDevice.openText(text, place)],
    ]
    for (const [object, header, action] of cases) {
      const { detail } = await failure(action, 'key-not-found')
      expect(detail).toEqual({ object, ...idOf(header) })
    }
    expect(idOf(saved).ownerId).toBe(zeros)
  })

  it('names the card of the admin who can reset a profile', async () => {
    const other = await makeKeyset()
    const { record } = createProfile(login, { admin: card })
    const { detail } = await failure(
      () => resetProfile(record, other, login, { identity: 'unpinned' }),
      'key-not-found',
    )
    expect(detail).toEqual({ object: 'profile', ...idOf(card.bytes) })
  })

  it('names a share, and a client that is not enrolled', async () => {
    const id = '1'.repeat(32)
    expect((await failure(() => keyset.share(id), 'key-not-found')).detail).toEqual({ object: 'share', share: id })
    const build = registry.buildRegistration({ account: 'acme', name: 'x' }, keyset, { expires: new Date() })
    expect((await failure(() => build, 'key-not-found')).detail).toEqual({ object: 'client', client: 'x' })
  })
})

describe('limit checks of texts', () => {
  it.each([
    [
      'a name',
      () => deriveLogin(PASSWORD, { ...ALICE, user: 'x'.repeat(256) }),
      { field: 'user', bytes: 256, most: 255 },
    ],
    [
      'a service password',
      () => hashPassword('x'.repeat(100_000)),
      { field: 'password', characters: 100_000, most: 1024 },
    ],
  ])('describe %s beyond the limit', async (_, action, detail) => {
    const error = await failure(action, 'invalid-text')
    expect(error.detail).toEqual({ reason: 'too-long', ...detail })
  })
})

describe('the largest allowed length', () => {
  it.each([
    ['a registration file', () => armRegistration(new Uint8Array(8192), registered.activationCode), 'malformed'],
    ['a record', () => keyset.openRecord(longer(record, 64 * MIB + 4096), anywhere), 'authentication-failed'],
  ] as const)('of %s passes the length check, and the next error is given', async (_, action, code) => {
    await failure(action, code)
  })

  it('of content is accepted', () => {
    assertContentBytes(new Uint8Array(64 * MIB))
  })
})

describe('the detail names', () => {
  it('the fingerprint of an unexpected card', async () => {
    const error = await failure(() => parseCard(card.bytes, { fingerprint: '1'.repeat(60) }), 'key-changed')
    expect(error.detail).toEqual({ fingerprint: card.fingerprint })
  })

  it('a vault that the profile or the store does not have', async () => {
    const vaultId = '0'.repeat(32)
    expect((await failure(() => profile.openVault(store, vaultId), 'key-not-found')).detail).toEqual({
      object: 'vault',
      vaultId,
    })
    const without = memoryStateStore()
    await without.write('profile', 1, profile.record)
    const lost = await failure(() => profile.openVault(without, vault.id), 'missing')
    expect(lost.detail).toEqual({ object: `keyring/${vault.id}` })
    const empty = await failure(() => profile.openVault(memoryStateStore(), vault.id), 'missing')
    expect(empty.detail).toEqual({ object: 'profile' })
  })

  it('a vault without a recovery slot', async () => {
    const { record } = (await createProfile(login, { admin: card }).createVault(memoryStateStore())).profile
    const vaults = contentsOf(record, login).vaults.map((each) => ({ ...each, recoverySlots: [] }))
    const without = rewritten(record, login, { vaults })
    const reset = () => resetProfile(without, keyset, login, { identity: 'unpinned' })
    expect((await failure(reset, 'key-not-found')).detail).toEqual({
      object: 'recovery slot',
      vaultId: hex(vaults[0]!.id),
    })
  })

  it('the version that was found and the version that was required', async () => {
    const error = await failure(() => openProfile(profile.record, login, { atLeast: '9' }), 'rollback')
    expect(error.detail).toEqual({ version: 2, atLeast: 9 })
  })

  it('the kind of a saved handle that is opened as another kind', async () => {
    const saved = { login: login.save(device), client: client.save(device), keyset: keyset.save(device) }
    const attempts: [string, () => unknown][] = [
      ['expected a saved login, but this is a saved client', () => openSavedLogin(saved.client, device, ALICE)],
      ['expected a saved client, but this is a saved keyset', () => openSavedClient(saved.keyset, device, DESKTOP)],
      [
        'expected a saved keyset, but this is a saved login',
        () => openSavedKeyset(saved.login, device, { id: keyset.id }),
      ],
    ]
    for (const [message, attempt] of attempts) {
      const error = await failure(attempt, 'unsupported')
      expect(error.message).toBe(message)
      expect(error.detail).toMatchObject({ object: 'saved handle', field: 'kind', found: expect.any(Number) as number })
    }
  })

  it('the unknown kind of a saved handle', async () => {
    const error = await failure(
      () => openSavedLogin(resummed(patched(login.save(device), 48, [9])), device, ALICE),
      'unsupported',
    )
    expect(error.message).toBe('this saved handle is damaged or needs a later release')
    expect(error.detail).toEqual({ object: 'saved handle', field: 'kind', found: 9 })
  })

  it('the operation that a keyset from a source definition lacks keys for', async () => {
    const part = await unlockKeyset(keyset.export('definition'), PASSWORD)
    const attempts: [string, () => unknown][] = [
      ['a new password', () => part.changePassword('next', { newMaster: true })],
      ['forgetting retired keys', () => part.forgetRetired('unchecked')],
      ['shares', () => part.share(share.id)],
      ['shares', () => part.revokeShare(share.id)],
      ["other people's shares", () => part.acceptShare(new Uint8Array(0), card)],
    ]
    for (const [what, attempt] of attempts) {
      expect((await failure(attempt, 'policy')).detail).toEqual({ rule: 'all-keys', what })
    }
  })

  it('the size of a damaged export, and the message names the object it may be', async () => {
    const damaged = await failure(() => unlockKeyset(flipped(keyset.export('host'), 100), PASSWORD), 'malformed')
    expect(damaged.message).toBe('this keyset is damaged: its checksum does not match')
    expect(damaged.detail).toEqual({ object: 'keyset', bytes: keyset.export('host').length })
    const other = await failure(() => unlockKeyset(card.bytes, PASSWORD), 'malformed')
    expect(other.message).toBe(
      'this keyset is damaged: its checksum does not match; or it is not a keyset: it says card',
    )
    const unknown = await failure(() => unlockKeyset(patched(card.bytes, 5, [99]), PASSWORD), 'malformed')
    expect(unknown.message).toBe('this keyset is damaged: its checksum does not match')
  })

  it('the passphrase rule, if an unprotected device key is opened with a passphrase', async () => {
    const open = () => openDeviceKey(device.exportUnprotected(), 'a passphrase')
    expect((await failure(open, 'policy')).detail).toEqual({ rule: 'passphrase' })
  })

  it('the length of an invalid activation code', async () => {
    const error = await failure(() => armRegistration(new Uint8Array(100), 'AAAAA-B'), 'invalid-text')
    expect(error.detail).toEqual({ reason: 'check', field: 'activation code', characters: 6, most: 30 })
  })

  it('the minimum-encryption rule, if a writer is weaker than its keyset', async () => {
    const error = await failure(() => openWriter(keyset.export('host'), { encryption: 'none' }), 'policy')
    expect(error.detail).toMatchObject({ rule: 'minimum-encryption' })
  })
})
