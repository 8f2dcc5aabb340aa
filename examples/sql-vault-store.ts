// A VaultStore like vault-store.ts, in a SQL database. It runs on PostgreSQL and on PGlite, which is PostgreSQL in the
// same process. Each write is one statement, and so one transaction. A unique key makes writing create-only per
// version.
import { type VaultStore } from 'keystrata/vault'
import { mayFollow } from './vault-store.ts'

/** The method that clients of `pg` and PGlite have in common. */
export interface Sql {
  query(statement: string, parameters?: unknown[]): Promise<{ rows: unknown[] }>
}

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS account (
     user_name text, version bigint, verifier text NOT NULL, record bytea NOT NULL, PRIMARY KEY (user_name, version))`,
  `CREATE TABLE IF NOT EXISTS keyring (
     user_name text, vault_id text, version bigint, keyring bytea NOT NULL, PRIMARY KEY (user_name, vault_id, version))`,
]

export async function createTables(sql: Sql): Promise<void> {
  for (const statement of SCHEMA) await sql.query(statement)
}

/** The profile, verifier and keyrings of one user. */
export class SqlVaultStore implements VaultStore {
  readonly #sql: Sql
  readonly #user: string

  constructor(sql: Sql, user: string) {
    this.#sql = sql
    this.#user = user
  }

  async readProfile(): Promise<Uint8Array | undefined> {
    return (await this.#account())?.record
  }

  async verifier(): Promise<string | undefined> {
    return (await this.#account())?.verifier
  }

  writeProfile(record: Uint8Array, version: number): Promise<boolean> {
    return this.#write(record, version)
  }

  /**
   * Stores the verifier and the record together, at sign-up or for a new password. Returns false if the version is
   * taken.
   */
  writeAccount(verifier: string, record: Uint8Array, version: number): Promise<boolean> {
    return this.#write(record, version, verifier)
  }

  async #write(record: Uint8Array, version: number, newVerifier?: string): Promise<boolean> {
    const stored = await this.#account()
    const verifier = newVerifier ?? stored?.verifier
    if (verifier === undefined) throw new Error('no user has signed up here: store a verifier first')
    if (!mayFollow(record, version, stored?.record)) return false
    // If another device stored this version since the read above, the insert does nothing and returns no row.
    return this.#create('INSERT INTO account VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING version', [
      this.#user,
      version,
      verifier,
      record,
    ])
  }

  async readKeyring(vaultId: string): Promise<Uint8Array | undefined> {
    const statement = 'SELECT keyring FROM keyring WHERE user_name = $1 AND vault_id = $2 ORDER BY version DESC LIMIT 1'
    const { rows } = await this.#sql.query(statement, [this.#user, vaultId])
    return (rows as { keyring: Uint8Array }[])[0]?.keyring
  }

  writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean> {
    // A late write must not bring back a dropped keyring.
    return this.#create(
      `INSERT INTO keyring SELECT $1::text, $2::text, $3::bigint, $4::bytea
       WHERE NOT EXISTS (SELECT 1 FROM keyring WHERE user_name = $1 AND vault_id = $2 AND version >= $3::bigint)
       ON CONFLICT DO NOTHING RETURNING version`,
      [this.#user, vaultId, version, keyring],
    )
  }

  async dropKeyrings(vaultId: string, below: number): Promise<void> {
    await this.#sql.query(
      `DELETE FROM keyring WHERE user_name = $1 AND vault_id = $2 AND version < $3::bigint
       AND version < (SELECT max(version) FROM keyring WHERE user_name = $1 AND vault_id = $2)`,
      [this.#user, vaultId, below],
    )
  }

  async #account(): Promise<{ record: Uint8Array; verifier: string } | undefined> {
    const statement = 'SELECT record, verifier FROM account WHERE user_name = $1 ORDER BY version DESC LIMIT 1'
    const { rows } = await this.#sql.query(statement, [this.#user])
    return (rows as { record: Uint8Array; verifier: string }[])[0]
  }

  async #create(statement: string, parameters: unknown[]): Promise<boolean> {
    return (await this.#sql.query(statement, parameters)).rows.length === 1
  }
}
