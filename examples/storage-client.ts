// The client side of the storage server. A client enrols, proves its keys on every connection, and then uses the server
// as a store.
import { encodeBlock, KeystrataError, parseBlock } from 'keystrata'
import { type Client } from 'keystrata/client'
import type { StateStore } from 'keystrata/stores'
import { httpStateStore } from 'keystrata/stores/http'
import type { BackupStore } from './backup-store.ts'
import { SERVER } from './storage-service.ts'

/** Logs a customer in. Returns the token that lets them enrol clients. */
export async function logIn(url: string, account: string, password: string): Promise<string> {
  const answer = await call(`${url}/logins`, { method: 'POST', body: JSON.stringify({ name: account, password }) })
  return ((await answer.json()) as { token: string }).token
}

export async function enrol(url: string, token: string, client: Client): Promise<void> {
  const body = client.enrolment(await challengeFrom(url), { server: SERVER })
  await call(`${url}/enrolments`, { method: 'POST', headers: bearer(token), body })
}

/** Returns the names of the clients of a customer. */
export async function listClients(url: string, token: string): Promise<string[]> {
  const clients: unknown = await (await call(`${url}/clients`, { headers: bearer(token) })).json()
  return (clients as { name: string }[]).map(({ name }) => name)
}

/** Removes a client of a machine that was renamed, sold or stolen. Returns false if there is no such client. */
export async function removeClient(url: string, token: string, name: string): Promise<boolean> {
  const address = `${url}/clients/${encodeURIComponent(name)}`
  return (await accept(await fetch(address, { method: 'DELETE', headers: bearer(token) }), 404)).ok
}

/**
 * Deposits a client's keys with the server, which cannot read them. Returns the activation code that opens them; only
 * the customer must have it.
 */
export async function deposit(url: string, token: string, client: Client): Promise<string> {
  const { escrow, activationCode } = client.safeguard()
  await call(`${url}/escrows`, { method: 'POST', headers: bearer(token), body: escrow })
  return activationCode
}

/** A connection to the server, on which the client has proved its keys. */
export class RemoteStore implements BackupStore {
  readonly address: string
  readonly blocks: BackupStore['blocks']
  /** Holds the small objects of this client. Other clients cannot read them. */
  readonly state: StateStore
  /** `locked` once the client has made a backup: from then on its keys cannot change. */
  readonly keyState: 'provisional' | 'locked'
  readonly #client: Client
  #token: string

  private constructor(url: string, client: Client, { token, keyState }: Connection) {
    this.address = url
    this.keyState = keyState
    this.#client = client
    this.#token = token
    const send: typeof fetch = (input, init) => this.#send(input, init)
    this.state = httpStateStore(`${url}/state`, { fetch: send })
    this.blocks = remoteBlocks(url, send)
  }

  static async connect(url: string, client: Client): Promise<RemoteStore> {
    return new RemoteStore(url, client, await prove(url, client))
  }

  /** Locks the client's keys. Call it before the first backup is complete. */
  async commit(): Promise<void> {
    await accept(await this.#send(`${this.address}/commits`, { method: 'POST' }))
  }

  /** Sends a request with the token of the session. */
  async #send(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const send = () => {
      const headers = new Headers(init?.headers)
      headers.set('authorization', `Bearer ${this.#token}`)
      return fetch(input, { ...init, headers })
    }
    const response = await send()
    if (response.status !== 401) return response
    // The session expired: a backup may take longer than a session lasts.
    await response.body?.cancel()
    this.#token = (await prove(this.address, this.#client)).token
    return send()
  }
}

/** The blocks on the server. Each travels in one request, with its envelope. */
function remoteBlocks(url: string, send: typeof fetch): BackupStore['blocks'] {
  const urlOf = (label: string) => `${url}/blocks/${label}`
  return {
    async has(label) {
      return (await accept(await send(urlOf(label), { method: 'HEAD' }), 404)).ok
    },
    async get(label) {
      const response = await accept(await send(urlOf(label)), 404)
      const bytes = new Uint8Array(await response.arrayBuffer())
      return response.ok ? parseBlock(bytes, label) : undefined
    },
    async put(block) {
      const response = await send(urlOf(block.label), { method: 'PUT', body: encodeBlock(block) })
      return (await accept(response)).status === 201
    },
  }
}

interface Connection {
  token: string
  keyState: 'provisional' | 'locked'
}

/** Gets a challenge, for one enrolment or one proof. */
export const challengeFrom = async (url: string): Promise<Uint8Array> =>
  new Uint8Array(await (await call(`${url}/challenges`, { method: 'POST' })).arrayBuffer())

async function prove(url: string, client: Client): Promise<Connection> {
  const proof = client.prove(await challengeFrom(url), { server: SERVER })
  return (await (await call(`${url}/connections`, { method: 'POST', body: proof })).json()) as Connection
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

const call = async (url: string, init: RequestInit): Promise<Response> => accept(await fetch(url, init))

/**
 * Returns a response unless it is an error.
 * @param fine another status that counts as success
 * @throws the KeystrataError that the server sent, or an Error
 */
async function accept(response: Response, fine?: number): Promise<Response> {
  const { ok, status, url } = response
  if (ok || status === fine) return response
  const json: unknown = await response.json().catch(() => undefined)
  const { error = `status ${status}` } = Object(json) as { error?: string }
  throw KeystrataError.from(json) ?? new Error(`${new URL(url).pathname}: ${error}`)
}
