// A service with users. It stores their profiles and what belongs to them, checks their passwords, and lets an admin
// reset one, but never sees a password or a key. It may run as several processes over one PostgreSQL. Run:
// `DATABASE_URL=postgres://… ADMIN_PASSWORD=… PORT=8080 npm run user-service`. Put a proxy with TLS in front of it.
import type { Server } from 'node:http'
import { type Bytes, KeystrataError } from 'keystrata'
import { guardProfiles, hashPassword, saveCredential, verifyCredential, verifyPassword } from 'keystrata/server'
import { prefixed, type StateStore } from 'keystrata/stores'
import { serveStateStore } from 'keystrata/stores/http'
import { postgresSchema, postgresStateStore } from 'keystrata/stores/postgres'
import { loadRecord, parseProfile } from 'keystrata/vault'
import { sha256 } from './backup-store.ts'
import { addressOf, createWebServer, readBody, Refusal } from './http.ts'
import { type Rate, RateLimit } from './rate-limit.ts'
import { type Database, DatabaseSessions, USER_TABLES, Users } from './user-sessions.ts'

/** The SQL that creates all tables. Several processes may run it at the same time: the lock makes them wait. */
export const userServiceSchema = (): string =>
  `SELECT pg_advisory_xact_lock(20261130); ${postgresSchema()} ${USER_TABLES}`

/** The most bytes in a request: a record has up to 1 MiB, and base64 makes it longer. */
const MAX_REQUEST_BYTES = 1_500_000

/** An id that no user has. */
const NOBODY = '0'.repeat(32)

interface Limits {
  /** Everything that costs a password hash, for each address. */
  address: Rate
  /** The same for each user. An attacker with many addresses may use it up, but cannot end sessions that are open. */
  user: Rate
  /** What a user's sessions may write: a thief with a stolen credential can add records to logs. */
  writes: Rate
}

const LIMITS: Limits = {
  address: { burst: 30, perMinute: 10 },
  user: { burst: 10, perMinute: 5 },
  writes: { burst: 1000, perMinute: 600 },
}

export interface UserServiceOptions {
  /** The hash of the admin's password for this service, from `hashPassword`. The admin's keyset never gets here. */
  adminHash: string
  limits?: Limits
  /** The cost of the users' password hashes, the same for all of them. */
  cost?: number
  /** Where the users' objects are; by default in the database. */
  state?: StateStore
}

/** Creates the server. The caller must call `listen`. */
export function createUserService(db: Database, options: UserServiceOptions): Server {
  const service = new UserService(db, options)
  return createWebServer((...asked) => service.answer(...asked))
}

class UserService {
  readonly #state: StateStore
  readonly #users: Users
  readonly #sessions: DatabaseSessions
  readonly #adminHash: string
  readonly #hashing: { cost: number }
  readonly #byAddress: RateLimit
  readonly #byUser: RateLimit
  readonly #writes: RateLimit

  constructor(db: Database, { adminHash, limits = LIMITS, cost = 12, state }: UserServiceOptions) {
    this.#state = state ?? postgresStateStore(db)
    this.#users = new Users(db)
    this.#sessions = new DatabaseSessions(db)
    this.#adminHash = adminHash
    this.#hashing = { cost }
    this.#byAddress = new RateLimit(limits.address)
    this.#byUser = new RateLimit(limits.user)
    this.#writes = new RateLimit(limits.writes)
  }

  async answer(request: Request, route: string, [id = '']: string[]): Promise<Response> {
    // The names of objects may be secrets, and never get into a log. So this service logs errors, but no URLs.
    if (/^\w+ \/state\//.test(route)) return this.#stored(request)
    switch (route) {
      case 'POST /users/0':
        this.#byAddress.take(addressOf(request))
        return this.#signUp(await readLogin(request))
      case 'POST /sessions/0':
        this.#byAddress.take(addressOf(request))
        return this.#logIn(await readLogin(request))
      case 'PUT /password/0': {
        const { who, store } = await this.#userOf(request)
        this.#byUser.take(who)
        return this.#setPassword(store, await readLogin(request))
      }
      case 'POST /admin-sessions/0':
        this.#byAddress.take(addressOf(request))
        return this.#logInAdmin(await readLogin(request))
      case 'GET /users/0':
        await this.#assertAdmin(request)
        return Response.json(await this.#users.list())
      case 'GET /records/1':
        await this.#assertAdmin(request)
        return new Response(await this.#recordOf(id))
      case 'PUT /passwords/1':
        await this.#assertAdmin(request)
        await this.#recordOf(id)
        return this.#setPassword(this.#storeOf(id), await readLogin(request))
      default:
        throw new Refusal(404, 'no such resource')
    }
  }

  /** What a user's devices read and write: their profile, keyrings and logs. The guard checks each write. */
  async #stored(request: Request): Promise<Response> {
    const { who, store } = await this.#userOf(request)
    if (request.method !== 'GET') this.#writes.take(who)
    return serveStateStore(guardProfiles(store), request, { onError: console.error })
  }

  /**
   * Adds a user. Anyone may sign up here, and learns so which names are taken: a product first sends a mail. If the
   * answer gets lost, the client logs in to see whether the user is there.
   */
  async #signUp({ name, credential, record }: LoginRequest): Promise<Response> {
    // `login.user` is such a name. It never changes, because the user's keys depend on it.
    if (!/^[a-z\d._+@-]{1,64}$/.test(name))
      throw new Refusal(400, 'a name has 1 to 64 of the characters a-z 0-9 . _ + @ -')
    parseProfile(record)
    const store = this.#storeOf(await this.#users.addOrFind(name))
    const taken = new Refusal(409, 'that name is already taken: choose another one')
    if ((await store.read('profile')) !== undefined) throw taken
    // Of two that sign up at the same time, one is first to write the profile. The other one's verifier is never used.
    const isFirst = await saveCredential(store, record, credential, this.#hashing).then(
      () => guardProfiles(store).write('profile', 1, record),
      async (error: unknown) => {
        if ((await store.read('profile')) === undefined) return tooBusy(error)
        return false
      },
    )
    if (!isFirst) throw taken
    return new Response(null, { status: 201 })
  }

  /** Logs a user in. A wrong password and an unknown name get the same answer after the same time. */
  async #logIn({ name, credential }: LoginRequest): Promise<Response> {
    this.#byUser.take(sha256(name))
    const who = (await this.#users.idOf(name)) ?? NOBODY
    const store = this.#storeOf(who)
    for (;;) {
      const before = await versionIn(store)
      const isRight = await verifyCredential(store, credential, this.#hashing).catch(tooBusy)
      if (!isRight) throw new Refusal(401, 'wrong name or password')
      // Not before the check: for a name that exists, reading the profile takes longer.
      const password = await passwordIn(store)
      // If the profile changed meanwhile, the credential may be that of the previous password: check it again.
      if ((await versionIn(store)) === before)
        return Response.json({ token: await this.#sessions.open({ who, password }) }, { status: 201 })
    }
  }

  /**
   * Takes a new password from a user, or from the admin: first the credential, then the record. The old password stays
   * valid until the record is stored. If the answer gets lost, the client logs in to see which password is valid.
   */
  async #setPassword(store: StateStore, { credential, record }: LoginRequest): Promise<Response> {
    parseProfile(record)
    await saveCredential(store, record, credential, this.#hashing).catch(tooBusy)
    const version = ((await store.read('profile'))?.version ?? 0) + 1
    const isWritten = await guardProfiles(store).write('profile', version, record)
    if (!isWritten) throw new KeystrataError('conflict', 'another device has changed the profile: read it again')
    return new Response(null, { status: 204 })
  }

  async #logInAdmin({ credential }: LoginRequest): Promise<Response> {
    this.#byUser.take('admin')
    const isRight = await verifyPassword(this.#adminHash, credential).catch(tooBusy)
    if (!isRight) throw new Refusal(401, 'wrong password')
    const password = sha256(this.#adminHash)
    return Response.json({ token: await this.#sessions.open({ who: 'admin', password }) }, { status: 201 })
  }

  async #assertAdmin(request: Request): Promise<void> {
    const { who, password } = await this.#sessions.of(request)
    if (who !== 'admin') throw new Refusal(403, 'only the admin may do this')
    if (password !== sha256(this.#adminHash)) throw new Refusal(401, 'log in first')
  }

  /** Returns the user of a session, if their password is still the one that the session was opened with. */
  async #userOf(request: Request): Promise<{ who: string; store: StateStore }> {
    const { who, password } = await this.#sessions.of(request)
    const store = this.#storeOf(who)
    if (who === 'admin') throw new Refusal(403, 'only users may do this')
    if (password !== (await passwordIn(store))) throw new Refusal(401, 'log in first')
    return { who, store }
  }

  async #recordOf(id: string): Promise<Bytes> {
    const isId = /^[\da-f]{32}$/.test(id)
    const record = isId ? await loadRecord(this.#storeOf(id)) : undefined
    if (record === undefined) throw new Refusal(404, 'no such user')
    return record
  }

  #storeOf(id: string): StateStore {
    return prefixed(this.#state, `user/${id}/`)
  }
}

/**
 * Tells which password a stored profile is under. A session is bound to it. So sessions end with their password, whoever changed
 * it, at whichever process, and even if that process died at once.
 */
async function passwordIn(store: StateStore): Promise<string> {
  const record = await loadRecord(store)
  return record === undefined ? '' : parseProfile(record).passwordId
}

const versionIn = async (store: StateStore): Promise<number> => (await store.read('profile'))?.version ?? 0

/** Too many hashes at once are the client's to wait for. */
function tooBusy(error: unknown): never {
  const isBusy = error instanceof KeystrataError && error.code === 'limit-exceeded'
  throw isBusy ? new Refusal(429, 'too many log-ins at once: wait a minute and try again') : error
}

interface LoginRequest {
  name: string
  credential: string
  record: Uint8Array
}

/** Reads a request that has some of a name, a credential, and a record in base64. */
async function readLogin(request: Request): Promise<LoginRequest> {
  const body = await readBody(request, MAX_REQUEST_BYTES)
  try {
    const {
      name = '',
      credential = '',
      record = '',
    } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>
    if (typeof name === 'string' && typeof credential === 'string' && typeof record === 'string')
      return { name, credential, record: Buffer.from(record, 'base64') }
  } catch {
    // Invalid JSON gets the same answer.
  }
  throw new Refusal(400, 'the request must be JSON with a name, a credential or a record')
}

/** Returns the hash of the admin's password. The process that starts first sets it. */
async function adminHashIn(state: StateStore, password: string): Promise<string> {
  if ((await state.read('admin')) === undefined) {
    await state.write('admin', 1, Buffer.from(await hashPassword(password)))
  }
  return Buffer.from((await state.read('admin'))!.bytes).toString()
}

if (process.argv[1] === import.meta.filename) {
  const { default: pg } = await import('pg')
  const { DATABASE_URL, ADMIN_PASSWORD, PORT = '8080' } = process.env
  if (DATABASE_URL === undefined || ADMIN_PASSWORD === undefined)
    throw new Error('DATABASE_URL or ADMIN_PASSWORD is not set: see the first lines of this file')
  const pool = new pg.Pool({ connectionString: DATABASE_URL })
  // A connection that is cut while it is idle is replaced by the next query.
  pool.on('error', console.error)
  await pool.query(userServiceSchema())
  const adminHash = await adminHashIn(postgresStateStore(pool), ADMIN_PASSWORD)
  createUserService(pool, { adminHash }).listen(Number(PORT), '127.0.0.1', () => {
    console.log(`the service is at http://127.0.0.1:${PORT}`)
  })
}
