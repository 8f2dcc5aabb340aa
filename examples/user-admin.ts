// The console of the admin of user-service.ts. The admin pins the identity of each user, after comparing it with what the
// user's device shows. So the operator of the service cannot make the admin reset a profile that is not the user's.
import type { Keyset } from 'keystrata'
import type { StateStore } from 'keystrata/stores'
import { deriveLogin, parseProfile, type ProfileFacts, resetProfile } from 'keystrata/vault'
import { sha256, writeNext } from './backup-store.ts'
import { ServiceSession } from './service-session.ts'
import { REALM } from './user-client.ts'

/** What the admin knows of a user. */
interface Pin {
  identity: string
  /** The revision of the latest record that the admin knows. */
  revision: string
}

export class AdminConsole {
  readonly #session: ServiceSession
  readonly #keyset: Keyset
  readonly #machine: StateStore

  private constructor(session: ServiceSession, keyset: Keyset, machine: StateStore) {
    this.#session = session
    this.#keyset = keyset
    this.#machine = machine
  }

  /**
   * @param password the admin's password for the service
   * @param keyset whose card the users have set as their admin. It never leaves the admin's machine
   * @param machine a store on the admin's machine, which keeps the pins
   */
  static async logIn(url: string, password: string, keyset: Keyset, machine: StateStore): Promise<AdminConsole> {
    return new AdminConsole(await ServiceSession.ofAdmin(url, password), keyset, machine)
  }

  async users(): Promise<string[]> {
    return (await this.#ids()).map(({ name }) => name)
  }

  /** Shows what the service stores of a user. `compare` says that the admin must compare the identity before a reset. */
  async show(user: string): Promise<ProfileFacts & { compare: boolean }> {
    const { record } = await this.#recordOf(user)
    const facts = parseProfile(record)
    return { ...facts, compare: (await this.#pinOf(user))?.identity !== facts.identity }
  }

  /** Pins the identity that the user has read out from their device. */
  async pin(user: string, told: string): Promise<void> {
    const { identity, revision } = await this.show(user)
    if (identity !== told) throw new Error(`the service shows another identity of ${user} than their device`)
    await this.#keep(user, { identity, revision })
  }

  /** Sets a password for a user who forgot theirs. They must change it, because the admin knows it. */
  async reset(user: string, password: string): Promise<void> {
    const pin = await this.#pinOf(user)
    if (pin === undefined) throw new Error(`no identity of ${user} is pinned: compare it with their device first`)
    const { id, record } = await this.#recordOf(user)
    using next = await deriveLogin(password, { realm: REALM, user })
    const { identity, revision: atLeast } = pin
    using profile = resetProfile(record, this.#keyset, next, { identity, atLeast })
    await this.#session.setPassword(`/passwords/${id}`, profile.record, next)
    // The new identity was made here, so it needs no comparing.
    await this.#keep(user, profile)
  }

  async #ids(): Promise<{ id: string; name: string }[]> {
    return (await (await this.#session.get('/users')).json()) as { id: string; name: string }[]
  }

  async #recordOf(user: string): Promise<{ id: string; record: Uint8Array }> {
    const found = (await this.#ids()).find(({ name }) => name === user)
    if (found === undefined) throw new Error(`the service has no user ${user}`)
    const answer = await this.#session.get(`/records/${found.id}`)
    return { id: found.id, record: new Uint8Array(await answer.arrayBuffer()) }
  }

  async #pinOf(user: string): Promise<Pin | undefined> {
    const stored = await this.#machine.read(`pin/${sha256(user)}`)
    return stored && (JSON.parse(Buffer.from(stored.bytes).toString()) as Pin)
  }

  async #keep(user: string, { identity, revision }: Pin): Promise<void> {
    await writeNext(this.#machine, `pin/${sha256(user)}`, () => Buffer.from(JSON.stringify({ identity, revision })))
  }
}
