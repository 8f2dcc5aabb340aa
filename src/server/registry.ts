// A storage server's memory of its clients' keys (SPEC §14): it knows them again on every connection, by one-way hashes, and
// never sees one. All that it knows of an account is in one row, so that whatever changes, changes as a whole.
import { type Bytes, equalBytes, toHex, utf8 } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import {
  type AccountRow,
  accountRow,
  ClientState,
  type KeyHash,
  KeyType,
  type KnownClient,
  MAX_CLIENTS,
  Platform,
} from '../format/client.ts'
import { decode, encode } from '../format/codec.ts'
import { checkChallenge, type Claim, createChallenge, readEnrolment, readProof, sameKey } from '../keys/key-proof.ts'
import { nextVersion } from '../keys/trailer.ts'
import { parseName } from '../text.ts'

/** How long a challenge may be answered. */
const CHALLENGE_MS = 60_000
const ROW_VERSION = 1
/** The client of an account's own row: no client can have this name. */
const ACCOUNT_ROW = ''
/** How often a write is tried that somebody else was quicker with. */
const TRIES = 10

/**
 * What a server stores: rows by account, client and version, and challenges. Names are compared byte for byte: a database that
 * takes `Acme` for `acme`, or cuts spaces, would mix up accounts. The account's own row has the empty text for its client.
 */
export interface RegistryStore {
  /** The newest version of a row. */
  read(account: string, client: string): Promise<{ row: Uint8Array; version: number } | undefined>
  /**
   * Create-only: false if this version, or a higher one, is there. Older versions may be deleted, the newest never; a unique
   * key alone is not enough then, because a late write would find its number free.
   */
  write(account: string, client: string, row: Uint8Array, version: number): Promise<boolean>
  /** Keeps a challenge until it is taken, or too late. */
  addChallenge(challenge: Uint8Array, expires: Date): Promise<void>
  /** Deletes it: true once, and only before it expires, by the store's clock. */
  takeChallenge(challenge: Uint8Array): Promise<boolean>
}

/** Recognises clients by their keys, on every connection. Who may enrol, and talk to it at all, is for the product's login. */
export class KeyRegistry {
  readonly #store: RegistryStore
  readonly #realm: string
  readonly #server: string

  /**
   * @param options `realm`: that of the clients; `server`: the name that clients believe they talk to, so that no other server
   *   can pass their proofs on
   * @throws KeystrataError `limit-exceeded` for names that are empty or over 255 bytes
   */
  constructor(store: RegistryStore, options: { realm: string; server: string }) {
    this.#store = store
    this.#realm = parseName(options.realm, 'realm')
    this.#server = parseName(options.server, 'server')
  }

  /**
   * Takes a client in, or again with other keys as long as it has backed nothing up. The first account key of an account stays.
   * @param enrolment of the client's `enrolment()`
   * @param options `account`: the one whose customer is logged in. Give it: else anybody who may enrol at all enrols into any
   *   account, and the first account key there is his
   * @throws KeystrataError `policy` for an enrolment into another account than `account`, and for an account key other than
   *   AES-128 where a client is a phone; `key-changed` for another account key than the account's, and for another private
   *   key of a client that is locked; `account-key-required` for a second client without account key, and for phones;
   *   `conflict` if others write first, every time; `authentication-failed` for another realm and for signatures that do not
   *   hold; `malformed`, `unsupported`; `limit-exceeded`, also beyond 4,096 clients
   */
  async enrol(enrolment: Uint8Array, options: { account?: string } = {}): Promise<void> {
    const { account: expected } = options
    const claim = readEnrolment(enrolment, this.#realm)
    const { account } = claim
    if (expected !== undefined && parseName(expected, 'account') !== account) {
      throw new KeystrataError('policy', 'an enrolment into another account', { rule: 'own-account', account })
    }
    await this.#change(account, (row) => enrolled(row ?? { version: ROW_VERSION, clients: [] }, claim))
  }

  /** A fresh challenge, to be answered once and within a minute. */
  async challenge(): Promise<Bytes> {
    const challenge = createChallenge(this.#realm, this.#server)
    await this.#store.addChallenge(challenge, new Date(Date.now() + CHALLENGE_MS))
    return challenge
  }

  /**
   * Lets a client in whose keys are the enrolled ones.
   * @param proof of the client's `prove(challenge)`
   * @returns `state`: locked once it has backed something up; `key`: which private key it has proven, for
   *   {@link KeyRegistry.commitFirstBackup}
   * @throws KeystrataError `expired` for a challenge that was answered before, or too late, or was never given;
   *   `authentication-failed` for one of another server, and for signatures that do not hold; `key-not-found` for a client
   *   or an account key that is not enrolled; `key-changed` for other keys than the enrolled ones; `account-key-required`
   *   without the account key that the account has; `policy` for another platform than it was enrolled with;
   *   `malformed`, `unsupported`, `limit-exceeded`
   */
  async connect(
    proof: Uint8Array,
  ): Promise<{ account: string; client: string; state: 'provisional' | 'locked'; key: string }> {
    const claim = readProof(proof)
    const challenge = checkChallenge(claim.challenge, this.#realm, this.#server)
    if (!(await this.#store.takeChallenge(challenge))) {
      throw new KeystrataError('expired', 'this challenge was answered before, or too late, or never given')
    }
    const { account, client, privateKey } = claim
    const row = (await this.#read(account))?.row
    const known = row && find(row, client)
    if (row === undefined || known === undefined) throw notEnrolled(client)
    if (!sameKey(known.privateKey, privateKey)) throw keyChanged('private')
    assertAccountKey(row.accountKey, claim.accountKey)
    if (known.platform !== claim.platform) {
      throw new KeystrataError('policy', 'another platform than this client was enrolled with', { rule: 'platform' })
    }
    const state = known.state === ClientState.locked ? 'locked' : 'provisional'
    return { account, client, state, key: toHex(privateKey.hash) }
  }

  /**
   * Locks the private key of a client: call it before its first backup is committed. Again does nothing.
   * @param options `key`: what {@link KeyRegistry.connect} gave for the connection of this backup. Give it: a client that is
   *   enrolled anew in the middle would be locked to a key that the backup is not under
   * @throws KeystrataError `key-not-found` for a client that is not enrolled; `key-changed` if it is enrolled with another key
   *   by now; `conflict` if others write first, every time
   */
  async commitFirstBackup(account: string, client: string, options: { key?: string } = {}): Promise<void> {
    const { key } = options
    const name = parseName(client, 'client')
    await this.#change(parseName(account, 'account'), (row) => {
      const known = row && find(row, name)
      if (row === undefined || known === undefined) throw notEnrolled(name)
      if (key !== undefined && key !== toHex(known.privateKey.hash)) throw keyChanged('private')
      return withClient(row, { ...known, state: ClientState.locked })
    })
  }

  /** Writes what `change` makes of a row, until nobody else was quicker. */
  async #change(account: string, change: (row: AccountRow | undefined) => AccountRow): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      const read = await this.#read(account)
      const next = encode(accountRow, change(read?.row))
      if (read !== undefined && equalBytes(next, read.bytes)) return
      if (await this.#store.write(account, ACCOUNT_ROW, next, nextVersion(read?.version ?? 0))) return
    }
    throw new KeystrataError('conflict')
  }

  async #read(account: string): Promise<{ row: AccountRow; bytes: Uint8Array; version: number } | undefined> {
    const read = await this.#store.read(account, ACCOUNT_ROW)
    if (read === undefined) return undefined
    try {
      const { row: bytes, version } = read
      return { row: decode(accountRow, bytes, 'row of an account'), bytes, version }
    } catch (error) {
      // The server's own database, and nothing that a client could have done.
      throw new Error('a damaged row of an account in the registry', { cause: error })
    }
  }
}

function find({ clients }: AccountRow, client: string): KnownClient | undefined {
  const name = utf8(client)
  return clients.find((each) => equalBytes(each.client, name))
}

/** The row with this client in the place that it had, or at the end. */
function withClient(row: AccountRow, next: KnownClient): AccountRow {
  const isThere = row.clients.some(({ client }) => equalBytes(client, next.client))
  if (!isThere) return { ...row, clients: [...row.clients, next] }
  return { ...row, clients: row.clients.map((each) => (equalBytes(each.client, next.client) ? next : each)) }
}

/** The row of an account with one more client, or one that came again, if the rules between its clients hold. */
function enrolled(stored: AccountRow, claim: Claim): AccountRow {
  const known = find(stored, claim.client)
  const { platform, privateKey } = claim
  const state = known?.state ?? ClientState.provisional
  const { clients } = withClient(stored, { client: utf8(claim.client), state, platform, privateKey })
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
  if (!clients.some(({ platform }) => platform === Platform.ios || platform === Platform.android)) return
  if (accountKey === undefined) {
    throw new KeystrataError('account-key-required', 'an account with a phone needs an account key')
  }
  if (accountKey.type === KeyType['AES-128']) return
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

const keyChanged = (role: string): KeystrataError =>
  new KeystrataError('key-changed', `the ${role} key is not the one that is enrolled`, { role })

const notEnrolled = (client: string): KeystrataError =>
  new KeystrataError('key-not-found', 'this client is not enrolled', { client })
