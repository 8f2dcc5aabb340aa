// The client side of the storage server. A client enrols, proves its keys on every connection, and then uses the server
// as a store.
import { type Client } from 'keystrata/client'
import { KeystrataError } from 'keystrata'
import { SERVER } from './storage-service.ts'
import type { Store } from './store.ts'

/** Logs a customer in. Returns the token that lets them enrol clients. */
export async function logIn(url: string, account: string, password: string): Promise<string> {
  const answer = await call(url, 'POST', '/logins', { body: JSON.stringify({ name: account, password }) })
  return (answer.json() as { token: string }).token
}

export async function enrol(url: string, token: string, client: Client): Promise<void> {
  await call(url, 'POST', '/enrolments', { token, body: client.enrolment() })
}

/**
 * Deposits a client's keys with the server, which cannot read them. Returns the activation code that opens them; only
 * the customer must have it.
 */
export async function deposit(url: string, token: string, client: Client): Promise<string> {
  const { escrow, activationCode } = client.safeguard()
  await call(url, 'POST', '/escrows', { token, body: escrow })
  return activationCode
}

/** A connection to the server, on which the client has proved its keys. */
export class RemoteStore implements Store {
  readonly root: string
  /** `locked` once the client has made a backup: from then on its keys cannot change. */
  readonly state: 'provisional' | 'locked'
  readonly #client: Client
  #token: string

  private constructor(url: string, client: Client, { token, state }: Connection) {
    this.root = url
    this.#client = client
    this.#token = token
    this.state = state
  }

  static async connect(url: string, client: Client): Promise<RemoteStore> {
    return new RemoteStore(url, client, await prove(url, client))
  }

  /** Locks the client's keys. Call it before the first backup is complete. */
  async commit(): Promise<void> {
    await this.#call('POST', '/commits')
  }

  async has(name: string): Promise<boolean> {
    return (await this.#call('HEAD', `/objects/${name}`, undefined, [404])).status === 200
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const { status, body } = await this.#call('GET', `/objects/${name}`, undefined, [404])
    return status === 200 ? body : undefined
  }

  async put(name: string, bytes: Uint8Array): Promise<boolean> {
    return (await this.#call('PUT', `/objects/${name}`, new Uint8Array(bytes), [409])).status === 201
  }

  async versions(folder: string): Promise<string[]> {
    return (await this.#call('GET', `/versions/${folder}`)).json() as string[]
  }

  async #call(method: string, path: string, body?: Uint8Array<ArrayBuffer>, fine: readonly number[] = []) {
    const ask = (alsoFine: readonly number[]) =>
      call(this.root, method, path, { token: this.#token, fine: [...fine, ...alsoFine], ...(body && { body }) })
    const answer = await ask([401])
    if (answer.status !== 401) return answer
    // The session expired: a backup may take longer than a session lasts.
    this.#token = (await prove(this.root, this.#client)).token
    return ask([])
  }
}

interface Connection {
  token: string
  state: 'provisional' | 'locked'
}

async function prove(url: string, client: Client): Promise<Connection> {
  const challenge = await call(url, 'POST', '/challenges')
  const proof = client.prove(challenge.body, { server: SERVER })
  return (await call(url, 'POST', '/connections', { body: proof })).json() as Connection
}

interface Request {
  token?: string
  body?: string | Uint8Array<ArrayBuffer>
  /** Statuses that are not errors. */
  fine?: readonly number[]
}

async function call(url: string, method: string, path: string, { token, body, fine = [] }: Request = {}) {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(url + path, { method, headers, ...(body !== undefined && { body }) })
  const bytes = new Uint8Array(await response.arrayBuffer())
  const json = (): unknown => JSON.parse(Buffer.from(bytes).toString())
  const { status, ok } = response
  if (ok || fine.includes(status)) return { status, body: bytes, json }
  // The answer to a HEAD request has no body, so there is no message either.
  const { error, code } = (bytes.length === 0 ? { error: `status ${status}` } : json()) as {
    error: string
    code?: KeystrataError['code']
  }
  throw code === undefined ? new Error(`${method} ${path}: ${error}`) : new KeystrataError(code, error)
}
