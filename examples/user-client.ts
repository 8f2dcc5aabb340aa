// A device of a user of user-service.ts. It backs up into vaults, and keeps what it needs to notice an older profile or
// an older log. The profile is on the service; keyrings and logs are there too, or in another place, such as a bucket.
import { setTimeout } from 'node:timers/promises'
import { KeystrataError } from 'keystrata'
import { type Blocks, routed, type StateStore } from 'keystrata/stores'
import { httpStateStore } from 'keystrata/stores/http'
import { createProfile, deriveLogin, loadProfile, type Login, type Profile, type Recovery } from 'keystrata/vault'
import { backUp, restore, type Store } from './any-keys.ts'
import { writeNext } from './backup-store.ts'
import { call, passwordBody, ServiceSession } from './service-session.ts'

/** A constant of the product. It can never change: all keys of its users depend on it. */
export const REALM = 'keystrata-demo'

/** How often to start again when other devices of the user are quicker. */
const TRIES = 5

export interface Places {
  /** The URL of the service. */
  url: string
  /** A store on the device itself, which the service cannot change. */
  device: StateStore
  blocks: Blocks
  /** Where keyrings and logs are, if they are not on the service. Anyone who can write there can destroy them. */
  elsewhere?: StateStore
}

/** What a device keeps. With it, nobody can put back an older profile or an older log without being noticed. */
interface Floor {
  /** The revision of the newest profile that this device has seen. */
  revision?: string
  /** The last known position in the log of each vault, by its id. */
  positions: Record<string, string>
}

export class UserDevice {
  readonly #places: Places
  #login: Login
  #session: ServiceSession
  #profile: Profile

  private constructor(places: Places, login: Login, session: ServiceSession, profile: Profile) {
    this.#places = places
    this.#login = login
    this.#session = session
    this.#profile = profile
  }

  /** Adds a user and logs them in. */
  static async signUp(places: Places, user: string, password: string, recovery: Recovery): Promise<UserDevice> {
    const login = await deriveLogin(password, { realm: REALM, user })
    using profile = createProfile(login, recovery)
    await call(`${places.url}/users`, { method: 'POST', body: passwordBody(profile.record, login) })
    return await UserDevice.#logIn(places, login)
  }

  static async logIn(places: Places, user: string, password: string): Promise<UserDevice> {
    return UserDevice.#logIn(places, await deriveLogin(password, { realm: REALM, user }))
  }

  /** The device owns the login. */
  static async #logIn(places: Places, login: Login): Promise<UserDevice> {
    const session = await ServiceSession.ofUser(places.url, login)
    const profile = await loadProfile(storeOf(places, session), login, floorOf(await readFloor(places.device)))
    await keep(places.device, profile)
    return new UserDevice(places, login, session, profile)
  }

  /** What the user reads out to the admin. */
  get identity(): string {
    return this.#profile.identity
  }

  /** Whether the password was changed elsewhere: then every call fails until the user logs in again. */
  get mustLogIn(): boolean {
    return this.#session.hasEnded
  }

  get vaults(): readonly string[] {
    return this.#profile.vaults
  }

  get revision(): string {
    return this.#profile.revision
  }

  async createVault(): Promise<string> {
    return this.#change(async (profile, store) => {
      const created = await profile.createVault(store)
      created.vault.dispose()
      return { profile: created.profile, result: created.vault.id }
    })
  }

  /** Backs up a folder. Returns the position of the backup in the vault's log, which another device may pass to `restore`. */
  async backUp(folder: string, vaultId: string): Promise<string> {
    using vault = await this.#profile.openVault(this.#store, vaultId)
    const position = await backUp(folder, vault, this.#backupsOf(vaultId))
    await writeNext(this.#places.device, 'floor', (newest) => {
      const { positions, ...floor } = parseFloor(newest)
      return toJson({ ...floor, positions: { ...positions, [vaultId]: position } })
    })
    return position
  }

  /**
   * Restores the newest backup into a new folder.
   * @param atLeast a position that the log must have; by default the last one that this device has seen
   * @returns the records of the log that do not open. Somebody who stole a credential may have added them
   */
  async restore(folder: string, vaultId: string, atLeast?: string): Promise<Error[]> {
    using vault = await this.#profile.openVault(this.#store, vaultId)
    const { positions } = await readFloor(this.#places.device)
    return await restore(folder, vault, this.#backupsOf(vaultId), atLeast ?? positions[vaultId])
  }

  /** Replaces the E-keys of all vaults. Blocks stay as they are. */
  async rotate(): Promise<void> {
    await this.#change(async (profile, store) => ({ profile: await profile.rotate(store), result: undefined }))
  }

  /** Sets another admin, or zero trust. The identity changes: an admin must compare the new one. */
  async changeRecovery(recovery: Recovery): Promise<void> {
    await this.#change(async (profile, store) => ({
      profile: await profile.changeRecovery(store, recovery),
      result: undefined,
    }))
  }

  /** Changes the password. This ends all sessions of the user, so the other devices must log in again. */
  async changePassword(password: string): Promise<void> {
    const next = await deriveLogin(password, this.#login)
    for (let tries = 1; ; tries++) {
      using newest = await loadProfile(this.#store, this.#login, { atLeast: this.revision })
      using changed = newest.changePassword(next)
      try {
        await this.#session.setPassword('/password', changed.record, next)
        break
      } catch (error) {
        if (isConflict(error) && tries < TRIES) continue
        // If the answer got lost, only the new password can tell whether it is valid.
        if (error instanceof KeystrataError || !(await isValid(this.#places.url, next))) throw error
        break
      }
    }
    this.#session = await ServiceSession.ofUser(this.#places.url, next)
    this.#login.dispose()
    this.#login = next
    await this.#replace(await loadProfile(this.#store, next, { atLeast: this.revision }))
  }

  dispose(): void {
    this.#login.dispose()
    this.#profile.dispose()
  }

  get #store(): StateStore {
    return storeOf(this.#places, this.#session)
  }

  /** Each vault has a log of its own. */
  #backupsOf(vaultId: string): Store {
    return { blocks: this.#places.blocks, state: this.#store, log: `backups of ${vaultId}` }
  }

  /** Changes the profile, and tries again if other devices were quicker. */
  async #change<T>(
    change: (profile: Profile, store: StateStore) => Promise<{ profile: Profile; result: T }>,
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        const { profile, result } = await change(this.#profile, this.#store)
        await this.#replace(profile)
        return result
      } catch (error) {
        if (!isConflict(error) || tries === TRIES) throw error
        await setTimeout(Math.random() * 1000 * tries)
      }
    }
  }

  async #replace(profile: Profile): Promise<void> {
    this.#profile.dispose()
    this.#profile = profile
    await keep(this.#places.device, profile)
  }
}

function storeOf({ url, elsewhere }: Places, session: ServiceSession): StateStore {
  const service = httpStateStore(`${url}/state`, { fetch: session.fetch })
  return elsewhere === undefined ? service : routed({ profile: service, 'keyring/': elsewhere, 'log/': elsewhere })
}

async function isValid(url: string, login: Login): Promise<boolean> {
  return ServiceSession.ofUser(url, login).then(
    () => true,
    () => false,
  )
}

const isConflict = (error: unknown): boolean => error instanceof KeystrataError && error.code === 'conflict'

/** Keeps the revision of a profile, unless a newer one was seen. */
async function keep(device: StateStore, { revision }: Profile): Promise<void> {
  await writeNext(device, 'floor', (newest) => {
    const floor = parseFloor(newest)
    return toJson({ ...floor, revision: Number(floor.revision ?? 0) > Number(revision) ? floor.revision : revision })
  })
}

const readFloor = async (device: StateStore): Promise<Floor> => parseFloor((await device.read('floor'))?.bytes)

const parseFloor = (bytes: Uint8Array | undefined): Floor =>
  bytes === undefined ? { positions: {} } : (JSON.parse(Buffer.from(bytes).toString()) as Floor)

const floorOf = ({ revision }: Floor): { atLeast?: string } => (revision === undefined ? {} : { atLeast: revision })

const toJson = (value: object): Uint8Array => Buffer.from(JSON.stringify(value))
