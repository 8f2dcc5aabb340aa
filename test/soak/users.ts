// What the devices and the admin of user-service.ts do: each opens a session, works on its vaults, and keeps the session
// and the profile until the password changes.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Card, type Keyset, KeystrataError } from 'keystrata'
import type { DeviceKey } from 'keystrata/device'
import { deriveRecoveryKey } from 'keystrata/recovery'
import { memoryStateStore, routed, type StateStore } from 'keystrata/stores'
import { httpStateStore } from 'keystrata/stores/http'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  openSavedLogin,
  type Login,
  parseProfile,
  type Profile,
  type Recovery,
  resetProfile,
} from 'keystrata/vault'
import { call, passwordBody, ServiceError, ServiceSession } from '../../examples/service-session.ts'
import { AdminConsole } from '../../examples/user-admin.ts'
import { REALM } from '../../examples/user-client.ts'
import { appendRecord, journaled, makeFiles, readArchive, sealFiles } from './archive.ts'
import { type Journal, now } from './journal.ts'
import { type Places, replaceFile } from './places.ts'
import { Random } from './random.ts'
import type { RecoveryGiven, Task, UserGiven } from './tasks.ts'

/** The admin's password for the service. */
export const ADMIN_PASSWORD = 'the admin of the soak'

/** How many users a process keeps logged in. */
const MOST_DEVICES = 4

/** How often to start again when other devices are quicker. */
const TRIES = 8

/** The keyset of the admin, its card, and the device key of the run. */
interface Admin {
  readonly keyset: Keyset
  readonly card: Card
  readonly device: DeviceKey
}

interface Device {
  readonly password: string
  readonly login: Login
  readonly session: ServiceSession
  readonly store: StateStore
  profile: Profile
}

export async function again<T>(random: Random, act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof KeystrataError) || error.code !== 'conflict' || tries === TRIES) throw error
      await pause(random.below(200 * tries))
    }
  }
}

export class Users {
  readonly #places: Places
  readonly #journal: Journal
  readonly #admin: Admin
  readonly #devices: Map<string, Device> = new Map()
  #console: AdminConsole | undefined

  constructor(places: Places, journal: Journal, admin: Admin) {
    this.#places = places
    this.#journal = journal
    this.#admin = admin
  }

  async run(task: Task): Promise<void> {
    const user = task.user!
    const random = new Random(task.seed)
    try {
      await this.#act(task, user, random)
    } catch (error) {
      // The session, the profile or the service may be another one next time.
      this.forget(user.name)
      throw error
    }
  }

  forget(name: string): void {
    const device = this.#devices.get(name)
    this.#devices.delete(name)
    device?.profile.dispose()
    device?.login.dispose()
  }

  async #act(task: Task, user: UserGiven, random: Random): Promise<void> {
    switch (task.op) {
      case 'user.sign-up':
        return this.#signUp(task, user)
      case 'user.old-password':
        return this.#tryOld(task, user)
      case 'user.reset-by-admin':
        return this.#resetByAdmin(task, user)
      case 'user.reset-by-code':
        return this.#resetByCode(task, user)
    }
    const device = await this.#open(task, user)
    switch (task.op) {
      case 'user.create-vault':
        return this.#change(task, user, device, random, 'vault', {}, async () => {
          const created = await device.profile.createVault(device.store)
          created.vault.dispose()
          return { profile: created.profile, facts: { vault: created.vault.id } }
        })
      case 'user.rotate':
        return this.#change(task, user, device, random, 'touch', {}, async () => ({
          profile: await device.profile.rotate(device.store),
        }))
      case 'user.change-recovery':
        return this.#change(task, user, device, random, 'recovery', { value: task.next! }, async () => {
          const changed = await device.profile.changeRecovery(
            device.store,
            await this.#recovery(task.next as RecoveryGiven),
          )
          return { profile: changed.rotationDue.length > 0 ? await changed.rotate(device.store) : changed }
        })
      case 'user.change-password':
        return this.#changePassword(task, user, device)
      case 'user.back-up':
      case 'user.read': {
        const archive = user.vaults.find(({ id }) => id === task.target)!
        using vault = await device.profile.openVault(device.store, archive.id)
        const blocks = this.#places.blocks(`user-${user.name}/`)
        if (task.op === 'user.read') {
          await readArchive(this.#journal, task, archive, { blocks, state: device.store }, vault, true)
          return
        }
        const items = await sealFiles(blocks, vault, makeFiles(random, user.name), { isPacked: random.happens(0.4) })
        await appendRecord(this.#journal, task, archive, device.store, vault, items)
        return
      }
      default:
        throw new TypeError(`${task.op} is not for users`)
    }
  }

  /** Opens a session with whichever password is in force. */
  async #open(task: Task, user: UserGiven): Promise<Device> {
    const kept = this.#devices.get(user.name)
    const isSure = user.passwords.length === 1
    if (kept !== undefined && isSure && kept.password === user.passwords[0] && !kept.session.hasEnded) return kept
    this.forget(user.name)
    const url = new Random(task.seed + 1).pick(this.#places.config.services)!.users
    for (const password of user.passwords) {
      const since = now()
      const login = await this.#login(user.name, password)
      const session = await ServiceSession.ofUser(url, login).catch(unlessRefused)
      if (session === undefined) {
        login.dispose()
        continue
      }
      this.#journal.write({ kind: 'seen', task: task.id, what: `password ${user.name}`, since, value: password })
      const store = this.#storeOf(user, url, session)
      const profile = await loadProfile(store, login, user.revision === undefined ? {} : { atLeast: user.revision })
      const device: Device = { password, login, session, store, profile }
      this.#journal.write({
        kind: 'seen',
        task: task.id,
        what: `vaults ${user.name}`,
        since,
        value: profile.vaults.join(' '),
      })
      const [oldest] = this.#devices.keys()
      if (this.#devices.size >= MOST_DEVICES && oldest !== undefined) this.forget(oldest)
      this.#devices.set(user.name, device)
      return device
    }
    throw new ServiceError(401, 'no password of this user opens a session')
  }

  /**
   * Opens the login that a process has saved under the device key of the run, as a device does after its start. Sometimes
   * someone types the password.
   */
  async #login(user: string, password: string): Promise<Login> {
    const names = { realm: REALM, user }
    const file = join(this.#places.config.folder, `${user}.${password.replaceAll(' ', '-')}.login`)
    if (existsSync(file) && !this.#places.random.happens(0.1))
      return openSavedLogin(new Uint8Array(readFileSync(file)), this.#admin.device, names)
    const login = await deriveLogin(password, names)
    replaceFile(file, login.save(this.#admin.device))
    return login
  }

  #storeOf(user: UserGiven, url: string, session: ServiceSession): StateStore {
    const service = this.#places.faults.state('service', httpStateStore(`${url}/state`, { fetch: session.fetch }))
    if (!user.elsewhere) return service
    const bucket = this.#places.state('s3', `user-${user.name}/`)
    return routed({ profile: service, 'keyring/': bucket, 'log/': bucket })
  }

  async #recovery(given: RecoveryGiven): Promise<Recovery> {
    if (given === 'admin') return { admin: this.#admin.card }
    if (given === 'nobody') return { zeroTrust: true }
    return { zeroTrust: true, recoveryKey: await deriveRecoveryKey({ code: given.slice(5) }) }
  }

  async #signUp(task: Task, user: UserGiven): Promise<void> {
    using login = await this.#login(user.name, task.next!)
    using profile = createProfile(login, await this.#recovery(user.recovery))
    const url = new Random(task.seed).pick(this.#places.config.services)!.users
    await journaled(this.#journal, task, 'create', { entity: user.name }, async () => {
      await call(`${url}/users`, { method: 'POST', body: passwordBody(profile.record, login) })
      return { revision: profile.revision, identity: profile.identity }
    })
  }

  /** Changes the profile through its handle, again and again if other devices are quicker. */
  async #change(
    task: Task,
    user: UserGiven,
    device: Device,
    random: Random,
    what: string,
    facts: Readonly<Record<string, string>>,
    change: () => Promise<{ profile: Profile; facts?: Readonly<Record<string, string>> }>,
  ): Promise<void> {
    await journaled(this.#journal, task, what, { entity: user.name, ...facts }, async () => {
      const changed = await again(random, change)
      if (changed.profile !== device.profile) device.profile.dispose()
      device.profile = changed.profile
      return { revision: changed.profile.revision, identity: changed.profile.identity, ...changed.facts }
    })
  }

  async #changePassword(task: Task, user: UserGiven, device: Device): Promise<void> {
    using next = await this.#login(user.name, task.next!)
    await journaled(this.#journal, task, 'password', { entity: user.name, value: task.next! }, () =>
      again(new Random(task.seed), async () => {
        using newest = await loadProfile(device.store, device.login, { atLeast: device.profile.revision })
        using changed = newest.changePassword(next)
        await device.session.setPassword('/password', changed.record, next)
        return { revision: changed.revision, identity: changed.identity }
      }),
    )
    this.forget(user.name)
  }

  async #resetByAdmin(task: Task, user: UserGiven): Promise<void> {
    const { keyset } = this.#admin
    const url = this.#places.config.services[0]!.users
    this.#console ??= await AdminConsole.logIn(url, ADMIN_PASSWORD, keyset, memoryStateStore())
    const shown = await this.#console.show(user.name)
    if (shown.identity !== user.identity) throw new KeystrataError('key-changed', 'the user shows another identity')
    await this.#console.pin(user.name, user.identity)
    await journaled(
      this.#journal,
      task,
      'password',
      { entity: user.name, value: task.next!, by: 'admin' },
      async () => {
        await this.#console!.reset(user.name, task.next!)
        const { identity, revision } = await this.#console!.show(user.name)
        return { identity, revision }
      },
    )
    this.forget(user.name)
  }

  async #resetByCode(task: Task, user: UserGiven): Promise<void> {
    const { clients: url } = new Random(task.seed).pick(this.#places.config.services)!
    const answer = await call(`${url}/records/${user.name}`, { method: 'GET' })
    const record = new Uint8Array(await answer.arrayBuffer())
    using key = await deriveRecoveryKey({ code: user.recovery.slice(5) })
    using next = await this.#login(user.name, task.next!)
    using changed = resetProfile(record, key, next, user.revision === undefined ? {} : { atLeast: user.revision })
    const facts = { revision: changed.revision, identity: parseProfile(changed.record).identity }
    await journaled(this.#journal, task, 'password', { entity: user.name, value: task.next! }, async () => {
      await call(`${url}/resets/${user.name}`, { method: 'PUT', body: passwordBody(changed.record, next) })
      return facts
    })
    this.forget(user.name)
  }

  /** A password that was changed must not open a session. */
  async #tryOld(task: Task, user: UserGiven): Promise<void> {
    using login = await this.#login(user.name, user.past.at(-1)!)
    const url = new Random(task.seed).pick(this.#places.config.services)!.users
    const session = await ServiceSession.ofUser(url, login).catch(unlessRefused)
    if (session !== undefined)
      this.#journal.write({
        kind: 'wrong',
        task: task.id,
        what: `the last but one password of ${user.name} still opens a session`,
      })
  }
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof ServiceError && error.status === 401)) throw error
}
