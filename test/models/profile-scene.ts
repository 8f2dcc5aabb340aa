// What several machines do to one user's profile at once: devices that rotate, change the password or the recovery, and
// create vaults; an admin who resets it; a thief with a session. The profile lies on a server and the keyrings in a
// bucket, whose reads are late independently.
import { toHex } from '../../src/core/bytes.ts'
import { KeystrataError, type ErrorCode } from '../../src/index.ts'
import { guardProfiles, saveCredential, verifyCredential } from '../../src/server.ts'
import { routed, type StateStore } from '../../src/stores.ts'
import {
  loadProfile,
  type Login,
  openProfile,
  parseProfile,
  type Profile,
  resetProfile,
  saveProfile,
} from '../../src/vault.ts'
import { type Actor, type Bounds, explore, type Machine, type Report, type Run } from './explorer.ts'
import { type Cast, cast, CONTENT, HASHING, placesOf, type Start, type StartScene, startOf } from './profile-cast.ts'
import { Thief } from './profile-thief.ts'
import { World } from './profile-world.ts'
import { quickly } from '../fixtures.ts'

/** What happens in a run. */
export interface Scene extends StartScene {
  /** Where a guard stands: in front of both places if omitted. */
  readonly guard?: 'both' | 'server' | 'nowhere'
  /** How many devices rotate. */
  readonly devices?: number
  /** Whether a device changes the password. `and back`: and then to the former one. `wrong order`: against the rules. */
  readonly newPassword?: 'once' | 'and back' | 'wrong order'
  /** Whether the admin, or the user with the recovery key, sets another password. */
  readonly reset?: boolean
  /** What a device sets as the new recovery. */
  readonly recovery?: 'another admin' | 'zero trust'
  /** Whether a device creates a vault. */
  readonly newVault?: boolean
  /** How many things a thief tries, who has a session. */
  readonly thefts?: number
  /** Whether the answers of the server to the devices can get lost as well. */
  readonly network?: boolean
}

/** How often somebody makes a change again that another one has overtaken. */
const TRIES = 6

type Role = 'device' | 'password' | 'admin' | 'recovery' | 'vault' | 'thief'

/** What each of them may be told. Some of it only for a reason. */
const EXPECTED: Readonly<Record<Role, readonly ErrorCode[]>> = {
  device: ['conflict', 'wrong-password'],
  password: ['conflict', 'wrong-password'],
  admin: ['conflict', 'key-changed', 'key-not-found', 'policy'],
  recovery: ['conflict', 'wrong-password'],
  vault: ['conflict', 'wrong-password'],
  thief: [],
}

class ProfileRun {
  readonly #run: Run
  readonly #scene: Scene
  readonly #cast: Cast
  readonly #start: Start
  readonly #world: World
  readonly #actors: (readonly [Role, Actor])[] = []

  constructor(run: Run, scene: Scene, everybody: Cast, start: Start) {
    this.#run = run
    this.#scene = scene
    this.#cast = everybody
    this.#start = start
    this.#world = new World(run, everybody, start, (scene.guard ?? 'both') === 'both')
    for (let each = 1; each <= (scene.devices ?? 0); each++) this.#add('device', `D${each}`, this.#rotate, 1)
    if (scene.newPassword !== undefined) this.#add('password', 'P', this.#changePassword, 1)
    if (scene.reset === true) this.#add('admin', 'A', this.#reset, 1)
    if (scene.recovery !== undefined) this.#add('recovery', 'R', this.#changeRecovery, 1)
    if (scene.newVault === true) this.#add('vault', 'V', this.#createVault, 0)
    if ((scene.thefts ?? 0) > 0) this.#addThief(scene.thefts!)
  }

  #add(role: Role, name: string, body: (machine: Machine) => Promise<void>, restarts: number): void {
    this.#actors.push([role, this.#run.add(name, (machine) => body.call(this, machine), { restarts })])
  }

  #addThief(deeds: number): void {
    const body = (machine: Machine) => {
      const [server, bucket] = [this.#world.server.as(machine), this.#world.bucket.as(machine)]
      const own = (store: StateStore): StateStore => ({
        ...store,
        write: async (...call) => {
          if (await store.write(...call)) this.#run.violation(`the thief wrote ${call[0]}`)
          return false
        },
      })
      const [ownServer, ownBucket] = [own(server), own(bucket)]
      const guarded = this.#guarded(ownServer, ownBucket)
      return new Thief(this.#run, this.#world, this.#cast.thief).act(guarded, ownServer, deeds)
    }
    this.#actors.push(['thief', this.#run.add('T', body, { crashes: false })])
  }

  #guarded(server: StateStore, bucket: StateStore): StateStore {
    const { guard = 'both' } = this.#scene
    if (guard === 'both') return guardProfiles(placesOf(server, bucket))
    if (guard === 'server') return routed({ profile: guardProfiles(server), 'keyring/': bucket })
    return placesOf(server, bucket)
  }

  /** The store as the program on a device sees it. */
  #seen(machine: Machine): StateStore {
    const store = this.#guarded(this.#world.server.as(machine), this.#world.bucket.as(machine))
    return {
      ...store,
      write: async (name, version, bytes) => {
        if (name === 'profile') this.#world.tried(bytes)
        const answer = await store.write(name, version, bytes)
        return this.#scene.network === true ? overNetwork(machine, name, answer) : answer
      },
    }
  }

  /** Opens the profile with whatever password the user has by now. */
  async #load(store: StateStore): Promise<{ profile: Profile; login: Login }> {
    const { passwords } = this.#cast
    // The password may change between two of these tries.
    for (const { login } of [...passwords, ...passwords, ...passwords]) {
      try {
        return { profile: await loadProfile(store, login, { atLeast: this.#start.revision }), login }
      } catch (error) {
        if (!isCode(error, 'wrong-password')) throw error
      }
    }
    return this.#run.violation('no password opens the profile')
  }

  async #rotate(machine: Machine): Promise<void> {
    const store = this.#seen(machine)
    const { profile } = await this.#load(store)
    const before = this.#world.live()
    const rotated = await profile.rotate(store)
    this.#world.rotated(machine.name, before, rotated.vaults)
    this.#assertNotOlder(machine, profile, rotated)
  }

  async #changePassword(machine: Machine): Promise<void> {
    const [first, second] = this.#cast.passwords
    await this.#setPassword(machine, second.login)
    if (this.#scene.newPassword === 'and back') await this.#setPassword(machine, first.login)
  }

  async #setPassword(machine: Machine, next: Login): Promise<void> {
    const store = this.#seen(machine)
    await again(async () => {
      const { profile, login } = await this.#load(store)
      if (login === next) return
      await this.#save(machine, store, profile.changePassword(next), next)
    })
  }

  /** Saves the credential and then the record, as the rules say. */
  async #save(machine: Machine, store: StateStore, profile: Profile, login: Login): Promise<void> {
    const server = this.#world.server.as(machine)
    const saves = [
      () => saveCredential(server, profile.record, login.credential, HASHING),
      () => saveProfile(store, profile),
    ]
    if (this.#scene.newPassword === 'wrong order') saves.reverse()
    for (const save of saves) await save()
    this.#world.saved(machine.name, profile.record)
  }

  async #reset(machine: Machine): Promise<void> {
    const store = this.#seen(machine)
    const { login } = this.#cast.passwords[2]
    await again(async () => {
      const record = await readableRecord(store)
      if (opens(record, login)) return
      const { admins, recoveryKey } = this.#cast
      const profile =
        this.#scene.recoveryKey === true
          ? resetProfile(record, recoveryKey, login)
          : resetProfile(record, admins[0], login, { identity: this.#start.identity })
      await this.#save(machine, store, profile, login)
    })
  }

  async #changeRecovery(machine: Machine): Promise<void> {
    const store = this.#seen(machine)
    const { profile } = await this.#load(store)
    const isZeroTrust = this.#scene.recovery === 'zero trust'
    const recovery = isZeroTrust ? { zeroTrust: true as const } : { admin: this.#cast.admins[1].card() }
    const changed = await profile.changeRecovery(store, recovery)
    this.#world.recovered(machine.name)
    this.#assertNotOlder(machine, profile, changed)
  }

  async #createVault(machine: Machine): Promise<void> {
    const store = this.#seen(machine)
    const { profile } = await this.#load(store)
    const created = await profile.createVault(store)
    this.#world.created(created.vault.id)
    this.#assertNotOlder(machine, profile, created.profile)
  }

  #assertNotOlder({ name }: Machine, before: Profile, after: Profile): void {
    if (Number(after.revision) < Number(before.revision)) this.#run.violation(`${name} got an older profile back`)
  }

  /** Plays the run, and checks everything that must hold at its end. */
  async outcome(): Promise<readonly string[]> {
    await this.#run.play()
    for (const [role, actor] of this.#actors) this.#checkOutcome(role, actor)
    try {
      await this.#checkEnd()
    } catch (error) {
      if (error instanceof KeystrataError) this.#run.violation(`a fresh device fails in the end: ${String(error)}`)
      throw error
    }
    return this.#actors.map(([role, { outcome }]) => `${role} ${String(outcome)}`)
  }

  #checkOutcome(role: Role, { name, outcome, error }: Actor): void {
    if (outcome === 'done' || outcome === 'crashed' || outcome === 'no answer') return
    // Whoever read the damaged version may find that others have dropped the one below meanwhile.
    if (this.#scene.rotten === true && outcome === 'malformed') return
    const isReason = (): boolean => {
      switch (outcome) {
        case 'wrong-password':
          return this.#world.hasOtherPassword
        case 'key-changed':
          return this.#world.hasOtherIdentity
        case 'key-not-found':
          return this.#scene.recovery !== undefined
        case 'policy':
          return this.#scene.recovery === 'zero trust'
        default:
          return true
      }
    }
    if (EXPECTED[role].includes(outcome as ErrorCode) && isReason()) return
    this.#run.violation(`${name} got a false alarm: ${outcome}: ${String(error)} ${JSON.stringify(detailOf(error))}`)
  }

  /** A fresh device logs in, opens everything, and rotates. The admin could reset the password. */
  async #checkEnd(): Promise<void> {
    const { server, bucket } = this.#world
    const { login } = this.#world.passwordOf(this.#world.counted().record)
    if (!(await verifyCredential(server.direct(), login.credential, HASHING)))
      this.#run.violation('the user cannot log in')
    const store = this.#guarded(server.direct(), bucket.direct())
    const profile = await loadProfile(store, login)
    const before = this.#world.live()
    const rotated = await profile.rotate(store)
    this.#world.rotated('the fresh device', before, rotated.vaults)
    for (const handle of [profile, rotated]) {
      for (const vaultId of handle.vaults) {
        const vault = await handle.openVault(store, vaultId)
        const block = this.#start.blocks.get(vaultId)
        if (block !== undefined && toHex(await vault.open(block)) !== toHex(CONTENT))
          this.#run.violation('a block has other contents')
      }
    }
    if (rotated.rotationDue.length > 0) this.#run.violation('a rotation is still due')
    const { contents } = this.#world.counted()
    for (const { id, keys } of contents.vaults) {
      const wraps = this.#world.keyring(toHex(id))?.wraps.length
      if (keys.length !== 1 || wraps !== 1) this.#run.violation(`${keys.length} slots and ${wraps} wraps are left`)
    }
    const { recovery } = contents
    if (recovery.kind !== 'card') return
    const admin = this.#cast.admins.find((each) => toHex(each.card().bytes) === toHex(recovery.value))!
    resetProfile(rotated.record, admin, this.#cast.passwords[2].login, { identity: rotated.identity })
  }
}

const isCode = (error: unknown, code: ErrorCode): boolean => error instanceof KeystrataError && error.code === code

const detailOf = (error: unknown) => (error instanceof KeystrataError ? error.detail : {})

function opens(record: Uint8Array, login: Login): boolean {
  try {
    openProfile(record, login)
    return true
  } catch {
    return false
  }
}

/** Reads a record as an admin's console does: the newest that is not damaged. */
async function readableRecord(store: StateStore): Promise<Uint8Array> {
  for (;;) {
    const newest = await store.read('profile')
    if (newest === undefined) continue
    const below = await store.readVersion('profile', newest.version - 1)
    const readable = [newest.bytes, below].find((bytes) => bytes !== undefined && isRecord(bytes))
    if (readable !== undefined) return readable
  }
}

function isRecord(bytes: Uint8Array): boolean {
  try {
    parseProfile(bytes)
    return true
  } catch {
    return false
  }
}

/** Makes a change again while another machine was quicker. */
async function again(change: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await change()
      return
    } catch (error) {
      if (tries === TRIES || !isCode(error, 'conflict')) throw error
    }
  }
}

/** Passes an answer of the server on, if it does not get lost on its way. */
const overNetwork = (machine: Machine, name: string, answer: boolean): Promise<boolean> =>
  machine.call({
    shown: () => `the answer to the write of ${name.slice(0, 11)}`,
    object: `network of ${machine.name}`,
    isWrite: true,
    apply: () => answer,
    succeeds: () => answer,
  })

/** Explores a profile. The scene may depend on what the explorer chooses. */
export async function exploreProfile(
  name: string,
  bounds: Bounds,
  scene: Scene | ((run: Run) => Scene),
): Promise<Report> {
  // People are created before runs, without the cost of real password hashes.
  const everybody = await quickly(cast)
  return explore(`profile, ${name}`, bounds, async (run) => {
    const chosen = typeof scene === 'function' ? scene(run) : scene
    return new ProfileRun(run, chosen, everybody, await startOf(chosen)).outcome()
  })
}

export interface ProfileScene {
  readonly exploreProfile: typeof exploreProfile
}
