// The row that a server keeps for one account, and the rules for its clients and their keys (SPEC §17.2).
import { type Codec, list, name, optional, sized, struct, time, uint16, uint8, within } from '../core/codec.ts'
import { accountKeyInEscrow, type Deposit } from '../client/escrow.ts'
import { KEY_TYPES, keyHash, type KeyHash, platform, PLATFORMS } from '../client/layout.ts'
import { type Claim, sameKey } from '../client/proof.ts'
import { CLOCK_TOLERANCE_MS } from './challenge.ts'
import { equalBytes, toHex, utf8 } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'

export const ClientState = { provisional: 0, locked: 1 } as const

/** What a server stores about one client. */
export interface KnownClient {
  readonly client: Uint8Array
  /** A {@link ClientState}. */
  readonly state: number
  readonly platform: number
  readonly privateKey: KeyHash
  /** Its keys, sealed under an activation code that the server does not have. */
  readonly escrow?: Uint8Array | undefined
  /** When its latest escrow was created. Stays after the escrow was cleared, so that an older one cannot replace it. */
  readonly issuedAt: number
}

/** A server's row for one account. Everything is in one row, so that every change is atomic. */
export interface AccountRow {
  readonly version: number
  readonly accountKey?: KeyHash | undefined
  /** In the order in which they were enrolled. */
  readonly clients: readonly KnownClient[]
}

export const MAX_CLIENTS = 4096

export const accountRow: Codec<AccountRow> = struct({
  version: within(uint8, 1, 1),
  accountKey: optional(keyHash),
  clients: list(
    struct({
      client: name,
      state: within(uint8, 0, 1),
      platform,
      privateKey: keyHash,
      escrow: optional(sized(uint16)),
      issuedAt: time,
    }),
  ),
})

const ROW_VERSION = 1

export const EMPTY_ROW: AccountRow = { version: ROW_VERSION, clients: [] }

/**
 * Turns a failure to read a row into a plain Error, because damage in the server's own database is not a client's
 * error.
 */
export function fromOwnRow<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error('the row of an account in the registry is damaged: restore it from a backup of the database', {
      cause: error,
    })
  }
}

/**
 * Finds a client in the row of its account.
 * @throws KeystrataError `key-not-found` if the client is not enrolled
 */
export function knownIn(row: AccountRow | undefined, client: string): { row: AccountRow; known: KnownClient } {
  const known = row && find(row, client)
  if (row === undefined || known === undefined) {
    throw new KeystrataError('key-not-found', 'this client is not enrolled: enrol it first', {
      object: 'client',
      client,
    })
  }
  return { row, known }
}

function find({ clients }: AccountRow, client: string): KnownClient | undefined {
  const name = utf8(client)
  return clients.find((each) => equalBytes(each.client, name))
}

/** Returns the row with this client added at the end, or replaced in its place. */
export function withClient(row: AccountRow, next: KnownClient): AccountRow {
  const isThere = row.clients.some(({ client }) => equalBytes(client, next.client))
  if (!isThere) return { ...row, clients: [...row.clients, next] }
  return { ...row, clients: row.clients.map((each) => (equalBytes(each.client, next.client) ? next : each)) }
}

/** Returns the row without a client. The account key stays. */
export function withoutClient(row: AccountRow, client: string): AccountRow {
  const name = utf8(client)
  return { ...row, clients: row.clients.filter((each) => !equalBytes(each.client, name)) }
}

/** Returns the row with the escrow of a client cleared. Its date stays, so that no older escrow can replace it. */
export function withoutEscrow(row: AccountRow, client: string): AccountRow {
  const known = find(row, client)
  return known === undefined ? row : withClient(row, { ...known, escrow: undefined })
}

/**
 * Returns the row without its account key.
 * @throws KeystrataError `policy` if it has one, and a locked client
 */
export function withoutAccountKey(row: AccountRow): AccountRow {
  if (row.accountKey === undefined) return row
  const locked = row.clients.filter(({ state }) => state === ClientState.locked).length
  if (locked === 0) return { ...row, accountKey: undefined }
  throw new KeystrataError(
    'policy',
    'this account has clients with backups, which use its account key: remove these clients first',
    { rule: 'account-key-in-use', locked },
  )
}

/**
 * Returns the row of an account after a client enrols, for the first time or again.
 * @throws KeystrataError `account-key-required` for a second client without an account key, for a phone, or if the
 *   account has an account key and the claim has none
 * @throws KeystrataError `policy` if the account has a phone and its account key is not AES-128
 * @throws KeystrataError `key-changed` for another account key, or another private key of a locked client
 * @throws KeystrataError `limit-exceeded` beyond 4,096 clients
 */
export function enrolled(stored: AccountRow, claim: Claim): AccountRow {
  const known = find(stored, claim.client)
  const { platform, privateKey } = claim
  const state = known?.state ?? ClientState.provisional
  // Drop the escrow of replaced keys: nothing was backed up under them.
  const escrow = known !== undefined && sameKey(known.privateKey, privateKey) ? known.escrow : undefined
  const issuedAt = known?.issuedAt ?? 0
  const { clients } = withClient(stored, { client: utf8(claim.client), state, platform, privateKey, escrow, issuedAt })
  const accountKey = stored.accountKey ?? claim.accountKey
  assertPhonesCan(clients, claim.accountKey)
  if (stored.accountKey !== undefined) assertAccountKey(stored.accountKey, claim.accountKey)
  if (accountKey === undefined) assertAlone(clients)
  if (known?.state === ClientState.locked && !sameKey(known.privateKey, privateKey)) throw keyChanged('private')
  if (clients.length > MAX_CLIENTS) {
    throw new KeystrataError('limit-exceeded', 'too many clients: an account has at most 4,096', {
      clients: clients.length,
    })
  }
  return { version: ROW_VERSION, accountKey, clients }
}

/**
 * Checks the account key of an account that has phones.
 * @throws KeystrataError `account-key-required` if the claim has no account key
 * @throws KeystrataError `policy` if it is not AES-128
 */
function assertPhonesCan(clients: readonly KnownClient[], accountKey: KeyHash | undefined): void {
  if (!clients.some(({ platform }) => platform === PLATFORMS.ios || platform === PLATFORMS.android)) return
  if (accountKey === undefined) {
    throw new KeystrataError(
      'account-key-required',
      'an account with a phone needs an account key: set one of type AES-128',
    )
  }
  if (accountKey.type === KEY_TYPES['AES-128'].number) return
  throw new KeystrataError('policy', 'an account with a phone needs an account key of type AES-128', {
    rule: 'phone-account-key',
  })
}

/**
 * Checks that an account without an account key has no more than one client.
 * @throws KeystrataError `account-key-required`
 */
function assertAlone(clients: readonly KnownClient[]): void {
  if (clients.length <= 1) return
  throw new KeystrataError(
    'account-key-required',
    'an account with several clients needs an account key: set one on every client',
  )
}

/**
 * Checks that an account has an account key, if it needs one. It may lack one after its account key was cleared.
 * @throws KeystrataError `account-key-required`
 */
export function assertComplete({ accountKey, clients }: AccountRow): void {
  if (accountKey !== undefined) return
  assertPhonesCan(clients, undefined)
  assertAlone(clients)
}

/**
 * Checks a claimed account key against the stored one.
 * @throws KeystrataError `account-key-required` if only the stored one exists
 * @throws KeystrataError `key-not-found` if only the claimed one exists
 * @throws KeystrataError `key-changed` if they differ
 */
function assertAccountKey(stored: KeyHash | undefined, claimed: KeyHash | undefined): void {
  if (stored === undefined) {
    if (claimed === undefined) return
    throw new KeystrataError('key-not-found', 'this account key is not enrolled: enrol the client again', {
      object: 'account key',
      key: toHex(claimed.hash),
    })
  }
  if (claimed === undefined)
    throw new KeystrataError('account-key-required', 'this account has an account key: the client must have it too', {
      object: 'account key',
    })
  if (!sameKey(stored, claimed)) throw keyChanged('account')
}

export const keyChanged = (role: string): KeystrataError =>
  new KeystrataError('key-changed', `the ${role} key differs from the enrolled one: use the enrolled key`, { role })

/**
 * Checks that a client claims the keys and the platform that it was enrolled with, and that its account is complete.
 * @throws KeystrataError `key-changed`, `account-key-required` or `key-not-found` for the keys
 * @throws KeystrataError `policy` for the platform
 */
export function assertEnrolled(row: AccountRow, known: KnownClient, claim: Claim): void {
  if (!sameKey(known.privateKey, claim.privateKey)) throw keyChanged('private')
  assertAccountKey(row.accountKey, claim.accountKey)
  assertComplete(row)
  if (known.platform === claim.platform) return
  throw new KeystrataError('policy', 'this client was enrolled on another platform: enrol it again', {
    rule: 'platform',
  })
}

/**
 * Returns the row of an account after a client deposits its keys.
 * @throws KeystrataError `key-not-found` if the client is not enrolled; the errors of {@link assertEnrolled}
 * @throws KeystrataError `rollback` if the escrow is older than the latest one, with the date of that one
 * @throws KeystrataError `policy` if it is dated more than 5 minutes in the future
 */
export function safeguarded(stored: AccountRow | undefined, deposit: Deposit): AccountRow {
  const { row, known } = knownIn(stored, deposit.client)
  assertEnrolled(row, known, deposit)
  const { issuedAt, bytes: escrow } = deposit
  if (issuedAt < known.issuedAt) {
    const until = new Date(known.issuedAt).toISOString()
    throw new KeystrataError(
      'rollback',
      `this escrow is older than the latest one, which is dated ${until}: create a new one after that time. If that is in the future, the clock of the client was ahead`,
      { until },
    )
  }
  if (issuedAt > Date.now() + CLOCK_TOLERANCE_MS) {
    throw new KeystrataError(
      'policy',
      "this escrow is dated more than 5 minutes ahead of this server's clock: correct the clock of the client",
      { rule: 'clock' },
    )
  }
  return withClient(row, { ...known, escrow, issuedAt })
}

/**
 * Returns whether all keys of a client are in escrow. The escrow lacks an account key that was enrolled after the
 * deposit.
 */
export function isSafeguarded({ accountKey }: AccountRow, { escrow }: KnownClient): boolean {
  if (escrow === undefined) return false
  const deposited = fromOwnRow(() => accountKeyInEscrow(escrow))
  return accountKey === undefined || (deposited !== undefined && sameKey(deposited, accountKey))
}
