// A service through which users exchange shares. It stores password hashes, the public cards of each user's clients,
// and sealed invites, but no key. If it swaps a card or forwards an invite to someone else, the clients detect that.
import type { IncomingMessage, Server } from 'node:http'
import { KeystrataError, parseCard } from 'keystrata'
import { hashPassword, verifyPassword } from 'keystrata/server'
import { type Account, type Answer, createJsonServer, readAccount, type ReadBody, Refusal, Sessions } from './http.ts'
import type { Sql } from './sql-vault-store.ts'

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS person (name text PRIMARY KEY, password text NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS card (
     owner text REFERENCES person, client text, card bytea NOT NULL, PRIMARY KEY (owner, client))`,
  `CREATE TABLE IF NOT EXISTS invite (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sender text NOT NULL REFERENCES person,
     owner text NOT NULL, client text NOT NULL, invite bytea NOT NULL, FOREIGN KEY (owner, client) REFERENCES card)`,
]

/** The most bytes in a request: larger than any card or invite. */
const MAX_BODY_BYTES = 16_384

export async function createTables(sql: Sql): Promise<void> {
  for (const statement of SCHEMA) await sql.query(statement)
}

/** Creates the server. The caller must call `listen`. */
export function createService(sql: Sql): Server {
  const service = new Service(sql)
  return createJsonServer((...asked) => service.answer(...asked))
}

class Service {
  readonly #sql: Sql
  readonly #sessions: Sessions<string> = new Sessions()

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async answer(route: string, names: string[], read: ReadBody, request: IncomingMessage): Promise<Answer> {
    switch (route) {
      case 'POST /users/0':
        return this.#signUp(readAccount(await read(MAX_BODY_BYTES)))
      case 'POST /sessions/0':
        return this.#logIn(readAccount(await read(MAX_BODY_BYTES)))
      case 'PUT /cards/1':
        return this.#putCard(this.#sessions.of(request), names[0]!, await read(MAX_BODY_BYTES))
      case 'GET /cards/1':
        this.#sessions.of(request)
        return this.#cardsOf(names[0]!)
      case 'POST /invites/2':
        return this.#putInvite(this.#sessions.of(request), names[0]!, names[1]!, await read(MAX_BODY_BYTES))
      case 'GET /invites/1':
        return this.#invitesFor(this.#sessions.of(request), names[0]!)
      default:
        throw new Refusal(404, 'no such resource')
    }
  }

  async #signUp({ name, password }: Account): Promise<Answer> {
    const hash = await hashPassword(password)
    const created = await this.#sql.query('INSERT INTO person VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING name', [
      name,
      hash,
    ])
    if (created.rows.length === 0) throw new Refusal(409, 'that name is already taken: choose another one')
    return { status: 201, body: {} }
  }

  async #logIn({ name, password }: Account): Promise<Answer> {
    const { rows } = await this.#sql.query('SELECT password FROM person WHERE name = $1', [name])
    const [stored] = rows as { password: string }[]
    if (!(await verifyPassword(stored?.password, password))) throw new Refusal(401, 'wrong name or password')
    return { status: 201, body: { token: this.#sessions.open(name) } }
  }

  /** Stores the card of a client. It never changes, because others have compared its fingerprint. */
  async #putCard(user: string, client: string, bytes: Uint8Array): Promise<Answer> {
    try {
      parseCard(bytes)
    } catch (error) {
      throw error instanceof KeystrataError ? new Refusal(400, `invalid card: ${error.message}`) : error
    }
    const statement = 'INSERT INTO card VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING client'
    const { rows } = await this.#sql.query(statement, [user, client, bytes])
    if (rows.length === 0) throw new Refusal(409, 'this client already has a card, which cannot be replaced')
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
    if (rows.length === 0) throw new Refusal(404, 'no such client, or it has not published a card')
    return { status: 201, body: {} }
  }

  async #invitesFor(user: string, client: string): Promise<Answer> {
    const statement = 'SELECT sender, invite FROM invite WHERE owner = $1 AND client = $2 ORDER BY id'
    const { rows } = await this.#sql.query(statement, [user, client])
    const invites = rows as { sender: string; invite: Uint8Array }[]
    return { status: 200, body: invites.map(({ sender, invite }) => ({ from: sender, invite: base64(invite) })) }
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
