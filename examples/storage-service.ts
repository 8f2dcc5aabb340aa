// A storage server for clients with typed keys: it knows their keys again on every connection (KeyRegistry), keeps what they
// send, and never sees a key. Who may enrol a client, the account's password says.
import type { IncomingMessage, Server } from 'node:http'
import { KeystrataError } from 'keystrata'
import { hashPassword, KeyRegistry, verifyPassword } from 'keystrata/server'
import { type Account, type Answer, createJsonServer, readAccount, Refusal, Sessions } from './http.ts'
import { createRegistryTables, SqlRegistryStore } from './sql-registry-store.ts'
import type { Sql } from './sql-vault-store.ts'
import type { Store } from './store.ts'

export const REALM = 'keystrata-demo'
/** What clients know this server by, wherever it answers. */
export const SERVER = 'storage-1'

const MAX_BODY_BYTES = 65 * 1024 * 1024
const CUSTOMERS = `CREATE TABLE IF NOT EXISTS customer (account text PRIMARY KEY, password text NOT NULL)`
/** Where clients may write: nothing else in the store is theirs. */
const FOLDER = /^(blocks|data|snapshots-[\w-]+)$/
const OBJECT = /^([0-9a-f]{64}|\d{8})$/

export async function createStorageTables(sql: Sql): Promise<void> {
  await createRegistryTables(sql)
  await sql.query(CUSTOMERS)
}

interface Connected {
  account: string
  client: string
}

/** Not listening yet. */
export function createStorageService(sql: Sql, store: Store): Server {
  const service = new StorageService(sql, store)
  return createJsonServer(MAX_BODY_BYTES, (...asked) => service.answer(...asked))
}

class StorageService {
  readonly #sql: Sql
  readonly #store: Store
  readonly #registry: KeyRegistry
  readonly #customers: Sessions<string> = new Sessions()
  readonly #clients: Sessions<Connected> = new Sessions()

  constructor(sql: Sql, store: Store) {
    this.#sql = sql
    this.#store = store
    this.#registry = new KeyRegistry(new SqlRegistryStore(sql), { realm: REALM, server: SERVER })
  }

  async answer(route: string, names: string[], body: Uint8Array, request: IncomingMessage): Promise<Answer> {
    try {
      return await this.#answer(route, names, body, request)
    } catch (error) {
      // The codes of the registry are for the client to act upon.
      if (!(error instanceof KeystrataError)) throw error
      throw new Refusal(403, error.message, { code: error.code })
    }
  }

  async #answer(route: string, names: string[], body: Uint8Array, request: IncomingMessage): Promise<Answer> {
    switch (route) {
      case 'POST /logins/0':
        return this.#logIn(readAccount(body))
      case 'POST /enrolments/0':
        this.#customers.of(request)
        await this.#registry.enrol(body)
        return { status: 201, body: {} }
      case 'POST /challenges/0':
        return { status: 201, body: await this.#registry.challenge() }
      case 'POST /connections/0': {
        const { account, client, state } = await this.#registry.connect(body)
        return { status: 201, body: { token: this.#clients.open({ account, client }), state } }
      }
      case 'POST /commits/0': {
        const { account, client } = this.#clients.of(request)
        await this.#registry.commitFirstBackup(account, client)
        return { status: 201, body: {} }
      }
      default:
        this.#clients.of(request)
        return this.#object(route, names, body)
    }
  }

  /** A customer's first login sets his password. */
  async #logIn({ name, password }: Account): Promise<Answer> {
    const { rows } = await this.#sql.query('SELECT password FROM customer WHERE account = $1', [name])
    const [stored] = rows as { password: string }[]
    if (stored === undefined) {
      const hash = await hashPassword(password)
      await this.#sql.query('INSERT INTO customer VALUES ($1, $2) ON CONFLICT DO NOTHING', [name, hash])
    } else if (!(await verifyPassword(stored.password, password))) throw new Refusal(401, 'not the password')
    return { status: 201, body: { token: this.#customers.open(name) } }
  }

  async #object(route: string, [folder = '', file = '']: string[], body: Uint8Array): Promise<Answer> {
    if (!FOLDER.test(folder)) throw new Refusal(404, 'no such folder')
    if (route === 'GET /versions/1') return { status: 200, body: await this.#store.versions(folder) }
    if (!OBJECT.test(file)) throw new Refusal(404, 'no such object')
    const name = `${folder}/${file}`
    if (route === 'PUT /objects/2') return { status: (await this.#store.put(name, body)) ? 201 : 409, body: {} }
    if (route === 'HEAD /objects/2') return { status: (await this.#store.has(name)) ? 200 : 404, body: {} }
    const bytes = route === 'GET /objects/2' ? await this.#store.get(name) : undefined
    if (bytes === undefined) throw new Refusal(404, 'no such object')
    return { status: 200, body: bytes }
  }
}
