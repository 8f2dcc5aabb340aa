// keystrata/stores/postgres: a store in three tables of PostgreSQL (SPEC §6.3), version 13 or later. One statement
// writes, and true means that its transaction is committed. This does not protect against anyone who can write to the
// tables, nor against restoring an older backup of the database.
import { allocate, type Bytes, copyOf } from '../core/bytes.ts'
import { optionsFrom } from '../core/options.ts'
import { StoreMistake } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { assertName, assertVersion } from '../state/name.ts'
import type { RegistryStore, StoredObject } from '../state/store.ts'

/** What a store needs of a database: a Pool or a Client of `pg` has it, and PGlite. */
interface Queryable {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>
}

/** How often to run a statement that the server rolled back because of others. */
const TRIES = 12

/** What the server says then: `serialization_failure` and `deadlock_detected`. The statement changed nothing. */
const ROLLED_BACK: ReadonlySet<unknown> = new Set(['40001', '40P01'])

/** How many versions `readVersions` reads at once. */
const PAGE = 16

/** How often `once` deletes expired keys, and how many. It deletes more than it adds. */
const CALLS_PER_CLEANING = 16
const CLEANED = 64

/** PostgreSQL cuts longer names of tables and indexes, and then two tables could be one. */
const MAX_TABLE_LENGTH = 48

/** Returns the names of the tables, quoted. */
function tablesOf(options: { table?: string | undefined } | undefined, what: string) {
  const { table = 'keystrata' } = optionsFrom(options, { table: 'optional' }, what)
  if (typeof table !== 'string' || !/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(table)) {
    throw new TypeError('invalid table name: use a-z, digits and _, for example keystrata or backup.keystrata')
  }
  const parts = table.split('.')
  const longest = Math.max(...parts.map(({ length }) => length))
  if (longest > MAX_TABLE_LENGTH) {
    throw new RangeError(`table must have at most ${MAX_TABLE_LENGTH} characters, not ${longest}`)
  }
  const quoted = (suffix: string) =>
    parts.map((part, i) => `"${part}${i === parts.length - 1 ? suffix : ''}"`).join('.')
  return {
    head: quoted('_head'),
    version: quoted('_version'),
    once: quoted('_once'),
    onceIndex: `"${parts.at(-1) ?? ''}_once_until"`,
  }
}

/**
 * Returns the SQL that creates the tables of {@link postgresStateStore}, for a migration. Running it again changes
 * nothing. PGlite runs several statements only by `exec`. The store itself needs only SELECT, INSERT, UPDATE and DELETE on the tables.
 * @param options `table`: how the names of the tables begin, `keystrata` if omitted. It may name a schema, which must
 *   exist: `backup.keystrata`
 * @throws TypeError if `table` has other characters than `a-z`, digits and `_`
 * @throws RangeError if `table` is longer than 48 characters
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { postgresSchema } from 'keystrata/stores/postgres'
 *
 * console.log(postgresSchema({ table: 'backup' }).match(/"\w+_head"/)?.[0]) // "backup_head"
 * ```
 */
export function postgresSchema(options?: { table?: string | undefined }): string {
  const { head, version, once, onceIndex } = tablesOf(options, 'postgresSchema')
  return `CREATE TABLE IF NOT EXISTS ${head} (
  name text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS ${version} (
  name text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (name, version)
);
CREATE TABLE IF NOT EXISTS ${once} (
  key text COLLATE "C" PRIMARY KEY,
  until timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS ${onceIndex} ON ${once} (until);
`
}

/**
 * Creates a store in a PostgreSQL database. {@link postgresSchema} creates its tables. `write` and `once` return true
 * once their transaction is committed, on any isolation level. They run two short statements.
 * @param db a Pool of `pg`, or PGlite, or a Client of `pg` that runs one thing at a time and nothing else. It must not
 *   be inside a transaction, because a rollback would undo writes that the store has reported as done. PGlite does
 *   not sync its files as a server does, so a power cut may lose what it has written
 * @param options `table`: how the names of the tables begin, `keystrata` if omitted. It may name a schema
 * @returns a store whose methods throw a TypeError if `db` is inside a transaction, if `synchronous_commit` is off, or
 *   if the server runs with `fsync = off`. With these settings, the server acknowledges what it may lose
 * @throws TypeError if `db` has no method `query`, or `table` has other characters than `a-z`, digits and `_`
 * @throws RangeError if `table` is longer than 48 characters
 * @example
 * ```ts
 * import { postgresStateStore } from 'keystrata/stores/postgres'
 * import pg from 'pg'
 *
 * const storeIn = (connectionString: string) => postgresStateStore(new pg.Pool({ connectionString }))
 * ```
 */
export function postgresStateStore(db: Queryable, options?: { table?: string | undefined }): RegistryStore {
  if (typeof (db as Partial<Queryable> | undefined)?.query !== 'function') {
    throw new TypeError('db must be a Pool or a Client of pg, or PGlite: it has no method query')
  }
  return new PostgresStore(db, statementsFor(tablesOf(options, 'postgresStateStore')))
}

// Every column that comes back is text, because products change how their driver reads other types, and `pg` reads bytea
// in the binary format as garbage. Base64 is shorter than the hexadecimal digits in which bytea usually travels.

/** Whether the server keeps what it acknowledges. PGlite has no `fsync` that could be on. */
const IS_DURABLE = `(current_setting('synchronous_commit') <> 'off'
  AND (current_setting('fsync') = 'on' OR version() LIKE '%PGlite%'))`

/** What a statement that writes returns: whether it wrote, its transaction if it has a number, and the settings. */
const resultOf = (written: string): string => `SELECT count(*)::text AS written,
  COALESCE(pg_current_xact_id_if_assigned()::text, '') AS transaction,
  current_setting('synchronous_commit') AS synchronous_commit,
  CASE WHEN ${IS_DURABLE} THEN 'yes' ELSE 'no' END AS durable
FROM ${written}`

/** The statements. The head says which version is the newest, so a dropped number is never free again. */
const statementsFor = ({ head, version, once }: ReturnType<typeof tablesOf>) => ({
  read: `SELECT v.version::text AS version, encode(v.bytes, 'base64') AS bytes
FROM ${head} h JOIN ${version} v ON v.name = h.name AND v.version = h.version
WHERE h.name = $1::text`,

  readVersion: `SELECT encode(bytes, 'base64') AS bytes FROM ${version} WHERE name = $1::text AND version = $2::bigint`,

  readPage: `SELECT version::text AS version, encode(bytes, 'base64') AS bytes
FROM ${version} WHERE name = $1::text AND version >= $2::bigint ORDER BY ${version}.version LIMIT ${PAGE}`,

  writeFirst: `WITH moved AS (
  INSERT INTO ${head} (name, version) SELECT $1::text, $2::bigint WHERE ${IS_DURABLE}
  ON CONFLICT (name) DO NOTHING RETURNING name, version
), written AS (
  INSERT INTO ${version} (name, version, bytes)
  SELECT name, version, $3::bytea FROM moved RETURNING name
) ${resultOf('written')}`,

  writeNext: `WITH moved AS (
  UPDATE ${head} SET version = $2::bigint
  WHERE name = $1::text AND version = $2::bigint - 1 AND ${IS_DURABLE} RETURNING name, version
), written AS (
  INSERT INTO ${version} (name, version, bytes)
  SELECT name, version, $3::bytea FROM moved RETURNING name
) ${resultOf('written')}`,

  drop: `WITH dropped AS (
  DELETE FROM ${version} v USING ${head} h
  WHERE v.name = $1::text AND h.name = $1::text AND v.version < LEAST($2::bigint, h.version)
    AND ${IS_DURABLE} RETURNING v.name
) ${resultOf('dropped')}`,

  once: `WITH taken AS (
  INSERT INTO ${once} AS o (key, until) SELECT $1::text, to_timestamp($2::text::double precision) WHERE ${IS_DURABLE}
  ON CONFLICT (key) DO UPDATE SET until = EXCLUDED.until WHERE o.until <= now() RETURNING o.key
) ${resultOf('taken')}`,

  // A key that was taken again meanwhile is locked, or its date is read again.
  clean: `DELETE FROM ${once} WHERE until <= now() AND key IN (
  SELECT key FROM ${once} WHERE until <= now() ORDER BY until LIMIT ${CLEANED} FOR UPDATE SKIP LOCKED)`,
})

/** Asked after each write. A transaction that is committed cannot be rolled back by anybody. */
const STATUS = 'SELECT pg_xact_status($1::text::xid8) AS status'

class PostgresStore implements RegistryStore {
  readonly #db: Queryable
  readonly #statements: ReturnType<typeof statementsFor>
  #callsOfOnce = 0

  constructor(db: Queryable, statements: ReturnType<typeof statementsFor>) {
    this.#db = db
    this.#statements = statements
  }

  async read(name: string): Promise<StoredObject | undefined> {
    assertName(name)
    const [row] = await this.#query(this.#statements.read, [name])
    return row && objectIn(row)
  }

  async readVersion(name: string, version: number): Promise<Uint8Array | undefined> {
    assertName(name)
    if (!Number.isSafeInteger(version) || version < 1) return undefined
    const [row] = await this.#query(this.#statements.readVersion, [name, String(version)])
    return row && bytesIn(row)
  }

  async *readVersions(name: string, from: number): AsyncGenerator<StoredObject> {
    assertName(name)
    for (let next = Math.max(from, 1); ;) {
      const rows = await this.#query(this.#statements.readPage, [name, String(next)])
      for (const row of rows) {
        const object = objectIn(row)
        yield object
        next = object.version + 1
      }
      if (rows.length < PAGE) return
    }
  }

  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    assertName(name)
    assertVersion(version)
    const statement = version === 1 ? this.#statements.writeFirst : this.#statements.writeNext
    return this.#change(statement, [name, String(version), copyOf(bytes)])
  }

  async drop(name: string, below: number): Promise<void> {
    assertName(name)
    const first = Math.min(Math.ceil(below), Number.MAX_SAFE_INTEGER)
    if (first > 1) await this.#change(this.#statements.drop, [name, String(first)])
  }

  async once(key: string, until: Date): Promise<boolean> {
    const seconds = until.getTime() / 1000
    if (Number.isNaN(seconds)) throw new RangeError('until must be a valid date')
    const isFirst = await this.#change(this.#statements.once, [key, String(seconds)])
    if (this.#callsOfOnce++ % CALLS_PER_CLEANING === 0) await this.#query(this.#statements.clean, [])
    return isFirst
  }

  /**
   * Runs a statement that writes, and returns whether it wrote.
   * @throws StoreMistake if the server may lose it, or somebody may still roll it back
   */
  async #change(statement: string, values: unknown[]): Promise<boolean> {
    const [row = {}] = await this.#query(statement, values)
    if (textIn(row, 'durable') === 'no') {
      const isOff = textIn(row, 'synchronous_commit') === 'off'
      const setting = isOff ? 'synchronous_commit' : 'fsync'
      throw new StoreMistake(
        `${setting} is off, so the server acknowledges writes that a crash loses: set it to on${isOff ? ' for the connections of this store' : ''}`,
      )
    }
    const hasWritten = textIn(row, 'written') !== '0'
    const transaction = textIn(row, 'transaction')
    // Also before false: the caller then reads, and would see what its own transaction has not committed.
    if (hasWritten || transaction !== '') await this.#assertCommitted(transaction)
    return hasWritten
  }

  /** The connection may be inside a transaction of the caller, or a pool may have been given one that is. */
  async #assertCommitted(transaction: string): Promise<void> {
    const [row = {}] = await this.#query(STATUS, [transaction])
    const status = textIn(row, 'status')
    if (status === 'in progress') {
      throw new StoreMistake(
        'this database client is inside a transaction, and anyone who rolls it back would take back what the store has acknowledged: pass a pool, or a client of its own',
      )
    }
    if (status !== 'committed') throw new Error(`the transaction of this write is ${status}`)
  }

  /** Runs a statement, again if the server rolled it back because of others. */
  async #query(text: string, values: unknown[]): Promise<readonly object[]> {
    const started = Date.now()
    for (let tries = 1; ; tries++) {
      try {
        return rowsIn(await this.#db.query(text, values))
      } catch (error) {
        const { code } = (error ?? {}) as { code?: unknown }
        if (tries === TRIES || !ROLLED_BACK.has(code)) throw error
      }
      await pauseBeforeRetry(tries, (Date.now() - started) / tries)
    }
  }
}

const objectIn = (row: object): StoredObject => ({ version: versionIn(row), bytes: bytesIn(row) })

function versionIn(row: object): number {
  const text = textIn(row, 'version')
  const version = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(version))
    throw notAText('version', 'another number than was written')
  return version
}

function bytesIn(row: object): Bytes {
  const text = textIn(row, 'bytes')
  // PostgreSQL wraps lines. atob skips that.
  const binary = binaryIn(text)
  const bytes = allocate(binary.length)
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index)
  return bytes
}

/** @throws StoreMistake if a client returned something else than rows */
function rowsIn(answer: unknown): object[] {
  const { rows } = Object(answer) as { rows?: unknown }
  const isRow = (row: unknown) => typeof row === 'object' && row !== null
  if (Array.isArray(rows) && rows.every(isRow)) return rows
  throw new StoreMistake('the database client returned something else than { rows }, an array of objects')
}

function binaryIn(base64: string): string {
  try {
    return atob(base64)
  } catch {
    throw notAText('bytes', 'something else than base64')
  }
}

/** @throws StoreMistake if a column is not a text. A driver that a product has changed a lot may return anything */
function textIn(row: object, column: string): string {
  const value: unknown = (row as Readonly<Record<string, unknown>>)[column]
  if (typeof value === 'string') return value
  throw notAText(column, value === null ? 'null' : `a ${typeof value}`)
}

const notAText = (column: string, found: string): StoreMistake =>
  new StoreMistake(`the database client returned ${found} for the column ${column}, which is a text`)
