// The users of a service and their sessions, in two tables of PostgreSQL that all processes of the service share.
import { randomBytes } from 'node:crypto'
import { Refusal, tokenHash, tokenOf } from './http.ts'

/** What the service needs of a database: a Pool of `pg` has it, and PGlite. */
export interface Database {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>
}

export const USER_TABLES = `
CREATE TABLE IF NOT EXISTS app_user (id text PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS app_session (
  token text PRIMARY KEY, who text NOT NULL, password text NOT NULL, expires timestamptz NOT NULL);
CREATE INDEX IF NOT EXISTS app_session_expires ON app_session (expires);`

export interface User {
  /** 32 random hex digits. Names that people chose never appear in the names of objects. */
  id: string
  name: string
}

export class Users {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async list(): Promise<User[]> {
    return (await this.#db.query('SELECT id, name FROM app_user ORDER BY name', [])).rows as User[]
  }

  async idOf(name: string): Promise<string | undefined> {
    const { rows } = await this.#db.query('SELECT id FROM app_user WHERE name = $1', [name])
    return (rows as User[])[0]?.id
  }

  /** Returns the id of this name, and creates one if needed. Concurrent calls return the same id. */
  async addOrFind(name: string): Promise<string> {
    const id = randomBytes(16).toString('hex')
    await this.#db.query('INSERT INTO app_user (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING', [id, name])
    return (await this.idOf(name))!
  }
}

export interface Session {
  /** The id of a user, or `admin`. */
  who: string
  /** Which password this session was opened with. The session ends when another one is in force. */
  password: string
}

export class DatabaseSessions {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** Opens a session for an hour. Returns its token; the database gets only the hash of it. */
  async open({ who, password }: Session): Promise<string> {
    const token = randomBytes(32).toString('base64url')
    await this.#db.query('DELETE FROM app_session WHERE expires < now()', [])
    await this.#db.query("INSERT INTO app_session VALUES ($1, $2, $3, now() + interval '1 hour')", [
      ...[tokenHash(token), who, password],
    ])
    return token
  }

  /** Returns the session of a request. The caller compares its password with the one that is in force. */
  async of(request: Request): Promise<Session> {
    const { rows } = await this.#db.query(
      'SELECT who, password FROM app_session WHERE token = $1 AND expires > now()',
      [tokenHash(tokenOf(request))],
    )
    const [session] = rows as Session[]
    if (session === undefined) throw new Refusal(401, 'log in first')
    return session
  }
}
