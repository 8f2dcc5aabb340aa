import { describe, expect, it } from 'vitest'
import { createKeyset, unlockKeyset } from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, openProfile, type Profile, resetProfile, saveProfile } from '../../src/vault.ts'
import { readCard } from '../../src/core/card.ts'
import { generateSigningPair, Recipient } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { encodeKeyring, sealRecoverySlot, type SlotKey } from '../../src/vault/keyring.ts'
import { HandoverBy } from '../../src/vault/layout.ts'
import { parseProfileRecord, type ProfileContents, type VaultEntry } from '../../src/vault/profile-record.ts'
import {
  ALICE,
  CHEAP,
  failure,
  flipped,
  KeepingStore,
  newestBytes,
  PASSWORD,
  patched,
  resummed,
  sample,
} from '../fixtures.ts'
import { BEHIND_SIGNATURE, contentsOf, recordOf, resigned, rewritten } from './forged.ts'

const [login, next, bob] = await Promise.all([
  deriveLogin(PASSWORD, ALICE),
  deriveLogin('another', ALICE),
  deriveLogin(PASSWORD, { ...ALICE, user: 'bob' }),
])
const [admin, otherAdmin] = await Promise.all([
  createKeyset('admin', { costs: CHEAP }),
  createKeyset('other', { costs: CHEAP }),
])
const content = sample(300)
const unpinned = { identity: 'unpinned' }

async function withVault(profile: Profile) {
  const store = new KeepingStore()
  const made = await profile.createVault(store)
  return { store, ...made, block: await made.vault.seal(content) }
}
const withAdmin = await withVault(createProfile(login, { admin: admin.card() }))
const zeroTrust = await withVault(createProfile(login, { zeroTrust: true }))
const { record } = withAdmin.profile
const pinned = { identity: withAdmin.profile.identity }
const contents = contentsOf(record, login)

describe('resetProfile', () => {
  it('puts the same vaults under a new password, with a new identity that the card hands over', async () => {
    const { store, vault, block, profile } = withAdmin
    const reset = resetProfile(record, admin, next, pinned)
    expect([reset.revision, reset.zeroTrust, reset.vaults]).toEqual(['3', false, [vault.id]])
    expect(reset.identity).not.toBe(profile.identity)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
    expect(openProfile(reset.record, next).identity).toBe(reset.identity)
    const { handover, identityDue, header } = parseProfileRecord(reset.record)
    expect([handover?.by, identityDue]).toEqual([HandoverBy.card, true])
    expect(header.ownerId).toEqual(contents.id)
    // A second reset works, because the recovery slots stay.
    const again = resetProfile(reset.record, admin, login, { identity: reset.identity })
    expect(await (await again.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('works for a profile without vaults, and without a pin', async () => {
    const created = createProfile(login, { admin: admin.card() })
    const store = memoryStateStore()
    await saveProfile(store, created)
    const reset = resetProfile(created.record, admin, next, unpinned)
    await saveProfile(store, reset)
    expect([reset.revision, reset.vaults]).toEqual(['2', []])
    expect((await reset.createVault(store)).profile.vaults).toHaveLength(1)
  })

  it('refuses another identity than the pinned one, and says which it found', async () => {
    const { detail } = await failure(
      () => resetProfile(record, admin, next, { identity: zeroTrust.profile.identity }),
      'key-changed',
    )
    expect(detail).toEqual({ identity: pinned.identity })
  })

  it('refuses a record that the server made itself from what it knows of the user, if there is a pin', async () => {
    // The server knows the id, the card and the names. It makes a record with an identity and a vault of its own, so that
    // the user would back up to a vault that the server can read.
    const own: SlotKey = { generation: 1, due: false, key: new SecretKey('keyring', sample(16)) }
    const invented = recordOfServer([vaultOf(sample(16, 5), [own])])
    await failure(() => resetProfile(invented, admin, next, pinned), 'key-changed')
    // Without a pin this cannot be noticed. No old block opens in that vault.
    const fooled = resetProfile(invented, admin, next, unpinned)
    expect(fooled.vaults).toEqual([Buffer.from(sample(16, 5)).toString('hex')])
    expect(fooled.vaults).not.toContain(withAdmin.vault.id)
  })

  it.each<[string, unknown, new () => Error]>([
    ['no options', undefined, TypeError],
    ['options that are null', null, TypeError],
    ['no identity', {}, TypeError],
    ['an identity that is undefined', { identity: undefined }, TypeError],
    ['an identity that is null', { identity: null }, TypeError],
    ['the bytes of an identity', { identity: new Uint8Array(32) }, TypeError],
    ['a floor that is undefined', { ...pinned, atLeast: undefined }, TypeError],
    ['a floor that is a number', { ...pinned, atLeast: 2 }, TypeError],
    ['a floor that is not a revision', { ...pinned, atLeast: '0' }, TypeError],
  ])('refuses %s', (_, options, kind) => {
    const reset = (bytes: Uint8Array) => () => resetProfile(bytes, admin, next, options as never)
    expect(reset(record)).toThrow(kind)
    // Whatever the record is: a mistake of the program must not look like a damaged record.
    expect(reset(new Uint8Array(0))).toThrow(kind)
  })

  it.each([
    ['an empty identity', '', 'empty'],
    ['another word', 'Unpinned', 'check'],
    ['an identity that is cut', pinned.identity.slice(2), 'check'],
    ['an identity with another letter', pinned.identity.replace(/./, 'x'), 'check'],
    ['an identity that is too long', `${pinned.identity}00`, 'too-long'],
  ])('refuses %s as text, whatever the record is', async (_, identity, reason) => {
    for (const bytes of [record, new Uint8Array(0)]) {
      const { detail } = await failure(() => resetProfile(bytes, admin, next, { identity }), 'invalid-text')
      const size = reason === 'empty' ? {} : { characters: identity.length, most: 64 }
      expect(detail).toEqual({ reason, field: 'identity', ...size })
    }
  })

  it.each([
    ['capitals', pinned.identity.toUpperCase()],
    ['groups', pinned.identity.replaceAll(/.{8}/g, '$& ')],
    ['a list, with a comma', `\u2022 ${pinned.identity},`],
    ['digits that look alike', pinned.identity.replaceAll('0', 'O').replaceAll('1', 'l')],
    ['quotes and hyphens', `\u201c${pinned.identity.replaceAll(/.{16}/g, '$&-')}\u201d\n`],
  ])('takes the pinned identity in %s', (_, identity) => {
    using reset = resetProfile(record, admin, next, { identity })
    expect(reset.vaults).toEqual([withAdmin.vault.id])
  })

  it('is refused under zero trust, with and without vaults, and whoever asks', async () => {
    const empty = createProfile(login, { zeroTrust: true })
    for (const { record, identity } of [zeroTrust.profile, empty]) {
      for (const who of [admin, otherAdmin]) {
        const error = await failure(() => resetProfile(record, who, next, { identity }), 'policy')
        expect(error.detail).toEqual({ rule: 'zero-trust' })
      }
    }
  })

  it("is refused if the profile has another admin's card, with and without vaults", async () => {
    const empty = createProfile(login, { admin: admin.card() })
    for (const { record, identity } of [withAdmin.profile, empty]) {
      await failure(() => resetProfile(record, otherAdmin, next, { identity }), 'key-not-found')
      await failure(() => resetProfile(record, otherAdmin, next, unpinned), 'key-not-found')
    }
  })

  it('is refused for another user, an older version, and a keyset from a source definition', async () => {
    await failure(() => resetProfile(record, admin, bob, pinned), 'authentication-failed')
    expect(resetProfile(record, admin, next, { ...pinned, atLeast: '2' }).revision).toBe('3')
    const { detail } = await failure(() => resetProfile(record, admin, next, { ...pinned, atLeast: '3' }), 'rollback')
    expect(detail).toEqual({ version: 2, atLeast: 3 })
    const definition = await unlockKeyset(admin.export('definition'), 'admin')
    await failure(() => resetProfile(record, definition, next, pinned), 'policy')
    expect(() => resetProfile(record, {} as never, next, pinned)).toThrow(TypeError)
    expect(() => resetProfile(record, null as never, next, pinned)).toThrow(TypeError)
    expect(() => resetProfile(record, admin, {} as never, pinned)).toThrow(TypeError)
    const gone = await deriveLogin(PASSWORD, ALICE)
    gone.dispose()
    await failure(() => resetProfile(record, admin, gone, pinned), 'disposed')
    const former = await createKeyset('admin', { costs: CHEAP })
    former.dispose()
    await failure(() => resetProfile(record, former, next, pinned), 'disposed')
  })

  it('refuses a record that is damaged, altered, or not a profile', async () => {
    const of = (bytes: Uint8Array) => () => resetProfile(bytes, admin, next, pinned)
    await failure(of(new Uint8Array(0)), 'malformed')
    await failure(of(flipped(record, 300)), 'malformed')
    await failure(of(admin.export('host')), 'unsupported')
    await failure(of(new Uint8Array(2 ** 20 + 1)), 'limit-exceeded')
    const crowded = resummed(patched(zeroTrust.profile.record, 281, [1, 1]))
    await failure(of(crowded), 'limit-exceeded')
    const last = rewritten(record, login, { version: Number.MAX_SAFE_INTEGER })
    await failure(of(last), 'limit-exceeded')
    expect(() => resetProfile('x' as never, admin, next, pinned)).toThrow(TypeError)
    // Every byte before the signature, and the signature, but not the MAC, which the admin cannot check.
    for (let index = 48; index < record.length - BEHIND_SIGNATURE; index += 23) {
      await failure(
        of(resummed(flipped(record, index, index % 8))),
        ...(['authentication-failed', 'malformed', 'limit-exceeded'] as const),
      )
    }
  })

  it('needs the signature of the identity in the record, whoever computes the MAC', async () => {
    const stranger = generateSigningPair()
    const forged = resigned(record, stranger.seed, login)
    await failure(() => resetProfile(forged, admin, next, pinned), 'authentication-failed')
    await failure(() => resetProfile(forged, admin, next, unpinned), 'authentication-failed')
  })

  it('drops a recovery slot that does not belong to a slot', async () => {
    const [vault] = contents.vaults
    const planted = { generation: 2, key: new SecretKey('keyring', sample(16)) }
    const recoverySlots = [...vault!.recoverySlots, sealed(vault!.id, planted)]
    const forged = recordOf({ ...contents, vaults: [{ ...vault!, recoverySlots }] }, login)
    expect(parseProfileRecord(forged).vaults[0]!.recoverySlots).toHaveLength(2)
    const reset = resetProfile(forged, admin, next, pinned)
    const [kept] = parseProfileRecord(reset.record).vaults
    expect(kept!.recoverySlots.map(({ generation }) => generation)).toEqual([1])
  })

  it('refuses a vault with a slot that has no recovery slot', async () => {
    const [vault] = contents.vaults
    const forged = recordOf({ ...contents, vaults: [{ ...vault!, recoverySlots: [] }] }, login)
    await failure(() => resetProfile(forged, admin, next, pinned), 'key-not-found')
  })

  it('refuses a recovery slot of another vault, generation or admin', async () => {
    const [vault] = contents.vaults
    const [key] = vault!.keys
    const of = (slot: VaultEntry['recoverySlots'][number]) => {
      const forged = recordOf({ ...contents, vaults: [{ ...vault!, recoverySlots: [slot] }] }, login)
      return () => resetProfile(forged, admin, next, pinned)
    }
    await failure(of(sealed(sample(16), key!)), 'authentication-failed')
    await failure(of({ ...sealed(vault!.id, { ...key!, generation: 2 }), generation: 1 }), 'authentication-failed')
    const toOther = new Recipient(readCard(otherAdmin.card().bytes).sharing)
    await failure(of(sealRecoverySlot(toOther, contents.id, ALICE, vault!.id, key!)), 'key-not-found')
    const slot = vault!.recoverySlots[0]!
    for (let index = 0; index < slot.bytes.length; index += index < 48 ? 1 : 101) {
      await failure(
        of({ ...slot, bytes: flipped(slot.bytes, index, index % 8) }),
        ...(['authentication-failed', 'key-not-found', 'malformed', 'unsupported'] as const),
      )
    }
  })

  it('does not let the server replace a keyring with its own, if there is no pin', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const genuine = contentsOf(profile.record, login)
    const [entry] = genuine.vaults
    // Beside the genuine slot, the server plants a second one with a key that it knows. It signs with an identity of its own.
    const own: SlotKey = { generation: 2, due: false, key: new SecretKey('keyring', sample(16)) }
    const recoverySlots = [...entry!.recoverySlots, sealed(entry!.id, own, genuine.id)]
    const forged = recordOf(
      {
        ...genuine,
        identity: generateSigningPair(),
        vaults: [{ ...entry!, keys: [...entry!.keys, own], recoverySlots }],
      },
      login,
    )
    const reset = resetProfile(forged, admin, next, unpinned)
    const evil = memoryStateStore()
    await evil.write('profile', 1, forged)
    await evil.write('profile', 2, reset.record)
    await evil.write(`keyring/${vault.id}`, 1, await newestBytes(store, `keyring/${vault.id}`))
    expect(await (await reset.openVault(evil, vault.id)).open(block)).toEqual(content)
    // Later it offers a keyring that wraps its own data key under that key.
    const dataKey = new SecretKey('data', sample(32))
    const swapped = memoryStateStore()
    await swapped.write('profile', 1, reset.record)
    const serversKeyring = encodeKeyring(entry!.id, 7, dataKey, [own], generateSigningPair(), undefined)
    await swapped.write(`keyring/${vault.id}`, 1, serversKeyring)
    await failure(() => reset.openVault(swapped, vault.id), 'authentication-failed')
    await failure(() => reset.rotate(swapped), 'authentication-failed')
    const rotated = await reset.rotate(evil)
    expect(parseProfileRecord(rotated.record).vaults[0]!.slots).toHaveLength(1)
    // The new key may have the same generation as the planted one, but it has its own recovery slot.
    const again = resetProfile(rotated.record, admin, login, { identity: rotated.identity })
    await saveProfile(evil, again)
    expect(await (await again.openVault(evil, vault.id)).open(block)).toEqual(content)
  })

  it('leaves nothing that is under the old password or the old identity', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const reset = resetProfile(profile.record, admin, next, { identity: profile.identity })
    await saveProfile(store, reset)
    await failure(() => openProfile(reset.record, login), 'wrong-password')
    await failure(() => profile.rotate(store), 'wrong-password')
    const rotated = await openProfile(await newestBytes(store, 'profile'), next).rotate(store)
    expect(rotated.identity).toBe(reset.identity)
    expect(await (await rotated.openVault(store, vault.id)).open(block)).toEqual(content)
  })
})

/** Seals an E-key to the admin's card, as anyone can. */
function sealed(vaultId: Uint8Array, key: Pick<SlotKey, 'generation' | 'key'>, profileId: Uint8Array = contents.id) {
  return sealRecoverySlot(new Recipient(readCard(admin.card().bytes).sharing), profileId, ALICE, vaultId, key)
}

/** Returns a vault that the server made itself. */
function vaultOf(id: Uint8Array, keys: readonly SlotKey[]): VaultEntry {
  return { id, dataKeyId: sample(16), keys, recoverySlots: keys.map((key) => sealed(id, key)) }
}

/** Returns a record that the server made itself, with an identity of its own. It has no R-key, so the MAC is of another. */
function recordOfServer(vaults: ProfileContents['vaults']): Uint8Array {
  return recordOf({ ...contents, identity: generateSigningPair(), vaults }, bob)
}
