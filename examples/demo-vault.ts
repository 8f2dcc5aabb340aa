// The demo with a profile and a vault: a user, a service that never learns the user's password, and an admin who can
// reset the password until the user turns on zero trust.
import { type Keyset, openLog } from 'keystrata'
import { guardProfiles, saveCredential, verifyCredential } from 'keystrata/server'
import { prefixed, type StateStore } from 'keystrata/stores'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  type Login,
  parseProfile,
  type Profile,
  resetProfile,
  saveProfile,
  type Vault,
} from 'keystrata/vault'
import type { Demo } from './demo.ts'
import { BackupLog, BACKUPS, readListing } from './backup-log.ts'
import { ownKeyset } from './demo-keyset.ts'
import { refused } from './refused.ts'
import { say } from './terminal.ts'

/** The end of the folder name for the second restore. */
export const AGAIN = 'with the new password'

const USER = { realm: 'keystrata-demo', user: 'demo user' }

/** Plays the life of a vault in one store. At the end the password is the given one again. */
export async function vaultDemo({ store, password, restoreOnly, snapshot, backUp, ...demo }: Demo): Promise<void> {
  // What the service stores of the user, and what it lets the user's devices do with that.
  const stored = store.state
  const session = guardProfiles(stored)
  const login = await deriveLogin(password, USER)
  let { atLeast } = demo
  const indexFor = (reader: Vault) => openLog(session, BACKUPS, reader)
  const restore = async (reader: Vault, again?: { into: string }) =>
    demo.restore({ reader, store }, await readListing(indexFor(reader), { snapshot, atLeast }), again)
  if (restoreOnly) {
    const profile = await logIn(stored, login)
    await restore(await firstVault(profile, session))
    return
  }

  // In real life only the admin has this keyset, and the service never stores it.
  using admin = await ownKeyset(prefixed(stored, 'admin/'), `${password}, of the admin`)
  let profile =
    (await session.read('profile')) === undefined ? await signUp(stored, login, admin) : await logIn(stored, login)
  if (profile.vaults.length === 0) ({ profile } = await profile.createVault(session))
  let vault = await firstVault(profile, session)
  const index = new BackupLog(indexFor(vault))
  await backUp(vault, index, { pack: true })
  atLeast = index.position
  await restore(vault)

  profile = await profile.rotate(session)
  say(`rotated: the vault has a new E-key; no block was rewritten; the profile is now at revision ${profile.revision}`)

  try {
    const second = await deriveLogin(`${password}, changed`, USER)
    profile = await setPassword(stored, profile.changePassword(second), second)
    say('changed the password of the user')
    if (await verifyCredential(stored, login.credential)) throw new Error('the old password still logs in')
    await refused('wrong-password', () => loadProfile(session, login))
    say('the old password is refused: it does not log in, and it does not open the profile')
    vault = await firstVault(await logIn(stored, second), session)
    await restore(vault, { into: AGAIN })

    const record = async () => (await session.read('profile'))!.bytes
    if (!profile.zeroTrust) {
      // The admin sees this identity in the record, compares it with the one that the user's device shows, and pins it.
      const pin = parseProfile(await record()).identity
      if (pin !== profile.identity) throw new Error('the service shows the admin another profile than the user')
      const third = await deriveLogin(`${password}, reset`, USER)
      const reset = resetProfile(await record(), admin, third, { identity: pin, atLeast: profile.revision })
      profile = await setPassword(stored, reset, third)
      vault = await firstVault(profile, session)
      await readListing(indexFor(vault), { atLeast })
      say('the admin reset the password of the profile with the pinned identity, and the new one opens the vault')
      await refused('key-changed', async () => resetProfile(await record(), admin, third, { identity: pin }))
      say('the profile has a new identity since: the admin must not reset it before comparing again')
      profile = await profile.changeRecovery(session, { zeroTrust: true })
      say('turned on zero trust: the recovery slots are deleted and every vault is rotated')
    }
    const now = { identity: profile.identity }
    await refused('policy', async () => resetProfile(await record(), admin, login, now))
    say('with zero trust on, the admin can no longer reset the password')
  } finally {
    await setPassword(stored, profile.changePassword(login), login)
    say('set the password back to the one you gave')
  }
}

async function signUp(stored: StateStore, login: Login, admin: Keyset): Promise<Profile> {
  // A real user compares the fingerprint of this card with the one that the admin tells them.
  return setPassword(stored, createProfile(login, { admin: admin.card() }), login)
}

/** The service checks the credential, and then the user's device opens the profile. */
async function logIn(stored: StateStore, login: Login): Promise<Profile> {
  if ((await stored.read('profile')) === undefined)
    throw new Error('this store has no user: run the demo without --restore-only first')
  if (!(await verifyCredential(stored, login.credential))) throw new Error('the password is wrong')
  return loadProfile(guardProfiles(stored), login)
}

/** The service saves the credential first, and then takes the profile from the user's device. */
async function setPassword(stored: StateStore, profile: Profile, { credential }: Login): Promise<Profile> {
  await saveCredential(stored, profile.record, credential)
  await saveProfile(guardProfiles(stored), profile)
  return profile
}

function firstVault(profile: Profile, session: StateStore): Promise<Vault> {
  const [vaultId] = profile.vaults
  if (vaultId === undefined) throw new Error('the profile has no vault')
  return profile.openVault(session, vaultId)
}
