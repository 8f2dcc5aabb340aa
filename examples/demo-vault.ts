// The demo with a profile and a vault: a user, a service that never learns the user's password, and an admin who can
// reset the password until the user turns on zero trust.
import { type Keyset, openLog } from 'keystrata'
import { prefixed } from 'keystrata/stores'
import {
  createProfile,
  deriveLogin,
  type Login,
  openProfile,
  type Profile,
  resetProfile,
  type Vault,
} from 'keystrata/vault'
import { createVerifier, verifyLogin } from 'keystrata/server'
import type { Demo } from './demo.ts'
import { BackupLog, BACKUPS, readListing } from './backup-log.ts'
import { ownKeyset } from './demo-keyset.ts'
import { refused } from './refused.ts'
import { say } from './terminal.ts'
import { StateVaultStore } from './vault-store.ts'

/** The end of the folder name for the second restore. */
export const AGAIN = 'with the new password'

const USER = { realm: 'keystrata-demo', user: 'demo user' }

/** Plays the life of a vault in one store. At the end the password is the given one again. */
export async function vaultDemo({ store, password, restoreOnly, snapshot, backUp, ...demo }: Demo): Promise<void> {
  const service = new StateVaultStore(store.state)
  const login = await deriveLogin(password, USER)
  let { atLeast } = demo
  const indexFor = (reader: Vault) => openLog(store.state, BACKUPS, reader)
  const restore = async (reader: Vault, again?: { into: string }) =>
    demo.restore({ reader, store }, await readListing(indexFor(reader), { snapshot, atLeast }), again)
  if (restoreOnly) {
    const profile = await logIn(service, login)
    await restore(await firstVault(profile, service))
    return
  }

  // In real life only the admin has this keyset, and the service never stores it.
  using admin = await ownKeyset(prefixed(store.state, 'admin/'), `${password}, of the admin`)
  let profile =
    (await service.verifier()) === undefined ? await signUp(service, login, admin) : await logIn(service, login)
  if (profile.vaults.length === 0) ({ profile } = await profile.createVault(service))
  let vault = await firstVault(profile, service)
  const index = new BackupLog(indexFor(vault))
  await backUp(vault, index, { pack: true })
  atLeast = index.position
  await restore(vault)

  profile = await profile.rotate(service)
  say(`rotated: the vault has a new E-key; no block was rewritten; the profile is now at version ${profile.version}`)

  try {
    const second = await deriveLogin(`${password}, changed`, USER)
    profile = await setPassword(service, profile.changePassword(second), second)
    say('changed the password of the user')
    if (await verifyLogin(await service.verifier(), login.credential)) throw new Error('the old password still logs in')
    await refused('wrong-password', async () => openProfile((await service.readProfile())!, login))
    say('the old password is refused: it does not log in, and it does not open the profile')
    vault = await firstVault(await logIn(service, second), service)
    await restore(vault, { into: AGAIN })

    if (!profile.zeroTrust) {
      const third = await deriveLogin(`${password}, reset`, USER)
      const record = (await service.readProfile())!
      profile = await setPassword(service, resetProfile(record, admin, third, { atLeast: profile.version }), third)
      vault = await firstVault(profile, service)
      await readListing(indexFor(vault), { atLeast })
      say('the admin reset the password, and the new one opens the vault')
      profile = await profile.changeRecovery(service, { zeroTrust: true })
      say('turned on zero trust: the recovery slots are deleted and every vault is rotated')
    }
    await refused('policy', async () => resetProfile((await service.readProfile())!, admin, login))
    say('with zero trust on, the admin can no longer reset the password')
  } finally {
    await setPassword(service, profile.changePassword(login), login)
    say('set the password back to the one you gave')
  }
}

async function signUp(service: StateVaultStore, login: Login, admin: Keyset): Promise<Profile> {
  // A real user compares the fingerprint of this card with the one that the admin tells them.
  const profile = createProfile(login, { admin: admin.card() })
  return setPassword(service, profile, login)
}

/** Does what the service does at login: it checks the credential and returns the profile. */
async function logIn(service: StateVaultStore, login: Login): Promise<Profile> {
  const record = await service.readProfile()
  if (record === undefined) throw new Error('this store has no user: run the demo without --restore-only first')
  if (!(await verifyLogin(await service.verifier(), login.credential))) throw new Error('the password is wrong')
  return openProfile(record, login)
}

/** Stores the profile and the verifier of its new password together. */
async function setPassword(service: StateVaultStore, profile: Profile, { credential }: Login): Promise<Profile> {
  const isStored = await service.writeAccount(await createVerifier(credential), profile.record, profile.version)
  if (!isStored) throw new Error('another device changed the profile first: run the demo again')
  return profile
}

function firstVault(profile: Profile, service: StateVaultStore): Promise<Vault> {
  const [vaultId] = profile.vaults
  if (vaultId === undefined) throw new Error('the profile has no vault')
  return profile.openVault(service, vaultId)
}
