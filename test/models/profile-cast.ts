// Who acts on one user's profile: passwords, admins, a thief, and the states that runs begin with. Everything is created
// once, and runs start from copies.
import { createHash } from 'node:crypto'
import { keyIdOf } from '../../src/core/wrap.ts'
import { generateSigningPair, type SigningPair } from '../../src/core/key-pairs.ts'
import type { SecretKey } from '../../src/core/secret.ts'
import type { Keyset } from '../../src/index.ts'
import { deriveRecoveryKey, type RecoveryKey } from '../../src/recovery.ts'
import type { Bcrypt } from '../../src/server.ts'
import { createVerifier } from '../../src/server/bcrypt.ts'
import { saveCredential } from '../../src/server.ts'
import { routed, type StateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, type Login, type Profile, saveProfile, type Vault } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { ALICE, hex, makeKeyset, sample } from '../fixtures.ts'
import { ModelState } from './stores.ts'

/** A password hash that costs nothing, and has no salt. So everybody knows what must be stored. */
export const BCRYPT: Bcrypt = {
  hash: async (password, cost) => hashOf(password, cost),
  compare: async (password, hash) => hashOf(password, Number(hash.slice(4, 6))) === hash,
}
const hashOf = (password: string, cost: number) =>
  `$2b$${cost}$${createHash('sha256').update(password).digest('hex').slice(0, 53)}`
export const HASHING: { readonly cost: number; readonly bcrypt: typeof BCRYPT } = { cost: 10, bcrypt: BCRYPT }

/** A password of the user. */
export interface Password {
  readonly name: string
  readonly login: Login
  readonly rootKey: SecretKey<'root'>
  readonly keyId: string
  readonly verifier: string
}

export interface Cast {
  /** The first password, the one that the user changes it to, and the one that the admin sets. */
  readonly passwords: readonly [Password, Password, Password]
  /** The admin, and the one that a change of recovery sets. */
  readonly admins: readonly [Keyset, Keyset]
  /** The user's own recovery key. */
  readonly recoveryKey: RecoveryKey
  /** The thief's own key pair. */
  readonly thief: SigningPair
  readonly starts: Map<string, Promise<Start>>
}

let made: Promise<Cast> | undefined

/** Returns everybody. They are created at the first call. */
export const cast = (): Promise<Cast> => (made ??= createCast())

async function createCast(): Promise<Cast> {
  return {
    passwords: [await passwordOf('first'), await passwordOf('second'), await passwordOf('third')],
    admins: [await makeKeyset(), await makeKeyset()],
    recoveryKey: await deriveRecoveryKey({ secret: sample(32, 77) }),
    thief: generateSigningPair(),
    starts: new Map(),
  }
}

async function passwordOf(name: string): Promise<Password> {
  const login = await deriveLogin(`the ${name} password`, ALICE)
  const { rootKey } = ownerOf(login)
  const verifier = await createVerifier(login.credential, HASHING)
  return { name, login, rootKey, keyId: hex(keyIdOf(rootKey)), verifier }
}

/** What a run begins with. */
export interface StartScene {
  /** How many vaults the user has: 1 if omitted. */
  readonly vaults?: number
  /** Whether there is no admin. */
  readonly zeroTrust?: boolean
  /** Whether the user has a recovery key, and no admin. */
  readonly recoveryKey?: boolean
  /** Whether a device has stopped in the middle of a rotation, so that two keys of the first vault are live. */
  readonly begun?: boolean
  /** Whether the newest versions of the profile and of the first keyring cannot be read. */
  readonly rotten?: boolean
}

/** Copies of a server's and a bucket's objects, and a block of each vault. */
export interface Start {
  readonly server: ModelState
  readonly bucket: ModelState
  readonly blocks: ReadonlyMap<string, Block>
  readonly identity: string
  /** What every device has seen. */
  readonly revision: string
}

type Block = Parameters<Vault['open']>[0]

/** What is in every block. */
export const CONTENT: Uint8Array = sample(100)

/** The places as the user's program sees them, if nothing stands in front of them. */
export const placesOf = (server: StateStore, bucket: StateStore): StateStore =>
  routed({ profile: server, 'login/': server, 'keyring/': bucket })

/** Returns what a run begins with. Runs copy it. */
export async function startOf(scene: StartScene): Promise<Start> {
  const { starts } = await cast()
  const { vaults = 1, zeroTrust = false, recoveryKey = false, begun = false, rotten = false } = scene
  const name = JSON.stringify([vaults, zeroTrust, recoveryKey, begun, rotten])
  const start = starts.get(name) ?? prepare(scene)
  starts.set(name, start)
  return start
}

async function newProfile(store: StateStore, { zeroTrust = false, recoveryKey = false }: StartScene): Promise<Profile> {
  const { passwords, admins, recoveryKey: key } = await cast()
  const [{ login }] = passwords
  const recoveryFor = () => {
    if (recoveryKey) return { zeroTrust: true as const, recoveryKey: key }
    return zeroTrust ? { zeroTrust: true as const } : { admin: admins[0].card() }
  }
  const profile = createProfile(login, recoveryFor())
  await saveCredential(store, profile.record, login.credential, HASHING)
  await saveProfile(store, profile)
  return profile
}

async function prepare(scene: StartScene): Promise<Start> {
  const { vaults = 1, begun = false, rotten = false } = scene
  const [server, bucket] = [new ModelState(), new ModelState()]
  const store = placesOf(server.direct(), bucket.direct())
  let profile = await newProfile(store, scene)
  const blocks: Map<string, Block> = new Map()
  for (let each = 0; each < vaults; each++) {
    const created = await profile.createVault(store)
    blocks.set(created.vault.id, await created.vault.seal(CONTENT))
    profile = created.profile
  }
  if (begun) {
    // Its writes are the keyring, the profile, a drop, and then the keyring with the new key alone.
    await profile.rotate(dyingStore(store, 2), profile.vaults[0]).catch((error: unknown) => {
      if (!(error instanceof PowerCut)) throw error
    })
  }
  if (rotten) {
    for (const [state, object] of [[server, 'profile'] as const, [bucket, `keyring/${profile.vaults[0]!}`] as const])
      state.write(object, state.read(object)!.version + 1, sample(40))
  }
  return { server, bucket, blocks, identity: profile.identity, revision: profile.revision }
}

/** Fills a state with a copy of another one. */
export function copyInto(state: ModelState, from: ModelState): void {
  for (const name of from.names()) {
    const { versions, lowest } = from.object(name)
    const object = state.object(name)
    object.versions.push(...versions)
    object.lowest = lowest
  }
}
