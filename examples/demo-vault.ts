// The demo with a profile and a vault: a user and a service that never learns his password, and an admin who can reset it
// until the user turns zero trust on.
import { createKeyset, type Keyset, unlockKeyset } from 'keystrata'
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
import { BlockIndex, readBlockIndex } from './block-index.ts'
import { putVersion } from './store.ts'
import { refused } from './refused.ts'
import { say } from './terminal.ts'
import { FolderVaultStore } from './vault-store.ts'

/** Where the second restore goes. */
export const AGAIN = 'with the new password'

const USER = { realm: 'keystrata-demo', user: 'demo user' }

/** A rehearsal on a store of its own: the password is the given one again when it ends. */
export async function vaultDemo({ store, password, restoreOnly, snapshot, backUp, ...demo }: Demo): Promise<void> {
  const service = new FolderVaultStore(store)
  const login = await deriveLogin(password, USER)
  const restore = async (reader: Vault, again?: { into: string }) =>
    demo.restore({ reader, store }, await readBlockIndex(store, reader, snapshot), again)
  if (restoreOnly) {
    const profile = await logIn(service, login)
    await restore(await firstVault(profile, service))
    return
  }

  const admin = await adminKeyset(store, `${password}, of the admin`)
  let profile =
    (await service.verifier()) === undefined ? await signUp(service, login, admin) : await logIn(service, login)
  if (profile.vaults.length === 0) ({ profile } = await profile.createVault(service))
  let vault = await firstVault(profile, service)
  await backUp(vault, new BlockIndex(vault, store))
  await restore(vault)

  profile = await profile.rotate(service)
  say(`rotated: the vault has a new E-key, and no block was touched; the profile is at version ${profile.version}`)

  try {
    const second = await deriveLogin(`${password}, changed`, USER)
    profile = await setPassword(service, profile.changePassword(second), second)
    say('changed the password')
    if (await verifyLogin(await service.verifier(), login.credential)) throw new Error('the old password still logs in')
    await refused('wrong-password', async () => openProfile((await service.readProfile())!, login))
    say('the old password is refused, by the service and by the profile')
    vault = await firstVault(await logIn(service, second), service)
    await restore(vault, { into: AGAIN })

    if (!profile.zeroTrust) {
      const third = await deriveLogin(`${password}, reset`, USER)
      const record = (await service.readProfile())!
      profile = await setPassword(service, resetProfile(record, admin, third, { atLeast: profile.version }), third)
      vault = await firstVault(profile, service)
      await readBlockIndex(store, vault)
      say('the admin reset the password, and the vault opens with it')
      profile = await profile.changeRecovery(service, { zeroTrust: true })
      say('turned zero trust on: recovery slots dropped, every vault rotated')
    }
    await refused('policy', async () => resetProfile((await service.readProfile())!, admin, login))
    say('under zero trust the admin cannot reset the password any more')
  } finally {
    await setPassword(service, profile.changePassword(login), login)
    say('the password is the given one again')
  }
}

async function signUp(service: FolderVaultStore, login: Login, admin: Keyset): Promise<Profile> {
  // A real user compares the fingerprint of the admin's card with what the admin tells him.
  const profile = createProfile(login, { admin: admin.card() })
  return setPassword(service, profile, login)
}

/** What the service does for whoever logs in: it compares the credential, and hands out the profile. */
async function logIn(service: FolderVaultStore, login: Login): Promise<Profile> {
  const record = await service.readProfile()
  if (record === undefined) throw new Error('nobody has signed up here')
  if (!(await verifyLogin(await service.verifier(), login.credential)))
    throw new Error('the password is not the right one')
  return openProfile(record, login)
}

/** Stores the profile and the verifier of its new password together. */
async function setPassword(service: FolderVaultStore, profile: Profile, { credential }: Login): Promise<Profile> {
  const isStored = await service.writeAccount(await createVerifier(credential), profile.record, profile.version)
  if (!isStored) throw new Error('another device was quicker; run the demo again')
  return profile
}

function firstVault(profile: Profile, service: FolderVaultStore): Promise<Vault> {
  const [vaultId] = profile.vaults
  if (vaultId === undefined) throw new Error('the profile has no vault')
  return profile.openVault(service, vaultId)
}

/** The admin's own keyset; in real life it lies with the admin, nowhere near the service and what it stores. */
async function adminKeyset(store: Demo['store'], password: string): Promise<Keyset> {
  const stored = (await store.versions('admin')).at(-1)
  if (stored !== undefined) return unlockKeyset((await store.get(stored))!, password)
  const keyset = await createKeyset(password)
  await putVersion(store, 'admin', keyset.export('storage'))
  return keyset
}
