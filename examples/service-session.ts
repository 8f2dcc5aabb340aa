// A session with user-service.ts: sends requests with its token, and opens it again when it has ended.
import { KeystrataError } from 'keystrata'
import type { Login } from 'keystrata/vault'

/** An answer that is neither success nor a KeystrataError. */
export class ServiceError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export class ServiceSession {
  readonly #url: string
  readonly #path: '/sessions' | '/admin-sessions'
  readonly #body: string
  #token = ''
  /** Whether the password is not valid any more: ask for the new one. */
  hasEnded = false

  private constructor(url: string, path: '/sessions' | '/admin-sessions', body: string) {
    this.#url = url
    this.#path = path
    this.#body = body
  }

  static async ofUser(url: string, { user, credential }: Login): Promise<ServiceSession> {
    return new ServiceSession(url, '/sessions', JSON.stringify({ name: user, credential })).#opened()
  }

  static async ofAdmin(url: string, password: string): Promise<ServiceSession> {
    return new ServiceSession(url, '/admin-sessions', JSON.stringify({ credential: password })).#opened()
  }

  async #opened(): Promise<this> {
    const answer = await call(this.#url + this.#path, { method: 'POST', body: this.#body })
    this.#token = ((await answer.json()) as { token: string }).token
    return this
  }

  /** A `fetch` with the token, for `httpStateStore`. It returns errors as responses. */
  readonly fetch: typeof fetch = async (input, init) => {
    const send = () => {
      const headers = new Headers(init?.headers)
      headers.set('authorization', `Bearer ${this.#token}`)
      return fetch(input, { ...init, headers })
    }
    const response = await send()
    if (response.status !== 401) return response
    // The session has ended. If the password has changed since, the answer stays 401.
    this.hasEnded = !(await this.#opened().catch(isRefused))
    if (this.hasEnded) return response
    await response.body?.cancel()
    return send()
  }

  async get(path: string): Promise<Response> {
    return accept(await this.fetch(this.#url + path))
  }

  /** Sends a new password: the record of the profile, and the credential of the login that it is under. */
  async setPassword(path: string, record: Uint8Array, login: Login): Promise<void> {
    await accept(await this.fetch(this.#url + path, { method: 'PUT', body: passwordBody(record, login) }))
  }
}

export const passwordBody = (record: Uint8Array, { user, credential }: Login): string =>
  JSON.stringify({ name: user, credential, record: Buffer.from(record).toString('base64') })

/** Sends a request without a session. */
export const call = async (url: string, init: RequestInit): Promise<Response> => accept(await fetch(url, init))

function isRefused(error: unknown): undefined {
  if (!(error instanceof ServiceError && error.status === 401)) throw error
}

/** Returns a response unless it is an error. Otherwise throws the KeystrataError of the service, or a {@link ServiceError}. */
async function accept(response: Response): Promise<Response> {
  if (response.ok) return response
  const json: unknown = await response.json().catch(() => undefined)
  const { error = 'the service failed' } = Object(json) as { error?: string }
  throw KeystrataError.from(json) ?? new ServiceError(response.status, error)
}
