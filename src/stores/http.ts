// keystrata/stores/http: a store behind a URL, and the server's half of it (SPEC §6.4). It uses Request, Response and
// fetch alone, so it works in Node, browsers, Workers, Deno and Bun. It does not say who may read or write: the product
// checks that before it calls serveStateStore, and adds what proves it in the `fetch` of httpStateStore.
import { type Bytes, concat, copyOf } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { optionsFrom } from '../core/options.ts'
import { CheckedStore, RefusedByStore } from '../state/checked.ts'
import { assertName, assertVersion } from '../state/name.ts'
import type { StateStore } from '../state/store.ts'

/** What stands between the URL of a store and the name of an object. No name contains `_`. */
const BEFORE_NAME = '/_/'

const MAX_BYTES = 16 * 1024 * 1024

/** Statuses after which sending a request again does not help. */
const REFUSALS: ReadonlySet<number> = /* @__PURE__ */ new Set([400, 401, 403, 404, 405, 413])

/**
 * Creates a store that asks a server for each object. The server answers with {@link serveStateStore}, or implements
 * SPEC §6.4 itself.
 *
 * A redirect is not followed, because it could lead to another store, or to a page that looks like an answer. `drop`
 * does nothing if the server answers 403: such a server deletes nothing. There is no timeout; pass a `fetch` that has
 * one. From another origin, a browser needs the server's permission (CORS) for the methods, for the headers
 * `If-Match`, `If-None-Match` and `Content-Type`, and to see the header `ETag`. A Worker of Cloudflare needs a
 * compatibility date of 2024-11-11 or later.
 * @param url where the store is, such as `https://example.org/state`. A browser also takes `/state`
 * @param options `fetch`: a function that sends the requests, for example with an `Authorization` header. The global one
 *   is used if omitted
 * @returns a store whose methods throw the {@link KeystrataError} that the server sent, and an Error for everything that
 *   is no answer: a network failure (with its cause), a wrong URL, a body that was cut. Where the server answered with an
 *   HTTP status that is neither, that Error has it as `status`: 401 if a session has ended, for example. If the server
 *   also said when to try again (`Retry-After`), the Error has that as `retryAfter`, in seconds. Writes are repeated after
 *   that time, up to a minute; a read is not repeated
 * @throws TypeError if the URL is relative (only browsers and a `fetch` of your own take a path such as `/state`), has a query, a fragment or a password, or is not http or https
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { httpStateStore } from 'keystrata/stores/http'
 *
 * const store = httpStateStore('https://backup.example/state', {
 *   fetch: (url, init) => fetch(url, { ...init, credentials: 'include', signal: AbortSignal.timeout(30_000) }),
 * })
 * ```
 */
export function httpStateStore(url: string, options?: { fetch?: typeof fetch | undefined }): StateStore {
  const { fetch: given } = optionsFrom(options, { fetch: 'optional' }, 'httpStateStore')
  const remote = new Remote(baseOf(url, given !== undefined || 'location' in globalThis), given)
  return {
    async read(name) {
      assertName(name)
      return remote.get(name, '')
    },
    async readVersion(name, version) {
      assertName(name)
      assertVersion(version)
      const found = await remote.get(name, `?version=${version}`)
      if (found === undefined || found.version === version) return found?.bytes
      throw new Error(`the server answered with version ${found.version} of ${name}, not ${version}`)
    },
    async write(name, version, bytes) {
      assertName(name)
      assertVersion(version)
      return remote.put(name, version, copyOf(bytes))
    },
    async drop(name, below) {
      assertName(name)
      if (!Number.isSafeInteger(below)) throw new RangeError('drop takes an integer')
      // Nothing below 1 was ever written.
      if (below > 1) await remote.delete(name, below)
    },
  }
}

/** @throws TypeError if no names can be put behind the URL */
function baseOf(url: string, takesPath: boolean): string {
  if (typeof url !== 'string' || /[?#]/.test(url))
    throw new TypeError('the URL of a store has no query and no fragment')
  // Only browsers know what a path stands for. `//host` would be another server.
  if (/^\/(?![/\\])/.test(url) && takesPath) return url.replace(/\/$/, '')
  // The messages do not show the URL, because it may contain a password.
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol))
    throw new TypeError('the URL of a store is absolute, and begins with https:// or http://')
  if (parsed.username !== '' || parsed.password !== '')
    throw new TypeError('the URL of a store contains no password: send it in a header, by a fetch of your own')
  return parsed.href.replace(/\/$/, '')
}

/** The client's half of the protocol. */
class Remote {
  readonly #base: string
  readonly #fetch: typeof fetch

  constructor(base: string, given: typeof fetch | undefined) {
    if (given !== undefined && typeof given !== 'function') throw new TypeError('fetch must be a function')
    this.#base = base
    // Browsers refuse to run fetch as a method of another object.
    this.#fetch = given ?? ((input, init) => fetch(input, init))
  }

  async get(name: string, query: string): Promise<{ version: number; bytes: Bytes } | undefined> {
    const response = await this.#send('GET', name, query)
    if (response.status === 204) return undefined
    if (response.status !== 200) throw await refusal(response, `reading ${name}`)
    const version = parseETag(response.headers.get('ETag'))
    if (version === undefined) {
      await discard(response)
      throw new Error(`the answer for ${name} has no valid ETag: is this the URL of a store?`)
    }
    return { version, bytes: await wholeBody(response, name) }
  }

  async put(name: string, version: number, bytes: Bytes): Promise<boolean> {
    const condition = version === 1 ? { 'If-None-Match': '*' } : { 'If-Match': etagOf(version - 1) }
    const headers = { 'Content-Type': 'application/octet-stream', ...condition }
    const response = await this.#send('PUT', name, '', { headers, body: bytes })
    // Nothing else is true: a login page answers 200 to everything, and 202 promises nothing.
    if (response.status === 204) return true
    if (response.status !== 412) throw await refusal(response, `writing ${name}`)
    await discard(response)
    return false
  }

  async delete(name: string, below: number): Promise<void> {
    const response = await this.#send('DELETE', name, `?below=${below}`)
    if (response.status !== 204 && response.status !== 403) throw await refusal(response, `dropping ${name}`)
    await discard(response)
  }

  async #send(method: string, name: string, query: string, init: RequestInit = {}): Promise<Response> {
    const send = this.#fetch
    // 'manual' gives a response that is no answer. Workers do not know 'error'.
    const whole = { ...init, method, cache: 'no-store', redirect: 'manual' } as RequestInit
    try {
      return await send(`${this.#base}${BEFORE_NAME}${name}${query}`, whole)
    } catch (cause) {
      throw unreachable(`${method} of ${name}`, cause)
    }
  }
}

/** Network failures of fetch are TypeErrors or DOMExceptions. They are no mistakes of the program. */
const unreachable = (what: string, cause: unknown): Error => new Error(`${what} got no answer`, { cause })

/** Returns the error for an answer that is neither yes nor no. */
async function refusal(response: Response, doing: string): Promise<Error> {
  const { status } = response
  if (status === 422) {
    const json: unknown = await response.json().catch(() => undefined)
    const error = KeystrataError.from(json)
    if (error !== undefined) return error
  }
  await discard(response)
  const hint = hints[status]
  const message = `${doing}: the server answered ${status}${hint === undefined ? '' : `, ${hint}`}`
  const error = REFUSALS.has(status) ? new RefusedByStore(message) : new Error(message)
  const retryAfter = parseRetryAfter(response.headers.get('Retry-After'))
  return Object.assign(error, { status }, retryAfter === undefined ? undefined : { retryAfter })
}

/** Returns how many seconds a server asks to wait. It says so in seconds, or by a date (RFC 9110 §10.2.3). */
function parseRetryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - Date.now()) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds)
}

const hints: Readonly<Record<number, string>> = {
  // What browsers say of a redirect that was not followed.
  0: 'which is a redirect: use the URL that it leads to',
  301: 'which is a redirect: use the URL that it leads to',
  302: 'which is a redirect: use the URL that it leads to',
  307: 'which is a redirect: use the URL that it leads to',
  308: 'which is a redirect: use the URL that it leads to',
  404: 'so this is not the URL of a store',
  413: 'because the object is larger than it accepts',
}

/** Gives the connection free. */
async function discard(response: Response): Promise<void> {
  if (!response.bodyUsed) await response.body?.cancel().catch(() => undefined)
}

/** Reads a body, and never takes one that was cut for a shorter object. */
async function wholeBody(response: Response, name: string): Promise<Bytes> {
  let bytes: Bytes
  try {
    bytes = new Uint8Array(await response.arrayBuffer())
  } catch (cause) {
    throw new Error(`the answer for ${name} was cut`, { cause })
  }
  // A compressed body has another length than its content.
  const length = response.headers.has('Content-Encoding') ? null : response.headers.get('Content-Length')
  if (length !== null && length !== String(bytes.length))
    throw new Error(`the answer for ${name} was cut: it has ${bytes.length} of ${length} bytes`)
  return bytes
}

const etagOf = (version: number): string => `"${version}"`

/** Returns the version in an ETag. Proxies that compress make it a weak one. */
function parseETag(etag: string | null): number | undefined {
  return parseVersion(/^(?:W\/)?"(.*)"$/.exec(etag ?? '')?.[1])
}

function parseVersion(text: string | null | undefined): number | undefined {
  const version = /^[1-9]\d*$/.test(text ?? '') ? Number(text) : undefined
  return Number.isSafeInteger(version) ? version : undefined
}

/** What {@link serveStateStore} allows. */
interface ServeOptions {
  /** Whether clients may drop old versions. Otherwise DELETE is 403, and what a client has written stays. */
  allowDrop?: boolean | undefined
  /** The largest object that is accepted, in bytes. 16 MiB if omitted. */
  maxBytes?: number | undefined
  /** Is called with each error of the store that the client does not get to see. */
  onError?: ((error: unknown) => void) | undefined
}

/**
 * Answers a request for a store (SPEC §6.4). Works with every server that has Request and Response. The name of the
 * object is what stands behind the last `/_/` of the path, so the store can be offered under any path.
 *
 * It does not check who asks: do that first. Give each user a part of the store, with `prefixed` of `keystrata/stores`, by an id of your
 * own. If several websites share your domain, or you use cookies, check the `Origin` header too.
 * @param options `allowDrop`: whether DELETE drops old versions; otherwise it is 403. Then the server must drop
 *   them itself: after a new master key, the old password goes on opening what is left. `maxBytes`: the largest object, 16
 *   MiB if omitted. `onError`: is called with errors of the store. The client sees status 500 without details
 * @returns the response. A {@link KeystrataError} of the store becomes status 422, and {@link httpStateStore} throws it
 *   again; every other error becomes 500
 * @throws TypeError if `store` is not a store
 * @throws RangeError if `maxBytes` is not an integer of at least 0
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { prefixed, type StateStore } from 'keystrata/stores'
 * import { serveStateStore } from 'keystrata/stores/http'
 *
 * const handler = (store: StateStore, userOf: (request: Request) => string | undefined) => (request: Request) => {
 *   const user = userOf(request)
 *   if (user === undefined) return new Response('log in first', { status: 401 })
 *   return serveStateStore(prefixed(store, `${user}/`), request, { onError: console.error })
 * }
 * ```
 */
export async function serveStateStore(store: StateStore, request: Request, options?: ServeOptions): Promise<Response> {
  const rules = { allowDrop: 'optional', maxBytes: 'optional', onError: 'optional' } as const
  const { allowDrop = false, maxBytes = MAX_BYTES, onError } = optionsFrom(options, rules, 'serveStateStore')
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0) throw new RangeError('maxBytes must be an integer of at least 0')
  const checked = new CheckedStore(store)
  try {
    switch (request.method) {
      case 'GET':
        return await serveGet(checked, request)
      case 'PUT':
        return await servePut(checked, request, maxBytes)
      case 'DELETE':
        return await serveDelete(checked, request, allowDrop)
      default:
        return answer(405, 'this method is not allowed', { Allow: allowDrop ? 'GET, PUT, DELETE' : 'GET, PUT' })
    }
  } catch (error) {
    if (error instanceof Refused) return answer(error.status, error.message)
    if (error instanceof KeystrataError)
      return answer(422, JSON.stringify(error), { 'Content-Type': 'application/json' })
    onError?.(error)
    return answer(500, 'the store failed')
  }
}

/** A request that is answered with this status before the store is asked. */
class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function serveGet(store: CheckedStore, request: Request): Promise<Response> {
  const { name, query } = parseTarget(request, 'version')
  if (query === undefined) {
    const newest = await store.read(name)
    return newest === undefined ? answer(204) : object(newest.version, newest.bytes)
  }
  const version = parseVersion(query)
  if (version === undefined) throw new Refused(400, 'version must be an integer of at least 1')
  const bytes = await store.readVersion(name, version)
  return bytes === undefined ? answer(204) : object(version, bytes)
}

async function servePut(store: CheckedStore, request: Request, maxBytes: number): Promise<Response> {
  const { name } = parseTarget(request)
  const version = parseCondition(request.headers)
  const bytes = await readBody(request, maxBytes)
  return (await store.write(name, version, bytes))
    ? answer(204, undefined, { ETag: etagOf(version) })
    : answer(412, 'this version is not the next one')
}

async function serveDelete(store: CheckedStore, request: Request, allowDrop: boolean): Promise<Response> {
  const { name, query } = parseTarget(request, 'below')
  const below = parseVersion(query)
  if (below === undefined) throw new Refused(400, 'below must be an integer of at least 1')
  if (!allowDrop) throw new Refused(403, 'this server deletes nothing')
  await store.drop(name, below)
  return answer(204)
}

/**
 * Returns the name that a request is about, and its one parameter.
 * @throws Refused if the path has no valid name, or the query is anything else than that parameter
 */
function parseTarget(request: Request, parameter?: string): { name: string; query: string | undefined } {
  const { pathname, searchParams } = new URL(request.url)
  const at = pathname.lastIndexOf(BEFORE_NAME)
  const name = at < 0 ? '' : pathname.slice(at + BEFORE_NAME.length)
  try {
    assertName(name)
  } catch {
    throw new Refused(400, 'the path must end with /_/ and the name of an object')
  }
  const given = [...searchParams]
  if (given.length > 1 || given.some(([key]) => key !== parameter))
    throw new Refused(400, 'this query is not supported')
  return { name, query: given[0]?.[1] }
}

/** Returns the version that a request writes. */
function parseCondition(headers: Headers): number {
  const [match, noneMatch] = [headers.get('If-Match'), headers.get('If-None-Match')]
  if (match === null && noneMatch === '*') return 1
  // A weak tag never matches (RFC 9110 §13.1.1).
  const previous = noneMatch === null && match?.startsWith('"') === true ? parseETag(match) : undefined
  if (previous === undefined || previous === Number.MAX_SAFE_INTEGER)
    throw new Refused(400, 'either If-Match must be the ETag of the previous version, or If-None-Match must be *')
  return previous + 1
}

/**
 * Reads a body of at most `maxBytes`. It counts, because a client may say anything about the length.
 * @throws Refused if it is longer, or was cut: what arrived is never stored as if it were whole
 */
async function readBody(request: Request, maxBytes: number): Promise<Bytes> {
  const cut = () => {
    throw new Refused(400, 'the body was cut')
  }
  const tooLong = () => new Refused(413, `an object has at most ${maxBytes} bytes here`)
  const { body } = request as { body?: ReadableStream<Uint8Array> | null }
  const parts: Uint8Array[] = []
  let length = 0
  const reader = body?.getReader()
  for (;;) {
    const part = await reader?.read().catch(cut)
    if (part?.value === undefined) break
    length += part.value.length
    if (length > maxBytes) {
      await reader?.cancel().catch(() => undefined)
      throw tooLong()
    }
    parts.push(part.value)
  }
  // In Firefox, requests have no such property, which says nothing about the content.
  if (body === undefined) {
    const whole = new Uint8Array(await request.arrayBuffer().catch(cut))
    length = whole.length
    if (length > maxBytes) throw tooLong()
    parts.push(whole)
  }
  const announced = request.headers.get('Content-Length')
  if (announced !== null && announced !== String(length)) throw new Refused(400, 'the body was cut')
  return concat(...parts)
}

function object(version: number, bytes: Uint8Array): Response {
  return answer(200, copyOf(bytes), {
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(bytes.length),
    ETag: etagOf(version),
  })
}

function answer(status: number, body?: string | Bytes, headers: Record<string, string> = {}): Response {
  return new Response(body ?? null, {
    status,
    headers: {
      ...(typeof body === 'string' && { 'Content-Type': 'text/plain; charset=utf-8' }),
      // A proxy that caches or compresses an answer changes what the next reader sees.
      'Cache-Control': 'no-store, no-transform',
      'X-Content-Type-Options': 'nosniff',
      ...headers,
    },
  })
}
