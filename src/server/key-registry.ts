// The key registry of a storage server (SPEC §14). It recognises clients by one-way hashes of their keys on every
// connection, and never sees a key. If a customer wants it, the registry keeps the keys in escrow (SPEC §16), where it
// cannot read them. Everything about an account is in one row, so that every change is atomic.
import { pauseBeforeRetry, wasWritten } from '../state/compare-and-set.ts'
import { readEscrow } from '../client/escrow.ts'
import { assertOwnAccount, checkChallenge, createChallenge, readEnrolment, readProof } from '../client/proof.ts'
import { signRegistration } from '../client/registration-file.ts'
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import { type Card, cardHolderOf } from '../core/card.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { numberOf, parseName } from '../core/text.ts'
import { nextVersion } from '../state/version.ts'
import {
  accountRow,
  type AccountRow,
  assertEnrolled,
  ClientState,
  EMPTY_ROW,
  enrolled,
  fromOwnRow,
  isSafeguarded,
  keyChanged,
  type KnownClient,
  knownIn,
  safeguarded,
  withClient,
} from './account-row.ts'

/**
 * The database of a key registry: rows by account, client and version, and challenges. The product implements it.
 * Compare names byte by byte: a database that treats `Acme` as `acme`, or trims spaces, mixes up accounts. Today,
 * everything about an account is in one row, whose `client` is the empty string. Still make `client` part of the
 * table's key.
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
  /** Reads the newest version of a row. Undefined if there is none. Versions count from 1. */
  read(account: string, client: string): Promise<{ row: Uint8Array; version: number } | undefined>
  /**
   * Creates a version of a row, and never overwrites one. Return false if this version or a higher one exists; a unique
   * key on the version is not enough, because a late write may come after its version was deleted. After a successful
   * write, delete the older versions, because they still contain escrows that were cleared. Never delete the newest
   * one.
   */
  write(account: string, client: string, row: Uint8Array, version: number): Promise<boolean>
  /** Stores a challenge until it is taken or expires. */
  addChallenge(challenge: Uint8Array, expires: Date): Promise<void>
  /** Deletes a challenge. Returns true only once, and only before it expires by the store's clock. */
  takeChallenge(challenge: Uint8Array): Promise<boolean>
}

/** How long a challenge is valid. */
const CHALLENGE_MS = 60_000

/** The `client` of an account's row. No client can have this name. */
const ACCOUNT_ROW = ''

/** How many times a write is tried if other writers keep writing first. */
const TRIES = 16

type Safeguarding = 'off' | 'optional' | 'mandatory'
const SAFEGUARDING: Readonly<Record<Safeguarding, number>> = { off: 0, optional: 1, mandatory: 2 }

/** Identifies a client. */
interface ClientName {
  account: string
  name: string
}

/**
 * An accepted connection: the client has proven its keys.
 * @example
 * ```ts
 * import type { Connection } from 'keystrata/server'
 *
 * const isFirstBackup = ({ state }: Connection) => state === 'provisional'
 * ```
 */
export interface Connection extends ClientName {
  /** `locked` after the first backup: from then on, the private key cannot change. */
  state: 'provisional' | 'locked'
  /** Whether all of its keys are in escrow. */
  safeguarded: boolean
  /** Identifies the private key that the client has proven: SHA-256 of its public half, 64 hex digits. */
  key: string
}

/**
 * Recognises clients by their keys, on every connection. The product's login must decide who may enrol and who may
 * connect.
 * @throws Error (not a KeystrataError) from every method that reads a damaged row. No client can cause that
 * @example
 * ```ts
 * import type { KeyRegistry } from 'keystrata/server'
 *
 * async function enrol(registry: KeyRegistry, enrolment: Uint8Array, account: string) {
 *   await registry.enrol(enrolment, { account }) // the account of the customer who is logged in
 *   return await registry.challenge()
 * }
 * ```
 */
export interface KeyRegistry {
  /**
   * Enrols a client. A client may enrol again, with another platform, or with another private key as long as it has
   * backed nothing up; a new private key drops the escrow of the old one. The first account key of an account never
   * changes. A client with a DES-56 key cannot deposit its keys: if safeguarding is mandatory, open a second registry
   * over the same store for it, without that rule.
   * @param enrolment what the client's `enrolment()` returned
   * @param options `account`: the account of the customer who is logged in. Always pass it. Without it, anybody who may
   *   enrol can enrol into any account, and can choose its account key if it has none
   * @throws KeystrataError `policy` if the enrolment is not for `account`, or the account has a phone
   *   and the account key is not AES-128
   * @throws KeystrataError `key-changed` if the account has another account key, or if the client is locked and has
   *   another private key
   * @throws KeystrataError `account-key-required` if the enrolment has no account key and the account has one, has a
   *   phone, or would have a second client
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws KeystrataError `authentication-failed` if the realm differs or a signature does not verify
   * @throws KeystrataError `limit-exceeded` if the enrolment is too large or the account already has 4,096 clients
   * @throws KeystrataError `malformed`, `unsupported`
   */
  enrol(enrolment: Uint8Array, options?: { account?: string }): Promise<void>
  /** Creates a challenge. It can be answered once, within a minute. */
  challenge(): Promise<Bytes>
  /**
   * Accepts a connection if the client proves the keys that it was enrolled with.
   * @param proof what the client's `prove(challenge)` returned
   * @returns `state`: `locked` after the first backup; `safeguarded`: whether all keys of the client are in escrow;
   *   `key`: identifies the private key that it has proven, for {@link KeyRegistry.commitFirstBackup}
   * @throws KeystrataError `expired` if the challenge was answered before, has expired, or was never issued
   * @throws KeystrataError `authentication-failed` if the challenge is from another realm or server, or a signature
   *   does not verify
   * @throws KeystrataError `key-not-found` if the client or its account key is not enrolled
   * @throws KeystrataError `key-changed` if a key is not the enrolled one
   * @throws KeystrataError `account-key-required` if the account has an account key and the client does not prove one
   * @throws KeystrataError `policy` if the client was enrolled on another platform
   * @throws KeystrataError `safeguarding-required` if safeguarding is mandatory and the keys are not in escrow
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
   */
  connect(proof: Uint8Array): Promise<Connection>
  /**
   * Locks the private key of a client. Call it before the client's first backup is committed. Further calls change
   * nothing.
   * @param options `key`: what {@link KeyRegistry.connect} returned for the connection of this backup. Always pass it.
   *   Without it, if the client enrols another key during the backup, that key is locked, but the backup is under the
   *   old one
   * @throws KeystrataError `key-not-found` if the client is not enrolled
   * @throws KeystrataError `key-changed` if it is now enrolled with a key other than `key`
   * @throws KeystrataError `safeguarding-required` if safeguarding is mandatory and the keys are not in escrow
   * @throws KeystrataError `limit-exceeded` if a name is empty or over 255 bytes
   * @throws KeystrataError `conflict` if another writer writes first on every try
   */
  commitFirstBackup(account: string, client: string, options?: { key?: string }): Promise<void>
  /**
   * Stores the keys of a client in escrow, and replaces its previous escrow. It needs no connection, because the escrow
   * is signed with the keys. An older escrow never replaces a newer one, even after `clearEscrow`. The latest one can
   * be stored again after `clearEscrow`.
   * @param escrow the `escrow` that the client's `safeguard()` returned. Never send the activation code to the server
   * @param options `account`: the account of the customer who is logged in. Always pass it, as in
   *   {@link KeyRegistry.enrol}
   * @throws KeystrataError `policy` if safeguarding is off, if the escrow is not for `account`, if the
   *   client was enrolled on another platform, or if the escrow is dated more than 5 minutes in the future
   * @throws KeystrataError `rollback` if it is older than the latest one
   * @throws KeystrataError `key-not-found` if the client or its account key is not enrolled
   * @throws KeystrataError `key-changed` if a key is not the enrolled one
   * @throws KeystrataError `account-key-required` if the account has an account key and the escrow has none
   * @throws KeystrataError `authentication-failed` if the realm differs or a signature does not verify
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
   */
  safeguard(escrow: Uint8Array, options?: { account?: string }): Promise<void>
  /**
   * Deletes the escrow of a client from its account's row. Older versions of the row still contain it if the store
   * keeps them, and so do registration files that were built before. Further calls change nothing.
   * @throws KeystrataError `key-not-found` if the client is not enrolled
   * @throws KeystrataError `limit-exceeded` if a name is empty or over 255 bytes
   * @throws KeystrataError `conflict` if another writer writes first on every try
   */
  clearEscrow(client: { account: string; name: string }): Promise<void>
  /**
   * Builds an unarmed registration file: the escrow of a client, signed by the provider. Nobody, including the
   * provider, can read the keys without the activation code. With the code, the file recreates the client until it
   * expires.
   * @param provider the provider's keyset, with all of its keys. Customers must have compared its card's fingerprint
   * @param options `expires`: when `openRegistration` starts to refuse the file. The file cannot be revoked earlier.
   *   Anybody who has the code can still open it later by setting back their own clock
   * @throws KeystrataError `safeguarding-required` if the client has no escrow
   * @throws KeystrataError `key-not-found` if the client is not enrolled
   * @throws KeystrataError `policy` if the keyset was unlocked from a source definition
   * @throws KeystrataError `limit-exceeded` if a name is empty or over 255 bytes
   * @throws KeystrataError `disposed` if the keyset was disposed of
   * @throws RangeError if `expires` is not a date from 1970 on
   * @throws TypeError if the keyset is from another copy of this library
   */
  buildRegistration(
    client: { account: string; name: string },
    provider: { card(): Card },
    options: { expires: Date },
  ): Promise<Bytes>
}

class StoreRegistry implements KeyRegistry {
  readonly #store: RegistryStore
  readonly #realm: string
  readonly #server: string
  readonly #safeguarding: Safeguarding

  constructor(store: RegistryStore, options: { realm: string; server: string; safeguarding?: Safeguarding }) {
    const { safeguarding = 'off' } = options
    numberOf(SAFEGUARDING, safeguarding, 'safeguarding')
    this.#store = store
    this.#safeguarding = safeguarding
    this.#realm = parseName(options.realm, 'realm')
    this.#server = parseName(options.server, 'server')
  }

  async enrol(enrolment: Uint8Array, options: { account?: string } = {}): Promise<void> {
    const { account } = options
    const claim = readEnrolment(enrolment, this.#realm)
    assertOwnAccount(claim.account, account)
    await this.#change(claim.account, (row) => enrolled(row ?? EMPTY_ROW, claim))
  }

  async challenge(): Promise<Bytes> {
    const challenge = createChallenge(this.#realm, this.#server)
    await this.#store.addChallenge(challenge, new Date(Date.now() + CHALLENGE_MS))
    return challenge
  }

  async connect(proof: Uint8Array): Promise<Connection> {
    const claim = readProof(proof)
    const challenge = checkChallenge(claim.challenge, this.#realm, this.#server)
    if (!(await this.#store.takeChallenge(challenge))) {
      throw new KeystrataError(
        'expired',
        'this challenge was answered before, has expired, or was never issued: request a new one',
      )
    }
    const { account, client, privateKey } = claim
    const { row, known } = knownIn((await this.#read(account))?.row, client)
    assertEnrolled(row, known, claim)
    this.#assertSafeguarded(row, known)
    const state = known.state === ClientState.locked ? 'locked' : 'provisional'
    return { account, name: client, state, safeguarded: isSafeguarded(row, known), key: toHex(privateKey.hash) }
  }

  async commitFirstBackup(account: string, client: string, options: { key?: string } = {}): Promise<void> {
    const { key } = options
    await this.#changeClient(account, client, (known, row) => {
      if (key !== undefined && key !== toHex(known.privateKey.hash)) throw keyChanged('private')
      this.#assertSafeguarded(row, known)
      return { ...known, state: ClientState.locked }
    })
  }

  async safeguard(escrow: Uint8Array, options: { account?: string } = {}): Promise<void> {
    const { account } = options
    if (this.#safeguarding === 'off') {
      throw new KeystrataError('policy', 'safeguarding is off: this server keeps no keys in escrow', {
        rule: 'safeguarding',
      })
    }
    const deposit = readEscrow(escrow)
    if (deposit.realm !== this.#realm) throw authenticationFailed()
    assertOwnAccount(deposit.account, account)
    await this.#change(deposit.account, (row) => safeguarded(row, deposit))
  }

  async clearEscrow({ account, name }: ClientName): Promise<void> {
    await this.#changeClient(account, name, (known) => ({ ...known, escrow: undefined }))
  }

  async buildRegistration(
    { account, name }: ClientName,
    provider: { card(): Card },
    options: { expires: Date },
  ): Promise<Bytes> {
    const expires = options.expires instanceof Date ? options.expires.getTime() : NaN
    if (!Number.isFinite(expires) || expires < 0) throw new RangeError('expires must be a date from 1970 on')
    const { known } = knownIn((await this.#read(parseName(account, 'account')))?.row, parseName(name, 'name'))
    if (known.escrow === undefined) throw safeguardingRequired()
    const holder = cardHolderOf(provider, 'provider', 'a registration file')
    return signRegistration(known.escrow, { server: this.#server, expires }, holder)
  }

  /**
   * Checks that the keys of a client are in escrow, if this server requires it.
   * @throws KeystrataError `safeguarding-required`
   */
  #assertSafeguarded(row: AccountRow, known: KnownClient): void {
    if (this.#safeguarding === 'mandatory' && !isSafeguarded(row, known)) throw safeguardingRequired()
  }

  async #changeClient(
    account: string,
    client: string,
    change: (known: KnownClient, row: AccountRow) => KnownClient,
  ): Promise<void> {
    const name = parseName(client, 'client')
    await this.#change(parseName(account, 'account'), (stored) => {
      const { row, known } = knownIn(stored, name)
      return withClient(row, change(known, row))
    })
  }

  /** Applies `change` to a row and writes it. Starts again if somebody else wrote first. */
  async #change(account: string, change: (row: AccountRow | undefined) => AccountRow): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      const started = Date.now()
      const read = await this.#read(account)
      const next = encode(accountRow, change(read?.row))
      if (read !== undefined && equalBytes(next, read.bytes)) return
      const answer = await this.#store.write(account, ACCOUNT_ROW, next, nextVersion(read?.version ?? 0))
      if (wasWritten(answer, 'write')) return
      if (tries + 1 < TRIES) await pauseBeforeRetry(tries, Date.now() - started)
    }
    throw new KeystrataError('conflict')
  }

  async #read(account: string): Promise<{ row: AccountRow; bytes: Uint8Array; version: number } | undefined> {
    const read = await this.#store.read(account, ACCOUNT_ROW)
    if (read === undefined) return undefined
    const { row: bytes, version } = read
    return { row: fromOwnRow(() => decode(accountRow, bytes, 'row of an account')), bytes, version }
  }
}

/**
 * Opens the registry of a storage server.
 * @param options `realm`: the realm of the clients; `server`: the name by which clients know this server, so that no
 *   other server can forward their proofs; `safeguarding`: whether clients may or must deposit their keys in escrow
 *   (default `off`). No setting deletes escrows that are already stored
 * @throws KeystrataError `limit-exceeded` if a name is empty or over 255 bytes
 * @throws TypeError for an unknown `safeguarding`
 * @example
 * ```ts
 * import { openKeyRegistry, type RegistryStore } from 'keystrata/server'
 *
 * const registryOf = (store: RegistryStore) =>
 *   openKeyRegistry(store, { realm: 'com.example.backup', server: 'storage-1', safeguarding: 'optional' })
 * ```
 */
export function openKeyRegistry(
  store: RegistryStore,
  options: { realm: string; server: string; safeguarding?: 'off' | 'optional' | 'mandatory' },
): KeyRegistry {
  return new StoreRegistry(store, options)
}

const safeguardingRequired = (): KeystrataError =>
  new KeystrataError('safeguarding-required', 'the keys of this client are not in escrow: safeguard them first')
