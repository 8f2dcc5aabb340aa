// Every rule of SPEC §13.3, as a session with a stolen credential would try to break it.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createKeyset, type ErrorCode, openLog } from '../../src/index.ts'
import { guardProfiles, saveCredential, verifyCredential } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { stateStoreLaws } from '../../src/stores/contract.ts'
import { httpStateStore, serveStateStore } from '../../src/stores/http.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  type Login,
  type Profile,
  resetProfile,
  saveProfile,
  type Vault,
} from '../../src/vault.ts'
import { cardHolderOf } from '../../src/core/card.ts'
import { generateSigningPair, type SigningPair } from '../../src/core/key-pairs.ts'
import { sign } from '../../src/primitives/signature.ts'
import { keyIdIn } from '../../src/core/header.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { encodeKeyring, openKeyring, parseKeyring } from '../../src/vault/keyring.ts'
import { HandoverBy } from '../../src/vault/layout.ts'
import type { HandoverSigner, ProfileContents, VaultEntry } from '../../src/vault/profile-record.ts'
import {
  all,
  ALICE,
  CHEAP,
  failure,
  flipped,
  hex,
  newestBytes,
  PASSWORD,
  patched,
  resummed,
  sample,
  unhex,
} from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { contentsOf, recordOf, resigned } from '../vault/forged.ts'
import { altered, versionsOf, watched } from '../vault/watched.ts'
import { INSTANT } from './instant-bcrypt.ts'

withoutPauses()
const [login, next, third] = await Promise.all([
  deriveLogin(PASSWORD, ALICE),
  deriveLogin('another', ALICE),
  deriveLogin('a third', ALICE),
])
const [admin, otherAdmin] = (await Promise.all(
  ['admin', 'other'].map((name) => createKeyset(name, { costs: CHEAP })),
)) as [Awaited<ReturnType<typeof createKeyset>>, Awaited<ReturnType<typeof createKeyset>>]
const byAdmin = { admin: admin.card() }
const byAdmins = { kind: 'card', value: admin.card().bytes } as const

/** Returns the store of a user behind a guard, with a profile at revision 2 that has one vault. */
async function guarded(recovery: Parameters<typeof createProfile>[1] = byAdmin, database = memoryStateStore()) {
  const session = guardProfiles(database)
  const created = createProfile(login, recovery)
  await saveCredential(database, created.record, login.credential, INSTANT)
  const { profile, vault } = await created.createVault(session)
  return { database, session, created, profile, vault, keyring: `keyring/${vault.id}` }
}

/** Changes the contents of a profile as its owner could, one version on. */
const following = (
  { record }: Pick<Profile, 'record'>,
  changes: Partial<ProfileContents> = {},
  handover?: HandoverSigner,
  own: Login = login,
) => {
  const contents = contentsOf(record, login)
  const predecessor = { record, ...(handover && { handover }) }
  return recordOf({ ...contents, version: contents.version + 1, ...changes }, own, predecessor)
}
const signedBy = ({ seed }: SigningPair): HandoverSigner => ({
  by: HandoverBy.identity,
  sign: (message) => sign(seed, message),
})
const byCardOf = (keyset: typeof admin): HandoverSigner => ({
  by: HandoverBy.card,
  sign: (message) => cardHolderOf(keyset, 'admin', 'a test').sign(message),
})
const loginNameOf = (record: Uint8Array) => `login/${hex(keyIdIn(record))}`

/** One version on, under the second password. */
function following2(profile: Profile): Uint8Array {
  const contents = contentsOf(profile.record, next)
  return recordOf({ ...contents, version: contents.version + 1 }, next, { record: profile.record })
}

/** Writes something as the next version of an object, and checks that it is refused and that nothing has changed. */
async function refused(session: StateStore, name: string, bytes: Uint8Array, code: ErrorCode, rule?: string) {
  const before = await session.read(name)
  const error = await failure(() => session.write(name, (before?.version ?? 0) + 1, bytes), code)
  if (rule !== undefined) expect(error.detail['rule']).toBe(rule)
  expect(await session.read(name)).toEqual(before)
  return error
}

describe('a record', () => {
  it('is taken if its owner has signed it as the next one', async () => {
    const { session, profile } = await guarded()
    expect(await session.write('profile', 3, following(profile))).toBe(true)
    expect((await loadProfile(session, login)).revision).toBe('3')
  })

  it('is refused if it is not a record', async () => {
    const { session, profile } = await guarded()
    const record = following(profile)
    await refused(session, 'profile', new Uint8Array(0), 'malformed')
    await refused(session, 'profile', flipped(record, 200), 'malformed')
    await refused(session, 'profile', record.subarray(0, -1), 'malformed')
    await refused(session, 'profile', admin.export('host'), 'unsupported')
    await refused(session, 'profile', resummed(patched(record, 11, [2])), 'unsupported')
    await refused(session, 'profile', resummed(patched(record, 4, [2])), 'unsupported')
    await refused(session, 'profile', resummed(patched(record, 280, [3])), 'malformed')
    await refused(session, 'profile', new Uint8Array(2 ** 20 + 1), 'limit-exceeded')
    for (const wrong of ['x', undefined, [1, 2]]) {
      await expect(session.write('profile', 3, wrong as never)).rejects.toThrow(TypeError)
    }
  })

  it('is refused if its identity has not signed it', async () => {
    const { session, profile } = await guarded()
    const record = following(profile)
    // Whoever has the password's key, but not the seed, cannot sign. Whoever has the record can sign for themselves only.
    await refused(session, 'profile', resigned(record, generateSigningPair().seed, login), 'authentication-failed')
    for (let index = 16; index < record.length - 72; index += 151) {
      const before = await session.read('profile')
      await failure(
        () => session.write('profile', 3, resummed(flipped(record, index, index % 8))),
        ...(['authentication-failed', 'malformed', 'limit-exceeded'] as const),
      )
      expect(await session.read('profile')).toEqual(before)
    }
  })

  it('is refused if it is another profile', async () => {
    const { session } = await guarded()
    const other = createProfile(login, byAdmin).changePassword(login).changePassword(login)
    await refused(session, 'profile', other.record, 'policy', 'same-profile')
  })

  it('is refused if its version is not the next one: an old record that is repeated, and one that skips', async () => {
    const { session, created, profile } = await guarded()
    for (const [record, version] of [
      [created.record, 1],
      [profile.record, 2],
      [following(profile, { version: 4 }), 4],
      [following(profile, { version: Number.MAX_SAFE_INTEGER }), Number.MAX_SAFE_INTEGER],
    ] as const) {
      const { detail } = await refused(session, 'profile', record, 'conflict')
      expect(detail).toEqual({ object: 'profile', version, expected: 3 })
    }
    // The version is right, but it was made from another record, or from none.
    await refused(session, 'profile', following(created, { version: 3 }), 'conflict')
    const sibling = following(created)
    await refused(session, 'profile', following({ record: sibling }), 'conflict')
    const own = contentsOf(profile.record, login)
    await refused(session, 'profile', recordOf({ ...own, version: 3 }, login), 'conflict')
    const handedOver = following(created, { version: 3, identity: generateSigningPair() }, signedBy(own.identity))
    await refused(session, 'profile', handedOver, 'conflict')
  })

  it('is refused if it turns zero trust off, by whatever handover', async () => {
    const { session, profile } = await guarded({ zeroTrust: true })
    const card = admin.card().bytes
    await refused(
      session,
      'profile',
      following(profile, { recovery: { kind: 'card', value: card } }),
      'policy',
      'zero-trust',
    )
    const identity = generateSigningPair()
    const own = contentsOf(profile.record, login).identity
    for (const by of [signedBy(own), byCardOf(admin)]) {
      await refused(
        session,
        'profile',
        following(profile, { recovery: { kind: 'card', value: card }, identity, identityDue: true }, by),
        'policy',
        'zero-trust',
      )
    }
  })

  it('is refused if it has another identity that nobody has handed the profile over to', async () => {
    const { session, profile } = await guarded()
    const identity = generateSigningPair()
    const own = contentsOf(profile.record, login).identity
    const of = (by?: HandoverSigner, changes: Partial<ProfileContents> = { identity, identityDue: true }) =>
      following(profile, changes, by)
    await refused(session, 'profile', of(), 'policy', 'identity')
    // Signed by the new identity itself, by a stranger, and by the card of another admin.
    for (const by of [signedBy(identity), signedBy(generateSigningPair()), byCardOf(otherAdmin)]) {
      await refused(session, 'profile', of(by), 'authentication-failed')
    }
    // Only a reset, and the next new password, change the mark that the identity is to be replaced.
    await refused(session, 'profile', of(undefined, { identityDue: true }), 'policy', 'identity')
    // A handover, but the same identity.
    await refused(session, 'profile', of(signedBy(own), {}), 'policy', 'identity')
    // What is right is taken.
    expect(await session.write('profile', 3, of(signedBy(own)))).toBe(true)
  })

  it('is refused if the signature of a handover is for other contents', async () => {
    const { session, profile } = await guarded()
    const identity = generateSigningPair()
    const by = signedBy(contentsOf(profile.record, login).identity)
    const honest = following(profile, { identity, identityDue: true }, by)
    // The new identity changes the card, and signs again. The handover covers the card.
    const at = Buffer.from(honest).indexOf(admin.card().bytes)
    const other = resigned(patched(honest, at, otherAdmin.card().bytes), identity.seed, login)
    await refused(session, 'profile', other, 'authentication-failed')
    // And it covers who has handed over.
    const byAt = honest.length - 72 - 64 - 65
    expect(honest[byAt]).toBe(HandoverBy.identity)
    const byCard = resigned(patched(honest, byAt, [HandoverBy.card]), identity.seed, login)
    await refused(session, 'profile', byCard, 'authentication-failed')
  })

  it('is refused if a card has handed over, and the stored record has none', async () => {
    const { session, profile } = await guarded({ zeroTrust: true })
    const record = following(profile, { identity: generateSigningPair(), identityDue: true }, byCardOf(admin))
    await refused(session, 'profile', record, 'policy', 'identity')
  })

  it('is taken if the card of the stored record has handed over', async () => {
    const { database, session, profile } = await guarded()
    const reset = resetProfile(profile.record, admin, next, { identity: profile.identity })
    await refused(session, 'profile', reset.record, 'policy', 'verifier')
    await saveCredential(database, reset.record, next.credential, INSTANT)
    expect(await session.write('profile', 3, reset.record)).toBe(true)
  })

  it('under another password is refused until that password has a verifier for this version', async () => {
    const { database, session, profile } = await guarded()
    const changed = profile.changePassword(next)
    await refused(session, 'profile', changed.record, 'policy', 'verifier')
    await saveCredential(database, changed.record, next.credential, INSTANT)
    // Meanwhile another device writes. The verifier was saved for version 3, which will not come any more.
    const { profile: grown } = await profile.createVault(session)
    const again = grown.changePassword(next)
    await refused(session, 'profile', again.record, 'policy', 'verifier')
    await saveCredential(database, again.record, next.credential, INSTANT)
    expect(await session.write('profile', 4, again.record)).toBe(true)
    // Under the same password no verifier is asked for.
    await database.write(loginNameOf(again.record), 3, new Uint8Array(0))
    expect(await session.write('profile', 5, following2(again))).toBe(true)
  })

  it('that is the first may have any version and any handover, but must have its verifier', async () => {
    const { profile } = await guarded()
    const handedOver = following(
      profile,
      { identity: generateSigningPair(), version: 77 },
      signedBy(generateSigningPair()),
    )
    for (const record of [profile.record, handedOver]) {
      const database = memoryStateStore()
      const session = guardProfiles(database)
      await refused(session, 'profile', record, 'policy', 'verifier')
      await saveCredential(database, record, login.credential, INSTANT)
      expect(await session.write('profile', 1, record)).toBe(true)
    }
  })

  it('is checked in the order of the document', async () => {
    const { session, profile } = await guarded({ zeroTrust: true })
    const strangers = { identity: generateSigningPair() }
    const all = { ...strangers, id: sample(16), version: 9, recovery: byAdmins }
    const withOwnId = { ...strangers, version: 9, recovery: byAdmins }
    const withVersion = { ...strangers, recovery: byAdmins }
    // Each has what the ones before have been cured of, and all are under a password without a verifier.
    const of = (changes: Partial<ProfileContents>) => following(profile, changes, undefined, third)
    await refused(session, 'profile', resummed(flipped(of(all), 60)), 'authentication-failed')
    await refused(session, 'profile', of(all), 'policy', 'same-profile')
    await refused(session, 'profile', of(withOwnId), 'conflict')
    await refused(session, 'profile', of(withVersion), 'policy', 'zero-trust')
    await refused(session, 'profile', of(strangers), 'policy', 'identity')
    await refused(session, 'profile', of({}), 'policy', 'verifier')
  })

  it('at another version of the object is not taken, as in any store', async () => {
    const { session, profile } = await guarded()
    const record = following(profile)
    for (const version of [1, 2, 4, 100]) expect(await session.write('profile', version, record)).toBe(false)
    expect((await session.read('profile'))!.version).toBe(2)
    // Two sessions write at once: one is taken.
    const answers = await Promise.all([1, 2, 3].map(() => session.write('profile', 3, following(profile))))
    expect(answers.filter(Boolean)).toHaveLength(1)
  })

  it('is stored as it was checked, even if the caller changes its bytes meanwhile', async () => {
    const { session, profile } = await guarded()
    const record = following(profile)
    const given = new Uint8Array(record)
    const writing = session.write('profile', 3, given)
    given.fill(0)
    expect(await writing).toBe(true)
    expect(await newestBytes(session, 'profile')).toEqual(record)
  })
})

describe('a keyring', () => {
  /** Returns the next keyring of the only vault, signed by `identity`. */
  async function keyringOf(
    { session, profile, keyring }: Awaited<ReturnType<typeof guarded>>,
    identity: SigningPair = contentsOf(profile.record, login).identity,
    version = 2,
    generations: readonly number[] = [1],
  ) {
    const [vault] = contentsOf(profile.record, login).vaults
    const previous = await newestBytes(session, keyring)
    const opened = openKeyring(parseKeyring(previous), vault!, vault!.keys)!
    const keys = generations.map((generation) => ({ ...vault!.keys[0]!, generation }))
    return encodeKeyring(vault!.id, version, opened.dataKey, keys, identity, previous)
  }

  it('is taken if the identity has signed it as the next one', async () => {
    const scene = await guarded()
    expect(await scene.session.write(scene.keyring, 2, await keyringOf(scene))).toBe(true)
  })

  it('is refused if it is not a keyring', async () => {
    const scene = await guarded()
    const { session, keyring } = scene
    const bytes = await keyringOf(scene)
    await refused(session, keyring, new Uint8Array(0), 'malformed')
    await refused(session, keyring, bytes.subarray(0, -1), 'malformed')
    await refused(session, keyring, flipped(bytes, 200), 'malformed')
    await refused(session, keyring, resummed(patched(bytes, 11, [2])), 'unsupported')
    await refused(session, keyring, scene.profile.record, 'unsupported')
    await refused(session, keyring, new Uint8Array(65_537), 'limit-exceeded')
    await expect(session.write(keyring, 2, 'x' as never)).rejects.toThrow(TypeError)
  })

  it('is refused under the name of another vault', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene)
    await refused(scene.session, `keyring/${'0'.repeat(32)}`, bytes, 'policy', 'own-vault')
    const { vault } = await scene.profile.createVault(scene.session)
    await refused(scene.session, `keyring/${vault.id}`, bytes, 'policy', 'own-vault')
  })

  it('is refused if a stranger has signed it, or the signature does not hold', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene, generateSigningPair())
    const { keyring, session } = scene
    await refused(session, keyring, bytes, 'policy', 'identity')
    const honest = await keyringOf(scene)
    for (const index of [20, 50, 70, 100, 200, honest.length - 73]) {
      const altered = resummed(flipped(honest, index))
      const before = await session.read(keyring)
      await failure(() => session.write(keyring, 2, altered), 'policy', 'malformed', 'conflict')
      expect(await session.read(keyring)).toEqual(before)
    }
    // A new vault of a stranger.
    const id = sample(16)
    const own = contentsOf(scene.profile.record, login).vaults[0]!
    const dataKey = openKeyring(parseKeyring(await newestBytes(session, keyring)), own, own.keys)!.dataKey
    const foreign = encodeKeyring(id, 1, dataKey, own.keys, generateSigningPair(), undefined)
    await refused(session, `keyring/${hex(id)}`, foreign, 'policy', 'identity')
  })

  it('is refused if its version is not the next one, such as an old one that is repeated', async () => {
    const scene = await guarded()
    const { session, keyring, profile } = scene
    const old = await newestBytes(session, keyring)
    await profile.rotate(session)
    const { detail } = await refused(session, keyring, old, 'conflict')
    expect(detail).toEqual({ object: 'keyring', version: 1, expected: 4 })
    const owns = contentsOf(await newestBytes(session, 'profile'), login)
    const { dataKey } = openKeyring(
      parseKeyring(await newestBytes(session, keyring)),
      owns.vaults[0]!,
      owns.vaults[0]!.keys,
    )!
    const newest = await newestBytes(session, keyring)
    const wrong = [
      [3, newest],
      [5, newest],
      [4, old],
      [4, undefined],
    ] as const
    const [{ keys }] = owns.vaults as [VaultEntry]
    const encode = (version: number, previous?: Uint8Array) =>
      encodeKeyring(unhex(scene.vault.id), version, dataKey, keys, owns.identity, previous)
    for (const [version, previous] of wrong) await refused(session, keyring, encode(version, previous), 'conflict')
    expect(await session.write(keyring, 4, encode(4, newest))).toBe(true)
  })

  it('may have any version if no stored record parses', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene, undefined, 40)
    const good = await keyringOf(scene)
    await scene.database.write(scene.keyring, 2, sample(60))
    // The one below the damaged one still says what is next.
    await refused(scene.session, scene.keyring, bytes, 'conflict')
    expect(await scene.session.write(scene.keyring, 3, good)).toBe(true)
    const fresh = guardProfiles(withProfile(scene.profile.record))
    expect(await fresh.write(scene.keyring, 1, bytes)).toBe(true)
  })

  it('is an error if the two newest versions are damaged', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene)
    await scene.database.write(scene.keyring, 2, sample(60))
    await scene.database.write(scene.keyring, 3, sample(60))
    await refused(scene.session, scene.keyring, bytes, 'malformed')
  })

  it('of the identity before is not taken, as if another device had been quicker; of one before that it is refused', async () => {
    const scene = await guarded()
    const { session, keyring, profile } = scene
    const former = contentsOf(profile.record, login).identity
    const late = await keyringOf(scene)
    const identity = generateSigningPair()
    const handedOver = following(profile, { identity }, signedBy(former))
    expect(await session.write('profile', 3, handedOver)).toBe(true)
    const before = await session.read(keyring)
    expect(await session.write(keyring, 2, late)).toBe(false)
    expect(await session.read(keyring)).toEqual(before)
    // Of a version that does not fit, too.
    expect(await session.write(keyring, 2, await keyringOf(scene, former, 7))).toBe(false)
    const nextRecord = following({ record: handedOver })
    expect(await session.write('profile', 4, nextRecord)).toBe(true)
    await refused(session, keyring, late, 'policy', 'identity')
    expect(await session.write(keyring, 2, await keyringOf(scene, identity))).toBe(true)
  })

  it('is refused if there is no profile', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene)
    const session = guardProfiles(memoryStateStore())
    const { detail } = await failure(() => session.write(scene.keyring, 1, bytes), 'missing')
    expect(detail).toEqual({ object: 'profile' })
  })

  it('at another version of the object is not taken', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene)
    for (const version of [1, 3, 50]) expect(await scene.session.write(scene.keyring, version, bytes)).toBe(false)
    expect((await scene.session.read(scene.keyring))!.version).toBe(1)
  })

  it('is stored as it was checked, even if the caller changes its bytes meanwhile', async () => {
    const scene = await guarded()
    const bytes = await keyringOf(scene)
    const given = new Uint8Array(bytes)
    const writing = scene.session.write(scene.keyring, 2, given)
    given.fill(0)
    expect(await writing).toBe(true)
    expect(await newestBytes(scene.session, scene.keyring)).toEqual(bytes)
  })

  it('with one wrap drops those below it; one with two wraps drops nothing', async () => {
    const scene = await guarded()
    const { session, keyring } = scene
    expect(await session.write(keyring, 2, await keyringOf(scene, undefined, 2, [1, 2]))).toBe(true)
    expect(await versionsOf(session, keyring)).toEqual([1, 2])
    expect(await session.write(keyring, 3, await keyringOf(scene, undefined, 3))).toBe(true)
    expect(await versionsOf(session, keyring)).toEqual([3])
  })
})

/** Returns a store that has this record, and nothing else. */
function withProfile(record: Uint8Array): StateStore {
  const store = memoryStateStore()
  void store.write('profile', 1, record)
  return store
}

describe('names', () => {
  const id = '0123456789abcdef'.repeat(2)
  const refusedNames = [
    ...['keyset', 'slots', 'registry', 'login', 'profiles', 'profile/1', 'Profile', 'PROFILE', 'log', 'logs/1', ''],
    ...[`login/${id}`, `account/${id}${id}`, 'blob/1', `keyring`, 'keyring/', 'keyring/xyz', `keyring/${id}0`],
    ...[`keyring/${id.slice(1)}`, `keyring/${id.toUpperCase()}`, `keyring/${id}/1`, `keyring/../login/${id}`],
    ...[`../profile`, `../login/${id}`, './profile', `log/../login/${id}`, `log/../profile`, 'log/', 'log//x', 'log/X'],
    ...[
      'log/.',
      `log/x/../../login/${id}`,
      'log/x\0',
      'log/%2e%2e/login',
      'log/1',
      `log/${id}/`,
      `log/${id}/x`,
      `log/${id}\n`,
    ],
    ...[
      `log/${id}/../../login/${id}`,
      `log/${id.toUpperCase()}`,
      `log/${id}0`,
      `log/${id}/1/1`,
      `log/${id}/12345678901`,
    ],
  ]

  it.each(refusedNames)('%j is refused, whatever is asked', async (name) => {
    const { database, session } = await guardedOnce
    const calls: (() => unknown)[] = [
      () => session.read(name),
      () => session.readVersion(name, 1),
      () => all(session.readVersions!(name, 1)),
      () => session.write(name, 1, sample(10)),
      () => session.drop(name, 2),
    ]
    for (const call of calls) {
      const { detail, message } = await failure(call, 'policy')
      expect(detail).toEqual({ rule: 'guarded-name' })
      // The name of a verifier is a secret, and must not get into a log.
      expect(message).not.toContain(id)
    }
    expect(await database.read('keyset')).toBeUndefined()
  })

  it('that are not texts are refused', async () => {
    const { session } = await guardedOnce
    for (const name of [undefined, null, 7, ['profile'], { startsWith: () => true }] as never[]) {
      await failure(() => session.read(name), 'policy')
      await failure(() => session.write(name, 1, sample(1)), 'policy')
    }
  })

  it('profile, keyrings and logs are passed on', async () => {
    const { session, profile, keyring, vault } = await guardedOnce
    expect(await session.readVersion('profile', 2)).toEqual(profile.record)
    expect((await session.read(keyring))!.version).toBe(1)
    const pointer = `log/${id}`
    expect(await session.write(pointer, 1, sample(4))).toBe(true)
    const record = await recordOfVault(vault)
    for (const log of [`log/${id}/0`, `log/${id}/4294967295`]) {
      expect(await session.write(log, 1, record)).toBe(true)
      expect(await session.readVersion(log, 1)).toEqual(record)
      expect(await all(session.readVersions!(log, 1))).toEqual([{ version: 1, bytes: record }])
    }
    for (const wrong of ['x', undefined]) {
      await expect(session.write(`log/${id}`, 2, wrong as never)).rejects.toThrow(TypeError)
    }
    for (const version of [0, 1.5, -1, Number.NaN, '2']) {
      await expect(session.write('profile', version as never, profile.record)).rejects.toThrow(RangeError)
    }
  })
})
const guardedOnce = guarded()

describe('the guard', () => {
  it('drops nothing for a session', async () => {
    const { session, profile, keyring } = await guarded()
    const log = `log/${'1'.repeat(32)}`
    await session.write(log, 1, sample(1))
    await session.write(log, 2, sample(2))
    for (const name of ['profile', keyring, log]) {
      const before = await versionsOf(session, name)
      await session.drop(name, 1000)
      expect(await versionsOf(session, name)).toEqual(before)
    }
    expect(profile.revision).toBe('2')
  })

  it('drops records below the two newest by itself', async () => {
    const { session, profile } = await guarded()
    await profile.createVault(session)
    expect(await versionsOf(session, 'profile')).toEqual([2, 3])
  })

  it('keeps the verifier of the record before, and clears those of the ones below with what lay below them', async () => {
    const { database, session, profile } = await guarded()
    const name = loginNameOf(profile.record)
    expect((await newestBytes(database, name)).length).toBe(68)
    const changed = profile.changePassword(next)
    await saveCredential(database, changed.record, next.credential, INSTANT)
    await saveProfile(session, changed)
    // If the newest record is damaged, the one before counts, and its password must work.
    expect((await newestBytes(database, name)).length).toBe(68)
    expect(await verifyCredential(database, login.credential, INSTANT)).toBe(false)
    const rotten = altered(database, {
      read: async (each) => (each === 'profile' ? { version: 3, bytes: sample(400) } : database.read(each)),
    })
    expect(await verifyCredential(rotten, login.credential, INSTANT)).toBe(true)
    expect(await verifyCredential(rotten, next.credential, INSTANT)).toBe(false)
    // One more record, and nothing is under the old password any more.
    await changed.createVault(session)
    expect(await newestBytes(database, name)).toEqual(new Uint8Array(0))
    expect(await versionsOf(database, name)).toEqual([2])
    expect((await newestBytes(database, loginNameOf(changed.record))).length).toBe(68)
  })

  it('does not clear a verifier that was saved for a later record', async () => {
    const { database, session, profile } = await guarded()
    const changed = profile.changePassword(next)
    await saveCredential(database, changed.record, next.credential, INSTANT)
    await saveProfile(session, changed)
    const { profile: grown } = await changed.createVault(session)
    const again = grown.changePassword(third)
    await saveCredential(database, again.record, third.credential, INSTANT)
    // The server has stored the record, and is about to clear. Meanwhile the user goes back to the first password.
    const back = again.changePassword(login)
    let inserted = false
    const slow = altered(database, {
      async write(name, ...rest) {
        const isDone = await database.write(name, ...rest)
        if (name === 'profile' && !inserted) {
          inserted = true
          await saveCredential(database, back.record, login.credential, INSTANT)
        }
        return isDone
      },
    })
    await saveProfile(guardProfiles(slow), again)
    expect(inserted).toBe(true)
    expect((await newestBytes(database, loginNameOf(profile.record))).length).toBe(68)
    await saveProfile(session, back)
    expect(await verifyCredential(database, login.credential, INSTANT)).toBe(true)
    expect(await newestBytes(database, loginNameOf(changed.record))).toEqual(new Uint8Array(0))
  })

  it.each(['the next write', 'a repeated request'] as const)(
    'clears what a crash has left after the record was stored, with %s',
    async (later) => {
      const { database, session, profile } = await guarded()
      const changed = profile.changePassword(next)
      await saveCredential(database, changed.record, next.credential, INSTANT)
      await saveProfile(session, changed)
      const name = loginNameOf(profile.record)
      const fourth = following2(changed)
      const dying = altered(database, {
        read: (each) => (each === name ? Promise.reject(new Error('power cut')) : database.read(each)),
        drop: () => Promise.reject(new Error('power cut')),
      })
      // The record is stored, and that is what counts for the user.
      expect(await guardProfiles(dying).write('profile', 4, fourth)).toBe(true)
      expect((await newestBytes(database, name)).length).toBe(68)
      expect(await versionsOf(database, 'profile')).toEqual([2, 3, 4])
      expect(await verifyCredential(database, login.credential, INSTANT)).toBe(false)
      if (later === 'a repeated request') expect(await session.write('profile', 4, fourth)).toBe(false)
      else await (await loadProfile(session, next)).createVault(session)
      expect(await newestBytes(database, name)).toEqual(new Uint8Array(0))
      expect(await versionsOf(database, 'profile')).toEqual(later === 'a repeated request' ? [3, 4] : [4, 5])
    },
  )

  it('reads again before it refuses, because a read may be late', async () => {
    const { database, session, profile, keyring } = await guarded()
    const changed = profile.changePassword(next)
    await saveCredential(database, changed.record, next.credential, INSTANT)
    let late = 2
    const lagging = altered(database, {
      read: async (name) => (name.startsWith('login/') && late-- > 0 ? undefined : database.read(name)),
    })
    expect(await guardProfiles(lagging).write('profile', 3, changed.record)).toBe(true)
    // A keyring of the newest identity, while the profile is read late.
    const recovered = await changed.changeRecovery(session, { zeroTrust: true })
    const contents = contentsOf(recovered.record, next)
    const newest = await newestBytes(session, keyring)
    const { dataKey } = openKeyring(parseKeyring(newest), contents.vaults[0]!, contents.vaults[0]!.keys)!
    const { version, keyring: parsed } = {
      version: (await session.read(keyring))!.version,
      keyring: parseKeyring(newest),
    }
    const following = encodeKeyring(
      contents.vaults[0]!.id,
      parsed.version + 1,
      dataKey,
      contents.vaults[0]!.keys,
      contents.identity,
      newest,
    )
    late = 2
    const behind = altered(database, {
      read: async (name) =>
        name === 'profile' && late-- > 0 ? { version: 3, bytes: changed.record } : database.read(name),
    })
    expect(await guardProfiles(behind).write(keyring, version + 1, following)).toBe(true)
  })

  it('passes on invalid answers of its store, and the errors of the store', async () => {
    const { database, profile, keyring } = await guarded()
    const record = following(profile)
    for (const wrong of [
      { write: async () => 1 as never },
      { read: async () => null as never },
      { readVersion: async () => 'x' as never },
    ]) {
      await expect(guardProfiles(altered(database, wrong)).write('profile', 3, record)).rejects.toThrow(TypeError)
    }
    // An invalid answer after the record was stored is a mistake in the store too, and no crash.
    const mistaken = altered(database, {
      write: async (name, ...rest) => (name === 'profile' ? database.write(name, ...rest) : (1 as never)),
    })
    const changed = profile.changePassword(next)
    await saveCredential(database, changed.record, next.credential, INSTANT)
    await guardProfiles(database).write('profile', 3, changed.record)
    await expect(guardProfiles(mistaken).write('profile', 4, following2(changed))).rejects.toThrow(TypeError)
    const down = altered(database, { read: () => Promise.reject(new Error('down')) })
    await expect(guardProfiles(down).read(keyring)).rejects.toThrow('down')
    for (const store of [undefined, {}, { read: 1 }]) expect(() => guardProfiles(store as never)).toThrow(TypeError)
  })

  it('offers readVersions only if its store has it', () => {
    expect(guardProfiles(memoryStateStore()).readVersions).toBeTypeOf('function')
    expect(guardProfiles(altered(memoryStateStore(), {})).readVersions).toBeUndefined()
  })
})

describe('over HTTP', () => {
  it('a whole life of a profile works, and errors arrive with their code and rule', async () => {
    const database = memoryStateStore()
    const session = guardProfiles(database)
    const remote = httpStateStore('https://backup.example/state/', {
      fetch: async (url, init) => serveStateStore(session, new Request(url, init)),
    })
    const created = createProfile(login, byAdmin)
    expect((await failure(() => saveProfile(remote, created), 'policy')).detail).toMatchObject({ rule: 'verifier' })
    await saveCredential(database, created.record, login.credential, INSTANT)
    await saveProfile(remote, created)
    const { profile, vault } = await created.createVault(remote)
    const block = await vault.seal(sample(50))
    const rotated = await profile.rotate(remote)
    const keyring = `keyring/${vault.id}`
    await refused(remote, 'profile', profile.record, 'conflict')
    await refused(remote, 'profile', resummed(flipped(following(rotated), 60)), 'authentication-failed')
    await refused(remote, 'profile', createProfile(login, byAdmin).record, 'policy', 'same-profile')
    await refused(remote, 'profile', sample(500), 'malformed')
    await refused(remote, keyring, sample(300), 'malformed')
    for (const name of ['keyset', loginNameOf(created.record)]) {
      const error = await failure(() => remote.read(name), 'policy')
      expect(error.detail).toMatchObject({ rule: 'guarded-name' })
      await failure(() => remote.write(name, 1, sample(3)), 'policy')
    }
    await remote.drop(keyring, 100)
    const opened = await (await loadProfile(remote, login)).openVault(remote, vault.id)
    expect(await opened.open(block)).toEqual(sample(50))
  })
})

/** Returns the first record of some log of a vault. */
async function recordOfVault(vault: Vault): Promise<Uint8Array> {
  const store = memoryStateStore()
  await openLog(store, 'some log', vault).append(sample(5))
  return (await store.read(`log/${hex(logIdOf('some log'))}/0`))!.bytes
}

describe('logs behind a guard', () => {
  it('keep what the owner appends, reads and reseals', async () => {
    const { session, vault } = await guarded()
    const log = openLog(session, 'backups', vault)
    await log.append(sample(5))
    const atLeast = await log.append(sample(6))
    await log.reseal({ atLeast })
    expect((await all(log.read({ atLeast }))).map(({ content }) => content)).toEqual([sample(5), sample(6)])
  })

  it('take no record of a vault that is not in the profile, so a thief cannot begin a log as its owner', async () => {
    const { session, vault } = await guarded()
    const theirs = await guarded()
    const name = `log/${hex(logIdOf('backups'))}/0`
    const planted = await recordOfVault(theirs.vault)
    expect(await failure(() => session.write(name, 1, planted), 'policy')).toMatchObject({
      detail: { rule: 'own-vault' },
    })
    await openLog(session, 'backups', vault).append(sample(5))
    await failure(() => session.write(name, 2, planted), 'policy')
    await failure(() => session.write(`log/${'0'.repeat(32)}/1`, 1, planted), 'policy')
  })

  it('refuse a record of another suite at once, because no later reading can make it right', async () => {
    const { database, vault } = await guarded()
    let reads = 0
    const counted = guardProfiles(
      watched(database, () => {
        reads++
      }),
    )
    using keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const { record } = await keyset.sealRecord(sample(5), { log: 'backups', after: 'start' })
    const name = `log/${hex(logIdOf('backups'))}/0`
    expect(await failure(() => counted.write(name, 1, record), 'policy')).toMatchObject({
      detail: { rule: 'own-vault' },
    })
    expect(reads).toBe(0)
    // One of the right suite is read for.
    expect(await counted.write(name, 1, await recordOfVault(vault))).toBe(true)
    expect(reads).toBeGreaterThan(1)
  })

  it('take no record of another key model', async () => {
    const { session } = await guarded()
    using keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const store = memoryStateStore()
    await openLog(store, 'backups', keyset).append(sample(5))
    const name = `log/${hex(logIdOf('backups'))}/0`
    const { bytes } = (await store.read(name))!
    await failure(() => session.write(name, 1, bytes), 'policy')
  })

  it('refuse bytes that are not a record', async () => {
    const { session, vault } = await guarded()
    const name = `log/${'1'.repeat(32)}/0`
    const record = await recordOfVault(vault)
    await failure(() => session.write(name, 1, record.subarray(0, 47)), 'malformed')
    await failure(() => session.write(name, 1, record.subarray(0, 200)), 'malformed')
    await failure(() => session.write(name, 1, patched(record, 5, [99])), 'unsupported')
    expect(await session.read(name)).toBeUndefined()
  })

  it('need a profile', async () => {
    const { vault } = await guarded()
    const record = await recordOfVault(vault)
    const session = guardProfiles(memoryStateStore())
    await failure(() => session.write(`log/${'1'.repeat(32)}/0`, 1, record), 'missing')
  })

  /** Gives the names of the laws the form of logs' names. */
  function asLogs(store: StateStore): StateStore {
    const named = (name: string) => `log/${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
    return {
      read: (name) => store.read(named(name)),
      readVersion: (name, version) => store.readVersion(named(name), version),
      readVersions: (name, from) => store.readVersions!(named(name), from),
      write: (name, version, bytes) => store.write(named(name), version, bytes),
      drop: (name, below) => store.drop(named(name), below),
    }
  }
  const laws = stateStoreLaws(() => asLogs(guardProfiles(memoryStateStore())))
  // The guard drops nothing for sessions, so it breaks this law on purpose.
  const broken = 'drop deletes what is below'

  it.each(laws.filter(({ name }) => name !== broken))('$name', ({ check }) => check())

  it('are never shortened', async () => {
    await expect(laws.find(({ name }) => name === broken)!.check()).rejects.toThrow('is there after drop')
  })
})
