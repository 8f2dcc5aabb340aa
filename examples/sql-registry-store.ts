// The RegistryStore of a storage server, in a SQL database: what the server knows of its clients' keys. It runs on
// PostgreSQL and on PGlite, which is PostgreSQL in the same process. Each operation that must be atomic is one
// statement, and so one transaction. A unique key makes writing create-only.
import type { RegistryStore } from 'keystrata/server'
import type { Sql } from './sql-vault-store.ts'

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS registry (
     account bytea, client bytea, version bigint, row bytea NOT NULL, PRIMARY KEY (account, client, version))`,
  `CREATE TABLE IF NOT EXISTS challenge (challenge bytea PRIMARY KEY, expires timestamptz NOT NULL)`,
]

export async function createRegistryTables(sql: Sql): Promise<void> {
  for (const statement of SCHEMA) await sql.query(statement)
}

/** Names are stored as bytes, because a database compares texts by its own rules. */
const utf8 = (text: string): Uint8Array => Buffer.from(text)

export class SqlRegistryStore implements RegistryStore {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async read(account: string, client: string): Promise<{ row: Uint8Array; version: number } | undefined> {
    const { rows } = await this.#sql.query(
      'SELECT row, version FROM registry WHERE account = $1 AND client = $2 ORDER BY version DESC LIMIT 1',
      [utf8(account), utf8(client)],
    )
    const [newest] = rows as { row: Uint8Array; version: number | string }[]
    // Some drivers return a bigint as text.
    return newest && { row: newest.row, version: Number(newest.version) }
  }

  async write(account: string, client: string, row: Uint8Array, version: number): Promise<boolean> {
    const names = [utf8(account), utf8(client), version]
    // A late write must not reuse the number of a deleted version.
    const { rows } = await this.#sql.query(
      `INSERT INTO registry SELECT $1::bytea, $2::bytea, $3::bigint, $4::bytea
       WHERE NOT EXISTS (SELECT 1 FROM registry WHERE account = $1 AND client = $2 AND version >= $3::bigint)
       ON CONFLICT DO NOTHING RETURNING version`,
      [...names, row],
    )
    if (rows.length === 0) return false
    await this.#sql.query('DELETE FROM registry WHERE account = $1 AND client = $2 AND version < $3::bigint', names)
    return true
  }

  async addChallenge(challenge: Uint8Array, expires: Date): Promise<void> {
    // Also deletes expired challenges that nobody answered.
    await this.#sql.query('DELETE FROM challenge WHERE expires < $1', [new Date()])
    await this.#sql.query('INSERT INTO challenge VALUES ($1, $2)', [challenge, expires])
  }

  async takeChallenge(challenge: Uint8Array): Promise<boolean> {
    const { rows } = await this.#sql.query('DELETE FROM challenge WHERE challenge = $1 RETURNING expires', [challenge])
    const [taken] = rows as { expires: Date }[]
    return taken !== undefined && new Date(taken.expires).getTime() > Date.now()
  }
}
