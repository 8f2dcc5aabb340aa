// Where a storage server keeps what it knows of its clients; the product's own.
// A storage server's memory of its clients' keys (SPEC §14): it knows them again on every connection, by one-way hashes, and
// never sees one; it keeps them in escrow where a customer wants that (SPEC §16), and cannot read them. All that it knows of an
// account is in one row, so that whatever changes, changes as a whole.
import { pauseBeforeRetry, wasWritten } from '../state/compare-and-set.ts'
import { readEscrow } from '../client/escrow.ts'
import { assertOwnAccount, checkChallenge, createChallenge, readEnrolment, readProof } from '../client/proof.ts'
import { signRegistration } from '../client/registration.ts'
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

/** How long a challenge may be answered. */
const CHALLENGE_MS = 60_000

/** The client of an account's own row: no client can have this name. */
const ACCOUNT_ROW = ''

/** How often a write is tried that somebody else was quicker with. */
const TRIES = 16

type Safeguarding = 'off' | 'optional' | 'mandatory'
const SAFEGUARDING: Readonly<Record<Safeguarding, number>> = { off: 0, optional: 1, mandatory: 2 }

/** A client of an account. */
interface ClientName {
  account: string
  name: string
}

/**
 * A client that was let in.
 * @example
 * ```ts
 * import type { Connection } from 'keystrata/server'
 *
 * const isFirstBackup = ({ state }: Connection) => state === 'provisional'
 * ```
 */
export interface Connection extends ClientName {
  /** Locked once it has backed something up: then its keys are what they are. */
  state: 'provisional' | 'locked'
  /** Whether all of its keys are in escrow. */
  safeguarded: boolean
  /** Which private key it has proven: the hash of what proves it, 64 hex digits. */
  key: string
}

/**
 * Recognises clients by their keys, on every connection. Who may enrol, and talk to it at all, is for the product's login.
 * @throws Error, no KeystrataError, from whatever reads a row of the store's own that is damaged: no client could have done
 *   that
 * @example
 * ```ts
 * import { openKeyRegistry, type RegistryStore } from 'keystrata/server'
 *
 * async function enrol(enrolment: Uint8Array, account: string, store: RegistryStore) {
 *   const registry = openKeyRegistry(store, { realm: 'com.example.backup', server: 'storage-1' })
 *   await registry.enrol(enrolment, { account }) // the account of the customer who is logged in
 *   return await registry.challenge()
 * }
 * ```
 */
export interface KeyRegistry {
  /**
   * Takes a client in, or again: on another platform, or with another private key as long as it has backed nothing up,
   * which drops the escrow of the old one. The first account key of an account stays. A client under DES-56 cannot deposit
   * its keys: where that is mandatory, let it in by another registry over the same store.
   * @param enrolment of the client's `enrolment()`
   * @param options `account`: the one whose customer is logged in. Give it: else anybody who may enrol at all enrols into
   *   any account, and the first account key there is his
   * @throws KeystrataError `policy` for an enrolment into another account than `account`, and for an account key other than
   *   AES-128 where a client is a phone; `key-changed` for another account key than the account's, and for another private
   *   key of a client that is locked; `account-key-required` for a second client without account key, and for phones;
   *   `conflict` if others write first, every time; `authentication-failed` for another realm and for signatures that do not
   *   hold; `malformed`, `unsupported`; `limit-exceeded`, also beyond 4,096 clients
   */
  enrol(enrolment: Uint8Array, options?: { account?: string }): Promise<void>
  /** A fresh challenge, to be answered once and within a minute. */
  challenge(): Promise<Bytes>
  /**
   * Lets a client in whose keys are the enrolled ones.
   * @param proof of the client's `prove(challenge)`
   * @returns `state`: locked once it has backed something up; `safeguarded`: whether all of its keys are in escrow; `key`:
   *   which private key it has proven, for {@link KeyRegistry.commitFirstBackup}
   * @throws KeystrataError `expired` for a challenge that was answered before, or too late, or was never given;
   *   `authentication-failed` for one of another server, and for signatures that do not hold; `key-not-found` for a client
   *   or an account key that is not enrolled; `key-changed` for other keys than the enrolled ones; `account-key-required`
   *   without the account key that the account has; `policy` for another platform than it was enrolled with;
   *   `safeguarding-required` where safeguarding is mandatory, until the keys are in escrow; `malformed`, `unsupported`,
   *   `limit-exceeded`
   */
  connect(proof: Uint8Array): Promise<Connection>
  /**
   * Locks the private key of a client: call it before its first backup is committed. Again changes nothing.
   * @param options `key`: what {@link KeyRegistry.connect} gave for the connection of this backup. Give it: a client that is
   *   enrolled anew in the middle would be locked to a key that the backup is not under
   * @throws KeystrataError `key-not-found` for a client that is not enrolled; `key-changed` if it is enrolled with another
   *   key by now; `safeguarding-required` as {@link KeyRegistry.connect}; `conflict` if others write first, every time
   */
  commitFirstBackup(account: string, client: string, options?: { key?: string }): Promise<void>
  /**
   * Takes the keys of a client in escrow, in the place of what it deposited before. It needs no connection: who deposits
   * has signed with the keys. An older escrow never takes the place of a newer one; the last one comes back after a
   * `clearEscrow`.
   * @param escrow of the client's `safeguard()`. The activation code never belongs here
   * @param options `account`: the one whose customer is logged in. Give it, as with
   *   {@link KeyRegistry.enrol}
   * @throws KeystrataError `policy` where safeguarding is off, for another account than `account`, for another platform
   *   than the enrolled one, and for an escrow that says it was made more than 5 minutes from now; `rollback` for one that
   *   is older than the last; `key-not-found` for a client or an account key that is not enrolled; `key-changed` for other
   *   keys than the enrolled ones; `account-key-required` without the account key that the account has;
   *   `authentication-failed` for another realm and for signatures that do not hold; `conflict`, `malformed`,
   *   `unsupported`, `limit-exceeded`
   */
  safeguard(escrow: Uint8Array, options?: { account?: string }): Promise<void>
  /**
   * Gives up the escrow of a client: it is in no row from then on, but in older versions of the row, if the store keeps
   * any, and in the registration files that were built. Again does nothing.
   * @throws KeystrataError `key-not-found` for a client that is not enrolled; `conflict`
   */
  clearEscrow(client: { account: string; name: string }): Promise<void>
  /**
   * An unarmed registration file: the keys of a client as they were deposited, signed by the provider. Nobody reads them
   * without the activation code, the provider neither; with it the file recreates the client until it expires.
   * @param provider a keyset of the provider, with all of its keys: customers have compared its card's fingerprint
   * @param options `expires`: until when `openRegistration` takes the file; it cannot be called back before. Who has the
   *   code and a clock that he sets himself can open it later
   * @throws KeystrataError `safeguarding-required` for a client that has deposited nothing; `key-not-found` for one that is
   *   not enrolled; `policy` for a keyset that was unlocked from a source definition; `disposed`
   * @throws RangeError for what is no date from 1970 on
   * @throws TypeError for a keyset of another copy of this library
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
      throw new KeystrataError('expired', 'this challenge was answered before, or too late, or never given')
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
      throw new KeystrataError('policy', 'this server keeps no keys in escrow', { rule: 'safeguarding' })
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

  /** @throws KeystrataError `safeguarding-required` */
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

  /** Writes what `change` makes of a row, until nobody else was quicker. */
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
 * @param options `realm`: that of the clients; `server`: the name that clients believe they talk to, so that no other server can pass
 *   their proofs on; `safeguarding`: whether clients may, or must, deposit their keys in escrow (`off` unless given); earlier deposits
 *   stay, whatever it says
 * @throws KeystrataError `limit-exceeded` for names that are empty or over 255 bytes
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
  new KeystrataError('safeguarding-required', 'the keys of this client must be in escrow first')
