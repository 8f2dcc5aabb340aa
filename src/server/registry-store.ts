// Where a storage server keeps what it knows of its clients; the product's own.

/**
 * What a server stores: rows by account, client and version, and challenges. Names are compared byte for byte: a database
 * that takes `Acme` for `acme`, or cuts spaces, would mix up accounts. All that is known of an account is in one row today,
 * for which `client` is the empty text; keep it in the key of the table nevertheless.
 * @example
 * ```ts
 * import type { RegistryStore } from 'keystrata/server'
 *
 * type Query = (sql: string, values: unknown[]) => Promise<{ rowCount: number | null }>
 * const take = 'DELETE FROM challenges WHERE challenge = $1 AND expires > now()'
 * const challengesOf = (query: Query): Pick<RegistryStore, 'takeChallenge'> => ({
 *   takeChallenge: async (challenge) => (await query(take, [challenge])).rowCount === 1,
 * })
 * ```
 */
export interface RegistryStore {
  /** The newest version of a row; undefined if there is none. Versions count from 1. */
  read(account: string, client: string): Promise<{ row: Uint8Array; version: number } | undefined>
  /**
   * Create-only: false if this version, or a higher one, is there. Delete older versions then: an escrow that was cleared is
   * still in them. The newest stays; a unique key alone is not enough, because a late write would find its number free.
   */
  write(account: string, client: string, row: Uint8Array, version: number): Promise<boolean>
  /** Keeps a challenge until it is taken, or too late. */
  addChallenge(challenge: Uint8Array, expires: Date): Promise<void>
  /** Deletes it: true once, and only before it expires, by the store's clock. */
  takeChallenge(challenge: Uint8Array): Promise<boolean>
}
