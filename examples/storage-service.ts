// A storage server for clients with typed keys. It stores what they send and checks their keys on every connection
// (KeyRegistry), but never sees a key. Anyone who has the password of an account may enrol clients in it.
import type { IncomingMessage, Server } from 'node:http'
import { join } from 'node:path'
import { KeystrataError } from 'keystrata'
import { hashPassword, openKeyRegistry, type KeyRegistry, verifyPassword } from 'keystrata/server'
import { sha256 } from './blocks.ts'
import { type Account, type Answer, createJsonServer, readAccount, type ReadBody, Refusal, Sessions } from './http.ts'
import { createRegistryTables, SqlRegistryStore } from './sql-registry-store.ts'
import type { Sql } from './sql-vault-store.ts'
import { FolderStore } from './store.ts'

export const REALM = 'keystrata-demo'
/** The name by which clients know this server. It does not depend on the address. */
export const SERVER = 'storage-1'

/** The most bytes in a message, such as an enrolment, a proof or a login. */
const MAX_MESSAGE_BYTES = 16_384
/** The most bytes in a stored object: more than a block. */
const MAX_OBJECT_BYTES = 65 * 1024 * 1024
const CUSTOMERS = `CREATE TABLE IF NOT EXISTS customer (account text PRIMARY KEY, password text NOT NULL)`
/** The folders that all clients of an account may read and write. */
const SHARED = ['blocks', 'data']
const OBJECT = /^([0-9a-f]{64}|\d{8})$/

/**
 * Returns the folder for the snapshots of one client. It is hashed, because a client's name may hold any characters.
 */
export const snapshotsOf = (client: string): string => `snapshots-${sha256(Buffer.from(client)).slice(0, 16)}`

export async function createStorageTables(sql: Sql): Promise<void> {
  await createRegistryTables(sql)
  await sql.query(CUSTOMERS)
}

interface Connected {
  account: string
  name: string
  /** The hash that identifies the proved private key, 64 hex digits. */
  key: string
}

/** Opens the registry of the clients' keys, for the service and for the provider that runs it. */
export const createRegistry = (sql: Sql, safeguarding: 'off' | 'optional' | 'mandatory'): KeyRegistry =>
  openKeyRegistry(new SqlRegistryStore(sql), { realm: REALM, server: SERVER, safeguarding })

/**
 * Creates the server. The caller must call `listen`.
 * @param root the folder that holds one folder for each account
 */
export function createStorageService(
  sql: Sql,
  root: string,
  safeguarding: 'off' | 'optional' | 'mandatory' = 'off',
): Server {
  const service = new StorageService(sql, root, createRegistry(sql, safeguarding))
  return createJsonServer((...asked) => service.answer(...asked))
}

class StorageService {
  readonly #sql: Sql
  readonly #root: string
  readonly #registry: KeyRegistry
  readonly #customers: Sessions<string> = new Sessions()
  readonly #clients: Sessions<Connected> = new Sessions()

  constructor(sql: Sql, root: string, registry: KeyRegistry) {
    this.#sql = sql
    this.#root = root
    this.#registry = registry
  }

  async answer(route: string, names: string[], read: ReadBody, request: IncomingMessage): Promise<Answer> {
    try {
      return await this.#answer(route, names, read, request)
    } catch (error) {
      // Pass on the error code of the registry, so that the client can act on it.
      if (!(error instanceof KeystrataError)) throw error
      throw new Refusal(error.code === 'conflict' ? 409 : 403, error.message, { code: error.code })
    }
  }

  async #answer(route: string, names: string[], read: ReadBody, request: IncomingMessage): Promise<Answer> {
    switch (route) {
      case 'POST /logins/0':
        return this.#logIn(readAccount(await read(MAX_MESSAGE_BYTES)))
      case 'POST /enrolments/0': {
        const account = this.#customers.of(request)
        await this.#registry.enrol(await read(MAX_MESSAGE_BYTES), { account })
        return { status: 201, body: {} }
      }
      case 'POST /escrows/0': {
        const account = this.#customers.of(request)
        await this.#registry.safeguard(await read(MAX_MESSAGE_BYTES), { account })
        return { status: 201, body: {} }
      }
      case 'POST /challenges/0':
        return { status: 201, body: await this.#registry.challenge() }
      case 'POST /connections/0': {
        const { state, ...connected } = await this.#registry.connect(await read(MAX_MESSAGE_BYTES))
        return { status: 201, body: { token: this.#clients.open(connected), state } }
      }
      case 'POST /commits/0': {
        const { account, name, key } = this.#clients.of(request)
        await this.#registry.commitFirstBackup(account, name, { key })
        return { status: 201, body: {} }
      }
      default:
        return this.#object(route, names, read, this.#clients.of(request))
    }
  }

  /** Logs a customer in. Their first login sets the password. */
  async #logIn({ name, password }: Account): Promise<Answer> {
    const stored = (await this.#passwordOf(name)) ?? (await this.#signUp(name, password))
    if (!(await verifyPassword(stored, password))) throw new Refusal(401, 'wrong password')
    return { status: 201, body: { token: this.#customers.open(name) } }
  }

  async #passwordOf(account: string): Promise<string | undefined> {
    const { rows } = await this.#sql.query('SELECT password FROM customer WHERE account = $1', [account])
    return (rows as { password: string }[])[0]?.password
  }

  /** Stores the password, unless the account already has one. Returns the stored hash of the first login. */
  async #signUp(account: string, password: string): Promise<string | undefined> {
    const hash = await hashPassword(password)
    await this.#sql.query('INSERT INTO customer VALUES ($1, $2) ON CONFLICT DO NOTHING', [account, hash])
    return this.#passwordOf(account)
  }

  /** Reads and writes objects. A client reaches only those of its own account, and only its own snapshots. */
  async #object(
    route: string,
    [folder = '', file = '']: string[],
    read: ReadBody,
    { account, name: client }: Connected,
  ): Promise<Answer> {
    const store = new FolderStore(join(this.#root, sha256(Buffer.from(account)).slice(0, 32)))
    if (!SHARED.includes(folder) && folder !== snapshotsOf(client)) throw new Refusal(404, 'no such folder')
    if (route === 'GET /versions/1') return { status: 200, body: await store.versions(folder) }
    if (!OBJECT.test(file)) throw new Refusal(404, 'no such object')
    const name = `${folder}/${file}`
    if (route === 'PUT /objects/2') {
      return { status: (await store.put(name, await read(MAX_OBJECT_BYTES))) ? 201 : 409, body: {} }
    }
    if (route === 'HEAD /objects/2') return { status: (await store.has(name)) ? 200 : 404, body: {} }
    const bytes = route === 'GET /objects/2' ? await store.get(name) : undefined
    if (bytes === undefined) throw new Refusal(404, 'no such object')
    return { status: 200, body: bytes }
  }
}
