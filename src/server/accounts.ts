// The rows of accounts in the registry's store (SPEC §17.2): reading one, and changing it by compare-and-set.
import { type Bytes, concat, domain, equalBytes, lengthPrefixed, toHex, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { sha256 } from '../primitives/hash.ts'
import { type CheckedStore, StoreMistake } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { dropSettled, READS, withNote, writeShared } from '../state/settle.ts'
import { nextVersion } from '../state/version.ts'
import { accountRow, type AccountRow, fromOwnRow } from './account-row.ts'

/** How often to try a change, when other writers were quicker. */
const TRIES = 16

interface StoredRow {
  readonly row: AccountRow
  readonly bytes: Uint8Array
  readonly version: number
}

/** The rows of the accounts of one realm. */
export class Accounts {
  readonly #store: CheckedStore
  readonly #realm: string

  constructor(store: CheckedStore, realm: string) {
    this.#store = store
    this.#realm = realm
  }

  /**
   * Reads the row of an account. It may be late: an earlier version, or undefined although there is one.
   * @throws Error (not a KeystrataError) if the row is damaged
   */
  async read(account: string): Promise<AccountRow | undefined> {
    return (await this.#read(this.#nameOf(account)))?.row
  }

  /**
   * Changes the row of an account. It is written even if the change makes no difference: only a write that the store
   * answers with true proves that what was read was the newest version. Then the older versions are dropped.
   * @param change is called again if another writer was quicker. It returns undefined to write nothing
   * @param mustDrop whether older versions must be gone, because they contain what the caller wants to be rid of
   * @returns whether anything changed
   * @throws KeystrataError `conflict` if other writers were quicker on every try
   * @throws Error (not a KeystrataError) if the row is damaged; the store's own errors
   */
  async change(
    account: string,
    change: (row: AccountRow | undefined) => AccountRow | undefined | Promise<AccountRow | undefined>,
    mustDrop = false,
  ): Promise<boolean> {
    const name = this.#nameOf(account)
    let mayBeDone = false
    let absences = 0
    for (let tries = 1; ; tries++) {
      const started = Date.now()
      const read = await this.#read(name)
      const next = await change(read?.row)
      if (next === undefined) {
        // The read may have been late.
        if (++absences === READS) return mayBeDone
      } else {
        const version = nextVersion(read?.version ?? 0)
        const bytes = encode(accountRow, next)
        const isChange = read === undefined || !equalBytes(bytes, read.bytes)
        const outcome = await writeShared(this.#store, name, version, bytes)
        if (outcome === 'written') {
          await this.#dropOld(name, version, mustDrop || losesEscrow(read?.row, next))
          return isChange || mayBeDone
        }
        // The row has no mark of who wrote it. So what looks like this write may be an older one of another server.
        if (outcome !== 'taken' && isChange) mayBeDone = true
      }
      if (tries === TRIES) throw tooManyTries(mayBeDone)
      await pauseBeforeRetry(tries, Date.now() - started)
    }
  }

  /**
   * Drops the versions below `newest`. The change is stored already, so a store that cannot drop now is an error only
   * if somebody relies on it. The next change drops again.
   */
  async #dropOld(name: string, newest: number, mustDrop: boolean): Promise<void> {
    try {
      await dropSettled(this.#store, name, async () => newest)
    } catch (error) {
      if (mustDrop) {
        throw withNote(
          error,
          ' (the change is stored, but older versions of the row were not dropped, and an escrow may be in them: try again)',
        )
      }
      if (error instanceof StoreMistake) throw error
    }
  }

  async #read(name: string): Promise<StoredRow | undefined> {
    const stored = await this.#store.read(name)
    if (stored === undefined) return undefined
    const { bytes, version } = stored
    return { row: fromOwnRow(() => decode(accountRow, bytes, 'row of an account')), bytes, version }
  }

  #nameOf(account: string): string {
    return `account/${toHex(rowHash(this.#realm, account))}`
  }
}

const rowHash = (realm: string, account: string): Bytes =>
  sha256(concat(domain('account-row'), lengthPrefixed(utf8(realm)), lengthPrefixed(utf8(account))))

/** Returns whether the earlier row has an escrow that the later one does not have any more. */
function losesEscrow(before: AccountRow | undefined, after: AccountRow): boolean {
  const kept = new Set(after.clients.map(({ escrow }) => escrow))
  return (before?.clients ?? []).some(({ escrow }) => escrow !== undefined && !kept.has(escrow))
}

function tooManyTries(mayBeDone: boolean): KeystrataError {
  const message = mayBeDone
    ? 'the store does not say whether it has this change: try again'
    : 'other writers changed this account first on every try: try again later'
  return new KeystrataError('conflict', message, { object: 'account', tries: TRIES })
}
