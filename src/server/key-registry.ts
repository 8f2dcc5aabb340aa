// The key registry of a storage server (SPEC §17). It recognises clients by one-way hashes of their keys on every
// connection, and never sees a key. If a customer wants it, the registry keeps the keys in escrow (SPEC §18), where it
// cannot read them. Everything about an account is in one row, so that every change is atomic.
import { readEscrow } from '../client/escrow.ts'
import { PLATFORMS } from '../client/layout.ts'
import { assertOwnAccount, readEnrolment, readProof } from '../client/proof.ts'
import { signRegistration } from '../client/registration-file.ts'
import { type Bytes, toHex } from '../core/bytes.ts'
import { type Card, cardHolderOf } from '../core/card.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { optionsFrom } from '../core/options.ts'
import { timeOf } from '../core/realms.ts'
import { decodeName, numberOf, parseName } from '../core/text.ts'
import { CheckedRegistryStore } from '../state/checked.ts'
import type { RegistryStore } from '../state/store.ts'
import {
  type AccountRow,
  assertComplete,
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
  withoutAccountKey,
  withoutClient,
  withoutEscrow,
} from './account-row.ts'
import { Accounts } from './accounts.ts'
import { Challenges } from './challenge.ts'

type Safeguarding = 'off' | 'optional' | 'mandatory'
const SAFEGUARDING: Readonly<Record<Safeguarding, number>> = { off: 0, optional: 1, mandatory: 2 }

/** Identifies a client. */
interface ClientName {
  account: string
  name: string
}

/**
 * An accepted connection: the client has proven its keys. Keep it in the server's own session. Never take it from a
 * client.
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

/** A client of an account, as {@link KeyRegistry.listClients} shows it. */
interface ListedClient extends ClientName {
  platform: string
  state: 'provisional' | 'locked'
  safeguarded: boolean
}

/**
 * Recognises clients by their keys, on every connection. The product's login must decide who may enrol and who may
 * connect. Several servers may share one store. Every method passes on the store's own errors.
 *
 * All changes are safe if reads of the store are late. Then a method may still refuse by what was stored a moment ago, and
 * `connect` may accept a client that was just removed, or return a `state` from before. So use a store whose reads are
 * not late, such as the primary server of a database, or call `commitFirstBackup` for every backup.
 *
 * The object `registry` in the store is the key of all challenges. Anyone who reads it can mint challenges, and collect
 * proofs for later from a client that connects to them. To replace it, stop all servers, write 32 random bytes as its
 * next version, drop its older versions, and start the servers.
 * @throws Error (not a KeystrataError) from every method that reads a damaged row, or the damaged key. No client can
 *   cause that
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
   * Creates a challenge, for one enrolment or one proof. It can be answered within a minute. It costs no row in the
   * store, so anybody may ask for one.
   * @throws KeystrataError `conflict` if the store neither takes nor returns the registry's key
   */
  challenge(): Promise<Bytes>
  /**
   * Enrols a client. A client may enrol again, with another platform, or with another private key as long as it has
   * backed nothing up; a new private key drops the escrow of the old one. The first account key of an account does not
   * change until {@link KeyRegistry.clearAccountKey}. A client with a DES-56 key cannot deposit its keys: if safeguarding
   * is mandatory, open a second registry over the same store for it, without that rule. After an error of the store, ask
   * for a new challenge and enrol again: that does no harm if the client is enrolled already.
   * @param enrolment what the client's `enrolment(challenge)` returned
   * @param options `account`: the account of the customer who is logged in. Otherwise anybody who may enrol could enrol
   *   into any account, and choose its account key if it has none
   * @throws KeystrataError `expired` if the challenge was answered before, or has expired
   * @throws KeystrataError `policy` if the enrolment is not for `account`, or the account has a phone
   *   and the account key is not AES-128
   * @throws KeystrataError `key-changed` if the account has another account key, or if the client is locked and has
   *   another private key
   * @throws KeystrataError `account-key-required` if the enrolment has no account key and the account has one, has a
   *   phone, or would have a second client
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws KeystrataError `authentication-failed` if the challenge is not from this registry, the realm differs, or a
   *   signature does not verify
   * @throws KeystrataError `limit-exceeded` if the enrolment is too large or the account already has 4,096 clients
   * @throws KeystrataError `malformed`, `unsupported`
   * @throws KeystrataError `invalid-text` if `account` is not a name
   * @throws TypeError if `account` is missing
   */
  enrol(enrolment: Uint8Array, options: { account: string }): Promise<void>
  /**
   * Accepts a connection if the client proves the keys that it was enrolled with. A proof that is refused leaves nothing
   * in the store.
   * @param proof what the client's `prove(challenge)` returned
   * @returns `state`: `locked` after the first backup; `safeguarded`: whether all keys of the client are in escrow;
   *   `key`: identifies the private key that it has proven
   * @throws KeystrataError `expired` if the challenge was answered before, or has expired
   * @throws KeystrataError `authentication-failed` if the challenge is from another registry, realm or server, or a
   *   signature does not verify
   * @throws KeystrataError `key-not-found` if the client or its account key is not enrolled
   * @throws KeystrataError `key-changed` if a key is not the enrolled one
   * @throws KeystrataError `account-key-required` if the account has an account key and the client does not prove one, or
   *   if the account needs one since its account key was cleared
   * @throws KeystrataError `policy` if the client was enrolled on another platform
   * @throws KeystrataError `safeguarding-required` if safeguarding is mandatory and the keys are not in escrow
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
   */
  connect(proof: Uint8Array): Promise<Connection>
  /**
   * Locks the private key that a connection has proven. Call it before the client's first backup is committed. Further
   * calls do no harm.
   * @param connection what {@link KeyRegistry.connect} returned for the connection of this backup
   * @throws KeystrataError `key-not-found` if the client is not enrolled any more
   * @throws KeystrataError `key-changed` if it is now enrolled with another key than the connection has proven
   * @throws KeystrataError `account-key-required` if the account needs an account key, since its own was cleared
   * @throws KeystrataError `safeguarding-required` if safeguarding is mandatory and the keys are not in escrow
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws TypeError if `connection` is something else
   */
  commitFirstBackup(connection: Connection): Promise<void>
  /**
   * Stores the keys of a client in escrow, and replaces its previous escrow. It needs no connection, because the escrow
   * is signed with the keys. An older escrow never replaces a newer one, even after `clearEscrow`. The latest one can
   * be stored again after `clearEscrow`. If the store's own error says that the change is stored, but that older versions
   * were not dropped, the previous escrow is still there: try again.
   * @param escrow the `escrow` that the client's `safeguard()` returned. Never send the activation code to the server
   * @param options `account`: the account of the customer who is logged in, as in {@link KeyRegistry.enrol}
   * @throws KeystrataError `policy` if safeguarding is off, if the escrow is not for `account`, if the
   *   client was enrolled on another platform, or if the escrow is dated more than 5 minutes in the future
   * @throws KeystrataError `rollback` if it is older than the latest one. `detail.until` is the date of the latest one,
   *   as ISO text. A client whose clock was ahead and was set right gets this until then
   * @throws KeystrataError `key-not-found` if the client or its account key is not enrolled
   * @throws KeystrataError `key-changed` if a key is not the enrolled one
   * @throws KeystrataError `account-key-required` if the account has an account key and the escrow has none, or if the
   *   account needs one since its account key was cleared
   * @throws KeystrataError `authentication-failed` if the realm differs or a signature does not verify
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
   * @throws KeystrataError `invalid-text` if `account` is not a name
   * @throws TypeError if `account` is missing
   */
  safeguard(escrow: Uint8Array, options: { account: string }): Promise<void>
  /**
   * Deletes the escrow of a client, and drops the older versions of the row, which contain it. Backups of the database
   * still have it, and so do registration files that were built before: anyone with one of them and the activation code has
   * the keys.
   * @returns false if there is nothing to clear: no escrow, or no such client. Of two calls at once, both may return true
   * @throws KeystrataError `invalid-text` if a name is empty, over 255 bytes, or has a character that no name may have
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws the store's own error, if it cannot drop older versions. Its message says that the change is stored, and that
   *   an escrow may be left in them: try again
   */
  clearEscrow(client: ClientName): Promise<boolean>
  /**
   * Lists the clients of an account, in the order in which they were enrolled. It is empty for an unknown account.
   * @throws KeystrataError `invalid-text` if the name is empty, over 255 bytes, or has a character that no name may have
   */
  listClients(account: string): Promise<readonly ListedClient[]>
  /**
   * Removes a client, and its escrow as in {@link KeyRegistry.clearEscrow}. Its proofs are refused from then on, and its
   * name may be enrolled again, with any key. The account key stays. No data changes, and keys are not revoked:
   * - A machine was *renamed*: remove the old name, and enrol under the new one with the same key texts. The same keys open
   *   all data from before.
   * - It was *sold*: wipe it, then remove it. What it backed up still opens with its key text or its registration file.
   * - It was *stolen*: remove it, and end its sessions. The thief may have its keys: what was sealed under its private
   *   key, and under the account key, can be read by anyone with the keys and the blocks. For new data, enrol it with a
   *   new private key, and give the account a new account key ({@link KeyRegistry.clearAccountKey}).
   *
   * Registration files that were built before still recreate the client, but it cannot connect until it is enrolled.
   * @returns false if there is no such client. Of two calls at once, both may return true
   * @throws KeystrataError `invalid-text` if a name is empty, over 255 bytes, or has a character that no name may have
   * @throws KeystrataError `conflict` if another writer writes first on every try
   * @throws the store's own error, if it cannot drop older versions, as in {@link KeyRegistry.clearEscrow}
   */
  removeClient(client: ClientName): Promise<boolean>
  /**
   * Forgets the account key of an account, so that another one can be enrolled: for a customer who has lost its text, or
   * whose text was stolen. Remove all locked clients first. Then every client enrols again with the new account key. Call
   * this while no backup of the account runs. Data under the old account key opens only with the old one: a client that has
   * it saved, its text, an escrow or a registration file from before. Without any of these it is lost. Data
   * under private keys is not touched.
   * @returns false if the account has no account key, or there is no such account. Of two calls at once, both may return true
   * @throws KeystrataError `policy` while a locked client uses it; `detail.locked` is their number
   * @throws KeystrataError `invalid-text` if the name is empty, over 255 bytes, or has a character that no name may have
   * @throws KeystrataError `conflict` if another writer writes first on every try
   */
  clearAccountKey(account: string): Promise<boolean>
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
   * @throws KeystrataError `invalid-text` if a name is empty, over 255 bytes, or has a character that no name may have
   * @throws KeystrataError `disposed` if the keyset was disposed of
   * @throws RangeError if `expires` is not a date from 1970 on
   * @throws TypeError if the keyset is from another copy of this library
   */
  buildRegistration(client: ClientName, provider: { card(): Card }, options: { expires: Date }): Promise<Bytes>
}

class StoreRegistry implements KeyRegistry {
  readonly #accounts: Accounts
  readonly #challenges: Challenges
  readonly #realm: string
  readonly #server: string
  readonly #safeguarding: Safeguarding

  constructor(store: RegistryStore, options: { realm: string; server: string; safeguarding?: Safeguarding }) {
    const rules = { realm: 'required', server: 'required', safeguarding: 'defined' } as const
    const { realm, server, safeguarding = 'off' } = optionsFrom(options, rules, 'openKeyRegistry')
    numberOf(SAFEGUARDING, safeguarding, 'safeguarding')
    this.#safeguarding = safeguarding
    this.#realm = parseName(realm, 'realm')
    this.#server = parseName(server, 'server')
    const checked = new CheckedRegistryStore(store)
    this.#accounts = new Accounts(checked, this.#realm)
    this.#challenges = new Challenges(checked, this.#realm, this.#server)
  }

  challenge(): Promise<Bytes> {
    return this.#challenges.issue()
  }

  async enrol(enrolment: Uint8Array, options: { account: string }): Promise<void> {
    const account = accountFrom(options, 'enrol')
    const claim = readEnrolment(enrolment)
    if (claim.realm !== this.#realm) throw authenticationFailed()
    const challenge = await this.#challenges.check(claim.challenge)
    assertOwnAccount(claim.account, account)
    let isTaken = false
    await this.#accounts.change(account, async (stored) => {
      const row = enrolled(stored ?? EMPTY_ROW, claim)
      // One challenge serves all tries. An enrolment that breaks a rule takes none.
      if (!isTaken) await this.#challenges.take(challenge)
      isTaken = true
      return row
    })
  }

  async connect(proof: Uint8Array): Promise<Connection> {
    const claim = readProof(proof)
    const challenge = await this.#challenges.check(claim.challenge)
    const { account, client, privateKey } = claim
    const { row, known } = knownIn(await this.#accounts.read(account), client)
    assertEnrolled(row, known, claim)
    this.#assertSafeguarded(row, known)
    await this.#challenges.take(challenge)
    return { ...factsOf(account, row, known), key: toHex(privateKey.hash) }
  }

  async commitFirstBackup(connection: Connection): Promise<void> {
    const { account, name, key } = connectionFrom(connection)
    await this.#accounts.change(account, (stored) => {
      const { row, known } = knownIn(stored, name)
      if (key !== toHex(known.privateKey.hash)) throw keyChanged('private')
      assertComplete(row)
      this.#assertSafeguarded(row, known)
      return withClient(row, { ...known, state: ClientState.locked })
    })
  }

  async safeguard(escrow: Uint8Array, options: { account: string }): Promise<void> {
    const account = accountFrom(options, 'safeguard')
    if (this.#safeguarding === 'off') {
      throw new KeystrataError('policy', 'safeguarding is off: this server keeps no keys in escrow', {
        rule: 'safeguarding',
      })
    }
    const deposit = readEscrow(escrow)
    if (deposit.realm !== this.#realm) throw authenticationFailed()
    assertOwnAccount(deposit.account, account)
    await this.#accounts.change(account, (row) => safeguarded(row, deposit))
  }

  async clearEscrow(client: ClientName): Promise<boolean> {
    const { account, name } = namesFrom(client)
    return this.#accounts.change(account, (row) => row && withoutEscrow(row, name), true)
  }

  async listClients(account: string): Promise<readonly ListedClient[]> {
    const owner = parseName(account, 'account')
    const row = (await this.#accounts.read(owner)) ?? EMPTY_ROW
    return row.clients.map((known) => ({ ...factsOf(owner, row, known), platform: platformOf(known) }))
  }

  async removeClient(client: ClientName): Promise<boolean> {
    const { account, name } = namesFrom(client)
    return this.#accounts.change(account, (row) => row && withoutClient(row, name), true)
  }

  async clearAccountKey(account: string): Promise<boolean> {
    return this.#accounts.change(parseName(account, 'account'), (row) => row && withoutAccountKey(row))
  }

  async buildRegistration(client: ClientName, provider: { card(): Card }, options: { expires: Date }): Promise<Bytes> {
    const given = optionsFrom(options, { expires: 'required' }, 'buildRegistration')
    const expires = timeOf(given.expires)
    if (!Number.isFinite(expires) || expires < 0) throw new RangeError('expires must be a date from 1970 on')
    const { account, name } = namesFrom(client)
    const { known } = knownIn(await this.#accounts.read(account), name)
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
}

/**
 * Opens the registry of a storage server. This reads nothing yet.
 * @param store a store with `once`, such as `postgresStateStore`. Only the server may read and write it. The clocks of
 *   the store and of all servers must not differ by more than 5 minutes
 * @param options `realm`: the realm of the clients; `server`: the name by which clients know this server, so that no
 *   other server can forward their proofs; `safeguarding`: whether clients may or must deposit their keys in escrow
 *   (default `off`). No setting deletes escrows that are already stored
 * @throws KeystrataError `invalid-text` if a name is empty, over 255 bytes, or has a character that no name may have
 * @throws TypeError for an unknown `safeguarding`, or if `store` is not a RegistryStore
 * @throws TypeError for an unknown option, or an explicit `undefined` for `safeguarding`
 * @example
 * ```ts
 * import { openKeyRegistry } from 'keystrata/server'
 * import type { RegistryStore } from 'keystrata/stores'
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
  new KeystrataError('safeguarding-required', 'the keys of this client are not in escrow: safeguard them first', {
    object: 'escrow',
  })

/**
 * Returns the account of the customer who is logged in.
 * @throws TypeError if it is missing: then anybody could act for any account
 */
function accountFrom(options: { account: string }, method: string): string {
  const hint = ': pass the account of the customer who is logged in'
  return parseName(optionsFrom(options, { account: 'required' }, method, hint).account, 'account')
}

const namesFrom = ({ account, name }: ClientName): ClientName => ({
  account: parseName(account, 'account'),
  name: parseName(name, 'name'),
})

/** @throws TypeError if it is not what `connect` returned */
function connectionFrom(given: unknown): Connection {
  const { account, name, state, safeguarded, key } = Object(given) as Partial<Record<keyof Connection, unknown>>
  const isConnection =
    typeof account === 'string' &&
    typeof name === 'string' &&
    typeof key === 'string' &&
    /^[\da-f]{64}$/.test(key) &&
    (state === 'provisional' || state === 'locked') &&
    typeof safeguarded === 'boolean'
  if (isConnection) return { ...namesFrom({ account, name }), state, safeguarded, key }
  throw new TypeError('commitFirstBackup takes the connection that connect returned: keep it in the session')
}

function factsOf(account: string, row: AccountRow, known: KnownClient): Omit<Connection, 'key'> {
  return {
    account,
    name: fromOwnRow(() => nameIn(known)),
    state: known.state === ClientState.locked ? 'locked' : 'provisional',
    safeguarded: isSafeguarded(row, known),
  }
}

/** @throws Error if the row of an account has a name that no client can have */
function nameIn({ client }: KnownClient): string {
  const name = decodeName(client)
  if (name === undefined) throw new Error('a client in the row has an invalid name')
  return name
}

/** Returns the name of a client's platform. The row has only known ones. */
const platformOf = (known: KnownClient): string =>
  Object.entries(PLATFORMS).find(([, number]) => number === known.platform)?.[0] ?? ''
