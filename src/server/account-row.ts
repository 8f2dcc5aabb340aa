// What a client and its server tell each other, and what the server keeps of it (SPEC §14).
// The rules of an account's row (SPEC §14.2): which clients and keys can stand in it beside each other.
import { type Codec, list, name, optional, prefixed, struct, time, uint16, uint8, within } from '../core/codec.ts'
import { accountKeyInEscrow, type Deposit } from '../client/escrow.ts'
import { KEY_TYPES, keyHash, type KeyHash, platform, PLATFORMS } from '../client/layout.ts'
import { type Claim, sameKey } from '../client/proof.ts'
import { equalBytes, utf8 } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'

export const ClientState = { provisional: 0, locked: 1 } as const

/** What a server knows of one client. */
export interface KnownClient {
  readonly client: Uint8Array
  /** A {@link ClientState}. */
  readonly state: number
  readonly platform: number
  readonly privateKey: KeyHash
  /** Its keys, under an activation code that the server does not have. */
  readonly escrow?: Uint8Array | undefined
  /** When its last escrow was made, also when that was cleared: an older one does not come back. */
  readonly issuedAt: number
}

/** A server's row for one account: all of it in one, so that whatever changes changes as a whole. */
export interface AccountRow {
  readonly version: number
  readonly accountKey?: KeyHash | undefined
  /** In the order in which they came. */
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
      escrow: optional(prefixed(uint16)),
      issuedAt: time,
    }),
  ),
})

const ROW_VERSION = 1

/** How far clocks may be apart: an escrow of next year would stand in the way of all others until then. */
const CLOCK_TOLERANCE_MS = 5 * 60 * 1000

export const EMPTY_ROW: AccountRow = { version: ROW_VERSION, clients: [] }

/** What is wrong in the server's own database is nothing that a client could have done. */
export function fromOwnRow<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error('a damaged row of an account in the registry', { cause: error })
  }
}

/** @throws KeystrataError `key-not-found` for a client that is not enrolled */
export function knownIn(row: AccountRow | undefined, client: string): { row: AccountRow; known: KnownClient } {
  const known = row && find(row, client)
  if (row === undefined || known === undefined) {
    throw new KeystrataError('key-not-found', 'this client is not enrolled', { client })
  }
  return { row, known }
}

function find({ clients }: AccountRow, client: string): KnownClient | undefined {
  const name = utf8(client)
  return clients.find((each) => equalBytes(each.client, name))
}

/** The row with this client in the place that it had, or at the end. */
export function withClient(row: AccountRow, next: KnownClient): AccountRow {
  const isThere = row.clients.some(({ client }) => equalBytes(client, next.client))
  if (!isThere) return { ...row, clients: [...row.clients, next] }
  return { ...row, clients: row.clients.map((each) => (equalBytes(each.client, next.client) ? next : each)) }
}

/** The row of an account with one more client, or one that came again, if the rules between its clients hold. */
export function enrolled(stored: AccountRow, claim: Claim): AccountRow {
  const known = find(stored, claim.client)
  const { platform, privateKey } = claim
  const state = known?.state ?? ClientState.provisional
  // Keys that are replaced are not worth keeping: nothing was backed up under them.
  const escrow = known !== undefined && sameKey(known.privateKey, privateKey) ? known.escrow : undefined
  const issuedAt = known?.issuedAt ?? 0
  const { clients } = withClient(stored, { client: utf8(claim.client), state, platform, privateKey, escrow, issuedAt })
  const accountKey = stored.accountKey ?? claim.accountKey
  assertPhonesCan(clients, claim.accountKey)
  if (stored.accountKey !== undefined) assertAccountKey(stored.accountKey, claim.accountKey)
  if (accountKey === undefined && clients.length > 1) {
    throw new KeystrataError('account-key-required', 'an account with several clients needs an account key')
  }
  if (known?.state === ClientState.locked && !sameKey(known.privateKey, privateKey)) throw keyChanged('private')
  if (clients.length > MAX_CLIENTS) {
    throw new KeystrataError('limit-exceeded', 'an account has at most 4,096 clients', { clients: clients.length })
  }
  return { version: ROW_VERSION, accountKey, clients }
}

/** @throws KeystrataError `account-key-required`, `policy` */
function assertPhonesCan(clients: readonly KnownClient[], accountKey: KeyHash | undefined): void {
  if (!clients.some(({ platform }) => platform === PLATFORMS.ios || platform === PLATFORMS.android)) return
  if (accountKey === undefined) {
    throw new KeystrataError('account-key-required', 'an account with a phone needs an account key')
  }
  if (accountKey.type === KEY_TYPES['AES-128'].number) return
  throw new KeystrataError('policy', 'an account with a phone needs an account key of type AES-128', {
    rule: 'phone-account-key',
  })
}

/** @throws KeystrataError `account-key-required`, `key-changed`, `key-not-found` */
function assertAccountKey(stored: KeyHash | undefined, claimed: KeyHash | undefined): void {
  if (stored === undefined) {
    if (claimed === undefined) return
    throw new KeystrataError('key-not-found', 'this account key is not enrolled')
  }
  if (claimed === undefined) throw new KeystrataError('account-key-required', 'this account has an account key')
  if (!sameKey(stored, claimed)) throw keyChanged('account')
}

export const keyChanged = (role: string): KeystrataError =>
  new KeystrataError('key-changed', `the ${role} key is not the one that is enrolled`, { role })

/**
 * The keys that a client claims are the enrolled ones.
 * @throws KeystrataError `key-changed`, `account-key-required`, `key-not-found`, `policy`
 */
export function assertEnrolled(row: AccountRow, known: KnownClient, claim: Claim): void {
  if (!sameKey(known.privateKey, claim.privateKey)) throw keyChanged('private')
  assertAccountKey(row.accountKey, claim.accountKey)
  if (known.platform === claim.platform) return
  throw new KeystrataError('policy', 'another platform than this client was enrolled with', { rule: 'platform' })
}

/**
 * The row with the keys of a client in escrow.
 * @throws KeystrataError as {@link assertEnrolled}; `rollback` for an older escrow than the last one, `policy` for one of
 *   the future
 */
export function safeguarded(stored: AccountRow | undefined, deposit: Deposit): AccountRow {
  const { row, known } = knownIn(stored, deposit.client)
  assertEnrolled(row, known, deposit)
  const { issuedAt, bytes: escrow } = deposit
  if (issuedAt < known.issuedAt)
    throw new KeystrataError('rollback', 'an older escrow than the last one, or a clock that was turned back')
  if (issuedAt > Date.now() + CLOCK_TOLERANCE_MS) {
    throw new KeystrataError('policy', 'an escrow of the future: the clock of the client is wrong', { rule: 'clock' })
  }
  return withClient(row, { ...known, escrow, issuedAt })
}

/** Whether all keys of a client are in escrow: an account key that came later may be missing. */
export function isSafeguarded({ accountKey }: AccountRow, { escrow }: KnownClient): boolean {
  if (escrow === undefined) return false
  const deposited = fromOwnRow(() => accountKeyInEscrow(escrow))
  return accountKey === undefined || (deposited !== undefined && sameKey(deposited, accountKey))
}
