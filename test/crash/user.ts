// What a test and its processes agree on: where the profile of one user lies, and what its device does to it.
import bcryptjs from 'bcryptjs'
import { openDeviceKey } from '../../src/device.ts'
import { type Bcrypt, guardProfiles, saveCredential } from '../../src/server.ts'
import { prefixed, type StateStore } from '../../src/stores.ts'
import { loadProfile, type Login, openSavedLogin, saveProfile } from '../../src/vault.ts'
import { type Place, storeAt } from './log-job.ts'

export const USER = { realm: 'crash', user: 'user' }

/** Bundles have no worker threads. */
const bcrypt: Bcrypt = {
  hash: (password, cost) => bcryptjs.hash(password, cost),
  compare: (password, hash) => bcryptjs.compare(password, hash),
}
export const HASHING: { readonly cost: number; readonly bcrypt: Bcrypt } = { cost: 10, bcrypt }

export type Work = 'rotate' | 'createVault' | 'changeRecovery' | 'changePassword'

export interface Job {
  readonly place: Place
  /** What the names of this user's objects begin with. */
  readonly prefix: string
  /** Whether a guard stands between the device and the place. */
  readonly guarded: boolean
  readonly work: Work
  /** After how many calls that change the store the process kills itself. */
  readonly calls: number
  /** A device key, and the logins of the password and of the next one that it saved, in hex. */
  readonly device: string
  readonly logins: readonly [string, string]
}

const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

export async function loginsOf({ device, logins }: Pick<Job, 'device' | 'logins'>): Promise<[Login, Login]> {
  using key = await openDeviceKey(unhex(device))
  const [first, second] = logins
  return [openSavedLogin(unhex(first), key, USER), openSavedLogin(unhex(second), key, USER)]
}

export const placeOf = ({ place, prefix }: Pick<Job, 'place' | 'prefix'>): StateStore =>
  prefixed(storeAt(place), prefix)

/** Returns the place of a job, which kills this process right after its nth call that changed it. */
export function dyingPlace(job: Pick<Job, 'place' | 'prefix' | 'calls'>): { store: StateStore; calls: () => number } {
  const place = placeOf(job)
  let calls = 0
  const happened = <T>(answer: T): T => {
    if (++calls === job.calls) process.kill(process.pid, 'SIGKILL')
    return answer
  }
  const store: StateStore = {
    read: (name) => place.read(name),
    readVersion: (name, version) => place.readVersion(name, version),
    write: async (...call) => happened(await place.write(...call)),
    drop: async (...call) => {
      await place.drop(...call)
      happened(undefined)
    },
  }
  return { store, calls: () => calls }
}

/** The store as a device sees it. */
export const seenBy = (store: StateStore, guarded: boolean): StateStore => (guarded ? guardProfiles(store) : store)

/**
 * Does what a device was asked to do.
 * @param store the server's own store
 * @param seen what the device sees of it
 */
export async function act(
  work: Work,
  store: StateStore,
  seen: StateStore,
  [login, next]: readonly [Login, Login],
): Promise<void> {
  using profile = await loadProfile(seen, login)
  switch (work) {
    case 'rotate':
      await profile.rotate(seen)
      return
    case 'createVault':
      await profile.createVault(seen)
      return
    case 'changeRecovery':
      await profile.changeRecovery(seen, { zeroTrust: true })
      return
    case 'changePassword': {
      using changed = profile.changePassword(next)
      await saveCredential(store, changed.record, next.credential, HASHING)
      await saveProfile(seen, changed)
    }
  }
}
