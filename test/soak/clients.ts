// What clients with typed keys do: they enrol, prove their keys on every connection, back up, deposit their keys, get
// lost and come back from a registration file.
import { KeystrataError, parseCard } from 'keystrata'
import { type Client, deriveClient, openRegistration, openSavedClient } from 'keystrata/client'
import type { DeviceKey } from 'keystrata/device'
import { httpStateStore } from 'keystrata/stores/http'
import { call } from '../../examples/service-session.ts'
import { appendRecord, journaled, makeFiles, readArchive, sealFiles } from './archive.ts'
import type { Journal } from './journal.ts'
import type { Places } from './places.ts'
import { Random } from './random.ts'
import type { ClientGiven, Task } from './tasks.ts'

export const CLIENT_REALM = 'soak'
export const serverOf = (safeguarding: ClientGiven['safeguarding']): string => `storage-${safeguarding}`

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** Returns the client, or undefined if this is not its code: if the answer to a deposit was lost, an older one may be. */
function openedBy(file: Uint8Array, by: Parameters<typeof openRegistration>[1]): Client | undefined {
  try {
    return openRegistration(file, by)
  } catch (error) {
    if (error instanceof KeystrataError && error.code === 'authentication-failed') return undefined
    throw error
  }
}

interface Session {
  readonly token: string
  readonly state: 'provisional' | 'locked'
  readonly safeguarded: boolean
}

export class Clients {
  readonly #places: Places
  readonly #journal: Journal
  readonly #device: DeviceKey

  constructor(places: Places, journal: Journal, device: DeviceKey) {
    this.#places = places
    this.#journal = journal
    this.#device = device
  }

  async run(task: Task): Promise<void> {
    const given = task.client!
    const url = new Random(task.seed).pick(this.#places.config.services)!.clients
    if (task.op === 'client.enrol') return this.#enrol(task, given, url)
    using client = openSavedClient(unhex(given.saved), this.#device, given)
    switch (task.op) {
      case 'client.back-up': {
        await this.#backUp(task, given, url, client)
        return
      }
      case 'client.read': {
        await this.#read(task, given, url, client)
        return
      }
      case 'client.safeguard': {
        await this.#safeguard(task, given, url, client)
        return
      }
      case 'client.recover': {
        await this.#recover(task, given, url)
        return
      }
      case 'client.wrong-key': {
        await this.#tryWrongKey(task, given, url)
        return
      }
      case 'client.remove': {
        await journaled(this.#journal, task, 'remove', { entity: `${given.account} ${given.name}` }, async () => {
          const path = `clients/${given.safeguarding}/${given.account}/${given.name}`
          await call(`${url}/${path}`, { method: 'DELETE' })
          return {}
        })
        return
      }
      case 'client.refused': {
        await this.#mustBe(task, ['key-not-found'], 'a client that was removed connects', () =>
          this.#connect(url, given, client),
        )
        return
      }
      default:
        throw new TypeError(`${task.op} is not for clients`)
    }
  }

  async #challenge(url: string, { safeguarding }: ClientGiven): Promise<Uint8Array> {
    const answer = await call(`${url}/challenges/${safeguarding}`, { method: 'POST' })
    return new Uint8Array(await answer.arrayBuffer())
  }

  async #connect(url: string, given: ClientGiven, client: Client): Promise<Session> {
    const proof = client.prove(await this.#challenge(url, given), { server: serverOf(given.safeguarding) })
    const answer = await call(`${url}/connections/${given.safeguarding}`, { method: 'POST', body: proof })
    return (await answer.json()) as Session
  }

  async #sendEnrolment(url: string, given: ClientGiven, client: Client): Promise<void> {
    const body = client.enrolment(await this.#challenge(url, given), { server: serverOf(given.safeguarding) })
    await call(`${url}/enrolments/${given.safeguarding}/${given.account}`, { method: 'POST', body })
  }

  async #enrol(task: Task, given: ClientGiven, url: string): Promise<void> {
    const { account, name, accountKey } = given
    const names = { realm: CLIENT_REALM, account, name, platform: 'linux' } as const
    using client = await deriveClient({
      ...names,
      privateKey: { type: 'AES-256', text: given.privateKey },
      accountKey: accountKey === undefined ? undefined : { type: 'AES-128', text: accountKey },
    })
    const facts: Record<string, string> = { entity: `${account} ${name}`, saved: hex(client.save(this.#device)) }
    if (new Random(task.seed).happens(0.3)) {
      // Another client's key, under the same name.
      const other = { type: 'AES-256', text: `not ${given.privateKey.slice(0, 20)}` } as const
      using impostor = await deriveClient({ ...names, privateKey: other })
      facts['impostor'] = hex(impostor.save(this.#device))
    }
    await journaled(this.#journal, task, 'create', facts, async () => {
      await this.#sendEnrolment(url, given, client)
      return {}
    })
  }

  #scopeOf(task: Task): 'private' | 'account' {
    return task.target === 'account' ? 'account' : 'private'
  }

  #homeOf(given: ClientGiven, url: string, session: Session) {
    const send: typeof fetch = (input, init) => {
      const headers = new Headers(init?.headers)
      headers.set('authorization', `Bearer ${session.token}`)
      return fetch(input, { ...init, headers })
    }
    return {
      send,
      blocks: this.#places.blocks(`client-${given.account}/`),
      state: this.#places.faults.state('registry', httpStateStore(`${url}/state`, { fetch: send })),
    }
  }

  async #backUp(task: Task, given: ClientGiven, url: string, client: Client): Promise<void> {
    if (given.safeguarding === 'mandatory' && given.codes.length === 0)
      return this.#mustBe(task, ['safeguarding-required'], 'a client connects that must deposit its keys first', () =>
        this.#connect(url, given, client),
      )
    const session = await this.#connect(url, given, client)
    const scope = client.scope(this.#scopeOf(task))
    const { send, blocks, state } = this.#homeOf(given, url, session)
    const random = new Random(task.seed)
    const items = await sealFiles(blocks, scope, makeFiles(random, given.account), { isPacked: random.happens(0.4) })
    await journaled(this.#journal, task, 'lock', { entity: `${given.account} ${given.name}` }, async () => {
      const { status } = await send(`${url}/commits`, { method: 'POST' })
      if (status !== 201) throw Object.assign(new Error('the commit failed'), { status })
      return {}
    })
    await appendRecord(this.#journal, task, given.archives[this.#scopeOf(task)], state, scope, items)
  }

  async #read(task: Task, given: ClientGiven, url: string, client: Client): Promise<void> {
    const home = given.isRemoved
      ? {
          blocks: this.#places.blocks(`client-${given.account}/`),
          state: this.#places.state('postgres', `client/${given.account}/`),
        }
      : this.#homeOf(given, url, await this.#connect(url, given, client))
    const which = this.#scopeOf(task)
    await readArchive(this.#journal, task, given.archives[which], home, client.scope(which), true)
  }

  async #safeguard(task: Task, given: ClientGiven, url: string, client: Client): Promise<void> {
    const { escrow, activationCode } = client.safeguard()
    const facts = { entity: `${given.account} ${given.name}`, value: activationCode }
    await journaled(this.#journal, task, 'code', facts, async () => {
      await call(`${url}/escrows/${given.safeguarding}/${given.account}`, { method: 'POST', body: escrow })
      return {}
    })
  }

  /** A machine is lost: the provider builds a file, and the file and the code make the client again. */
  async #recover(task: Task, given: ClientGiven, url: string): Promise<void> {
    const provider = parseCard(unhex(this.#places.config.admin.card))
    const path = `registrations/${given.safeguarding}/${given.account}/${given.name}`
    const file = new Uint8Array(await (await call(`${url}/${path}`, { method: 'POST' })).arrayBuffer())
    for (const activationCode of given.codes) {
      const client = openedBy(file, { activationCode, provider, account: given.account })
      if (client !== undefined) return this.#readAs(task, given, url, client)
    }
    this.#journal.write({
      kind: 'wrong',
      task: task.id,
      what: `no activation code opens the registration of ${given.account} ${given.name}`,
    })
  }

  async #readAs(task: Task, given: ClientGiven, url: string, recovered: Client): Promise<void> {
    using client = recovered
    await this.#read(task, given, url, client)
  }

  async #tryWrongKey(task: Task, given: ClientGiven, url: string): Promise<void> {
    using impostor = openSavedClient(unhex(given.impostor!), this.#device, given)
    // Which of the two keys is looked at first is not promised.
    const codes = ['key-changed', ...(given.accountKey === undefined ? [] : ['account-key-required'])]
    await this.#mustBe(task, codes, 'a client connects with a key that is not its own', () =>
      this.#connect(url, given, impostor),
    )
    await this.#mustBe(task, codes, 'a client that is locked enrols with another key', () =>
      this.#sendEnrolment(url, given, impostor),
    )
  }

  async #mustBe(task: Task, codes: readonly string[], what: string, act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      if (error instanceof KeystrataError && codes.includes(error.code)) return
      throw error
    }
    this.#journal.write({ kind: 'wrong', task: task.id, what: `${what}: ${task.client!.account} ${task.client!.name}` })
  }
}
