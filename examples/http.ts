// What the example services share: a small JSON server, error answers and sessions.
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

const SESSION_MS = 3_600_000

/** An error that the server sends to the client as an HTTP status and a message. */
export class Refusal extends Error {
  readonly status: number
  /** More fields of the answer, for programs. */
  readonly more: object

  constructor(status: number, message: string, more: object = {}) {
    super(message)
    this.status = status
    this.more = more
  }
}

export interface Answer {
  status: number
  /** A `Uint8Array` is sent as it is, everything else as JSON. */
  body: unknown
}

/** Reads the body of a request, or refuses it with status 413 if it is longer than `maxBytes`. */
export type ReadBody = (maxBytes: number) => Promise<Uint8Array>

/**
 * Creates a server that passes each request to `handle`. The caller must call `listen`. The handler gets the route,
 * such as `PUT /cards/1` for a path with one name after `/cards`, and the names. It reads the body itself, after
 * checking the session.
 */
export function createJsonServer(
  handle: (route: string, names: string[], read: ReadBody, request: IncomingMessage) => Promise<Answer>,
): Server {
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const [, what = '', ...names] = pathname.split('/').map(decodeName)
    const read: ReadBody = (maxBytes) => readBody(request, maxBytes)
    return handle(`${request.method} /${what}/${names.length}`, names, read, request)
  }
  return createServer((request, response) => {
    const send = (status: number, body: unknown) => {
      const isRaw = body instanceof Uint8Array
      response.writeHead(status, { 'content-type': isRaw ? 'application/octet-stream' : 'application/json' })
      response.end(isRaw ? body : JSON.stringify(body))
    }
    answer(request).then(
      ({ status, body }) => send(status, body),
      (error: unknown) => {
        if (error instanceof Refusal) send(error.status, { error: error.message, ...error.more })
        else send(500, { error: 'internal server error' })
      },
    )
  })
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
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

export function readAccount(body: Uint8Array): Account {
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

  of(request: IncomingMessage): T {
    const token = /^Bearer ([\w-]+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const session = this.#sessions.get(tokenHash(token))
    if (session === undefined || session.expires < Date.now()) throw new Refusal(401, 'log in first')
    return session.who
  }
}

const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex')

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
