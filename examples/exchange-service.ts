// A service by which users exchange shares: it keeps passwords as hashes, the public cards of each user's clients, and
// sealed invites. It holds no key; what it could do, swap a card or pass an invite on, is found out by who uses it.
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { KeystrataError, parseCard } from 'keystrata'
import { hashPassword, verifyPassword } from 'keystrata/server'
import type { Sql } from './sql-vault-store.ts'

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS person (name text PRIMARY KEY, password text NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS card (
     owner text REFERENCES person, client text, card bytea NOT NULL, PRIMARY KEY (owner, client))`,
  `CREATE TABLE IF NOT EXISTS invite (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sender text NOT NULL REFERENCES person,
     owner text NOT NULL, client text NOT NULL, invite bytea NOT NULL, FOREIGN KEY (owner, client) REFERENCES card)`,
]

/** More than a card or an invite has. */
const MAX_BODY_BYTES = 16_384
const SESSION_MS = 3_600_000

/** An answer that is not what was asked for. */
class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export async function createTables(sql: Sql): Promise<void> {
  for (const statement of SCHEMA) await sql.query(statement)
}

/** Not listening yet. */
export function createService(sql: Sql): Server {
  const service = new Service(sql)
  return createServer((request, response) => {
    service.answer(request).then(
      ({ status, body }) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
      (error: unknown) => {
        const status = error instanceof Refusal ? error.status : 500
        const message = error instanceof Refusal ? error.message : 'something is wrong here'
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: message }))
      },
    )
  })
}

interface Answer {
  status: number
  body: unknown
}

class Service {
  readonly #sql: Sql
  /** By the hash of the token, so that a look into memory gives nobody a session. */
  readonly #sessions: Map<string, { user: string; expires: number }> = new Map()

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async answer(request: IncomingMessage): Promise<Answer> {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const [, what, ...names] = pathname.split('/').map(decodeName)
    const body = await readBody(request)
    switch (`${request.method} /${what}/${names.length}`) {
      case 'POST /users/0':
        return this.#signUp(readAccount(body))
      case 'POST /sessions/0':
        return this.#logIn(readAccount(body))
      case 'PUT /cards/1':
        return this.#putCard(this.#userOf(request), names[0]!, body)
      case 'GET /cards/1':
        this.#userOf(request)
        return this.#cardsOf(names[0]!)
      case 'POST /invites/2':
        return this.#putInvite(this.#userOf(request), names[0]!, names[1]!, body)
      case 'GET /invites/1':
        return this.#invitesFor(this.#userOf(request), names[0]!)
      default:
        throw new Refusal(404, 'no such thing')
    }
  }

  async #signUp({ name, password }: Account): Promise<Answer> {
    const hash = await hashPassword(password)
    const created = await this.#sql.query('INSERT INTO person VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING name', [
      name,
      hash,
    ])
    if (created.rows.length === 0) throw new Refusal(409, 'that name is taken')
    return { status: 201, body: {} }
  }

  async #logIn({ name, password }: Account): Promise<Answer> {
    const { rows } = await this.#sql.query('SELECT password FROM person WHERE name = $1', [name])
    const [stored] = rows as { password: string }[]
    if (!(await verifyPassword(stored?.password, password))) throw new Refusal(401, 'unknown, or not the password')
    const token = randomBytes(32).toString('base64url')
    this.#sessions.set(tokenHash(token), { user: name, expires: Date.now() + SESSION_MS })
    return { status: 201, body: { token } }
  }

  #userOf(request: IncomingMessage): string {
    const token = /^Bearer ([\w-]+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const session = this.#sessions.get(tokenHash(token))
    if (session === undefined || session.expires < Date.now()) throw new Refusal(401, 'log in first')
    return session.user
  }

  /** A client has one card, and it never changes: others have compared it. */
  async #putCard(user: string, client: string, bytes: Uint8Array): Promise<Answer> {
    try {
      parseCard(bytes)
    } catch (error) {
      throw error instanceof KeystrataError ? new Refusal(400, `no card: ${error.message}`) : error
    }
    const statement = 'INSERT INTO card VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING client'
    const { rows } = await this.#sql.query(statement, [user, client, bytes])
    if (rows.length === 0) throw new Refusal(409, 'this client has a card')
    return { status: 201, body: {} }
  }

  async #cardsOf(user: string): Promise<Answer> {
    const { rows } = await this.#sql.query('SELECT client, card FROM card WHERE owner = $1 ORDER BY client', [user])
    const cards = rows as { client: string; card: Uint8Array }[]
    return { status: 200, body: cards.map(({ client, card }) => ({ client, card: base64(card) })) }
  }

  async #putInvite(sender: string, owner: string, client: string, bytes: Uint8Array): Promise<Answer> {
    const statement = `INSERT INTO invite (sender, owner, client, invite)
      SELECT $1::text, owner, client, $4::bytea FROM card WHERE owner = $2 AND client = $3 RETURNING id`
    const { rows } = await this.#sql.query(statement, [sender, owner, client, bytes])
    if (rows.length === 0) throw new Refusal(404, 'no such client')
    return { status: 201, body: {} }
  }

  async #invitesFor(user: string, client: string): Promise<Answer> {
    const statement = 'SELECT sender, invite FROM invite WHERE owner = $1 AND client = $2 ORDER BY id'
    const { rows } = await this.#sql.query(statement, [user, client])
    const invites = rows as { sender: string; invite: Uint8Array }[]
    return { status: 200, body: invites.map(({ sender, invite }) => ({ from: sender, invite: base64(invite) })) }
  }
}

interface Account {
  name: string
  password: string
}

function readAccount(body: Uint8Array): Account {
  try {
    const { name, password } = JSON.parse(Buffer.from(body).toString()) as Partial<Account>
    if (typeof name === 'string' && name !== '' && typeof password === 'string' && password !== '') {
      return { name, password }
    }
  } catch {
    // Not JSON: the same answer.
  }
  throw new Refusal(400, 'a name and a password, please')
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new Refusal(413, 'too much')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function decodeName(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Refusal(404, 'no such thing')
  }
}

const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex')
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
