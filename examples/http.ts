// What the example services share: a small server of web requests, error answers and sessions.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { KeystrataError } from 'keystrata'

const SESSION_MS = 3_600_000

/** An error that the server sends to the client as an HTTP status and a message. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * Answers one request.
 * @param route the method, the first name of the path, and how many names follow, such as `PUT /cards/1`
 * @param names the names that follow
 */
export type Handler = (request: Request, route: string, names: string[]) => Promise<Response>

const addresses: WeakMap<Request, string> = new WeakMap()

/**
 * Returns the address that a request came from. Behind a proxy it is the proxy's: then use the header in which the proxy
 * names its client.
 */
export const addressOf = (request: Request): string => addresses.get(request) ?? ''

/**
 * Creates a server that passes each request to `handle`. The caller must call `listen`. A {@link Refusal} becomes its
 * status. A KeystrataError becomes status 422, so that the client can throw it again.
 */
export function createWebServer(handle: Handler): Server {
  const answer = async (incoming: IncomingMessage): Promise<Response> => {
    try {
      const request = toRequest(incoming)
      const [, what = '', ...names] = new URL(request.url).pathname.split('/').map(decodeName)
      addresses.set(request, incoming.socket.remoteAddress ?? '')
      return await handle(request, `${request.method} /${what}/${names.length}`, names)
    } catch (error) {
      if (error instanceof Refusal) return Response.json({ error: error.message }, { status: error.status })
      if (error instanceof KeystrataError) return Response.json(error, { status: 422 })
      console.error(error)
      return Response.json({ error: 'internal server error' }, { status: 500 })
    }
  }
  return createServer((incoming, outgoing) => {
    answer(incoming)
      .then((response) => {
        // What is left of a body that was refused would come before the next request.
        outgoing.shouldKeepAlive &&= incoming.complete
        return send(response, outgoing)
      })
      .catch((error: unknown) => outgoing.destroy(error as Error))
  })
}

function toRequest(incoming: IncomingMessage): Request {
  const { method = 'GET', url = '/', headers } = incoming
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const init: RequestInit = {
    method,
    headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
    ...(hasBody && { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: 'half' }),
  }
  try {
    return new Request(`http://localhost${url}`, init)
  } catch {
    throw new Refusal(400, 'this method or URL is not supported')
  }
}

async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer())
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.end(body)
}

/** Reads the body of a request, or refuses it with status 413 if it is longer than `maxBytes`. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Refusal(413, 'the request is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function decodeName(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Refusal(404, 'no such resource')
  }
}

export interface Account {
  name: string
  password: string
}

/** The most bytes in a login. */
const MAX_ACCOUNT_BYTES = 16_384

export async function readAccount(request: Request): Promise<Account> {
  const body = await readBody(request, MAX_ACCOUNT_BYTES)
  try {
    const { name, password } = JSON.parse(Buffer.from(body).toString()) as Partial<Account>
    if (typeof name === 'string' && name !== '' && typeof password === 'string' && password !== '') {
      return { name, password }
    }
  } catch {
    // Invalid JSON gets the same answer.
  }
  throw new Refusal(400, 'the request must contain a name and a password')
}

/** The open sessions, by the hash of their token, so that a memory dump of this map gives nobody a session. */
export class Sessions<T> {
  readonly #sessions: Map<string, { who: T; expires: number }> = new Map()

  open(who: T): string {
    for (const [hash, { expires }] of this.#sessions) if (expires < Date.now()) this.#sessions.delete(hash)
    const token = randomBytes(32).toString('base64url')
    this.#sessions.set(tokenHash(token), { who, expires: Date.now() + SESSION_MS })
    return token
  }

  /** Ends the sessions of some people, or machines, in this process. */
  end(isOver: (who: T) => boolean): void {
    for (const [hash, { who }] of this.#sessions) if (isOver(who)) this.#sessions.delete(hash)
  }

  of(request: Request): T {
    const session = this.#sessions.get(tokenHash(tokenOf(request)))
    if (session === undefined || session.expires < Date.now()) throw new Refusal(401, 'log in first')
    return session.who
  }
}

/** Returns the token in a request. Returns an empty text if it has none. */
export const tokenOf = (request: Request): string =>
  /^Bearer ([\w-]+)$/.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''

/** Returns what a service keeps of a token, so that reading it there gives nobody a session. */
export const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex')

/** Listens on a free port of 127.0.0.1. Returns the URL. */
export async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)))
    server.closeAllConnections()
  })
}
