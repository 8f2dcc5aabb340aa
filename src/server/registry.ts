// A storage server's memory of its clients' keys (SPEC §14): it knows them again on every connection, by one-way hashes, and
// never sees one. What must hold between the clients of an account is in one row of its own, so that two of them that come at
// once cannot both be the first.
import { type Bytes, utf8 } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import {
  type AccountRow,
  accountRow,
  type ClientRow,
  clientRow,
  ClientState,
  type KeyHash,
  KeyType,
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

/** What a server stores; rows by account, client and version. Both writes are create-only: nothing is ever replaced. */
export interface RegistryStore {
  /** The newest version of a row. The `client` of an account's own row is the empty text. */
  read(account: string, client: string): Promise<{ row: Uint8Array; version: number } | undefined>
  /** False if that version is taken (in SQL a unique key). Older versions may be deleted, their numbers must not be free again. */
  write(account: string, client: string, row: Uint8Array, version: number): Promise<boolean>
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
   * @throws KeystrataError `key-changed` for another account key than the account's, and for another private key of a client that
   *   is locked; `account-key-required` for a second client without account key, and for phones; `policy` for an account key
   *   other than AES-128 where a client is a phone; `conflict` if others write first, every time; `authentication-failed`
   *   for another realm and for signatures that do not hold; `malformed`, `unsupported`, `limit-exceeded`
   */
  async enrol(enrolment: Uint8Array): Promise<void> {
    const claim = readEnrolment(enrolment, this.#realm)
    const { account, client } = claim
    await this.#retrying(async () => {
      const [accountRead, clientRead] = [await this.#readAccount(account), await this.#readClient(account, client)]
      const stored = accountRead?.row ?? { version: ROW_VERSION, clients: [] }
      const next = withClient(stored, claim)
      if (clientRead?.row.state === ClientState.locked && !sameKey(clientRead.row.privateKey, claim.privateKey)) {
        throw keyChanged('private')
      }
      // The account first: a client without a row is one that enrols again, a row without an account would break its rules.
      const encoded = encode(accountRow, next)
      if (accountRead === undefined || !sameBytes(encoded, encode(accountRow, accountRead.row))) {
        if (!(await this.#write(account, ACCOUNT_ROW, encoded, accountRead?.version))) return false
      }
      const row: ClientRow = {
        version: ROW_VERSION,
        state: clientRead?.row.state ?? ClientState.provisional,
        platform: claim.platform,
        privateKey: claim.privateKey,
      }
      return this.#write(account, client, encode(clientRow, row), clientRead?.version)
    })
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
   * @returns `state`: locked once it has backed something up
   * @throws KeystrataError `expired` for a challenge that was answered before, or too late, or was never given;
   *   `authentication-failed` for one of another server, and for signatures that do not hold; `key-not-found` for a client
   *   or an account key that is not enrolled; `key-changed` for other keys than the enrolled ones; `account-key-required`
   *   without the account key that the account has; `policy` for another platform than it was enrolled with;
   *   `malformed`, `unsupported`, `limit-exceeded`
   */
  async connect(proof: Uint8Array): Promise<{ account: string; client: string; state: 'provisional' | 'locked' }> {
    const claim = readProof(proof)
    const challenge = checkChallenge(claim.challenge, this.#realm, this.#server)
    if (!(await this.#store.takeChallenge(challenge))) {
      throw new KeystrataError('expired', 'this challenge was answered before, or too late, or never given')
    }
    const { account, client } = claim
    // The client first: its row is written last.
    const clientRead = await this.#readClient(account, client)
    const accountRead = await this.#readAccount(account)
    if (clientRead === undefined || accountRead === undefined) throw notEnrolled(client)
    if (!sameKey(clientRead.row.privateKey, claim.privateKey)) throw keyChanged('private')
    assertAccountKey(accountRead.row.accountKey, claim.accountKey)
    if (clientRead.row.platform !== claim.platform) {
      throw new KeystrataError('policy', 'another platform than this client was enrolled with', { rule: 'platform' })
    }
    return { account, client, state: clientRead.row.state === ClientState.locked ? 'locked' : 'provisional' }
  }

  /**
   * Locks the private key of a client: call it before its first backup is committed. Again does nothing.
   * @throws KeystrataError `key-not-found` for a client that is not enrolled; `conflict` if others write first, every time
   */
  async commitFirstBackup(account: string, client: string): Promise<void> {
    const names = [parseName(account, 'account'), parseName(client, 'client')] as const
    await this.#retrying(async () => {
      const read = await this.#readClient(...names)
      if (read === undefined) throw notEnrolled(client)
      if (read.row.state === ClientState.locked) return true
      const row: ClientRow = { ...read.row, state: ClientState.locked }
      return this.#write(...names, encode(clientRow, row), read.version)
    })
  }

  async #readAccount(account: string): Promise<{ row: AccountRow; version: number } | undefined> {
    const read = await this.#store.read(account, ACCOUNT_ROW)
    return read && { row: decode(accountRow, read.row, 'row of an account'), version: read.version }
  }

  async #readClient(account: string, client: string): Promise<{ row: ClientRow; version: number } | undefined> {
    const read = await this.#store.read(account, client)
    return read && { row: decode(clientRow, read.row, 'row of a client'), version: read.version }
  }

  #write(account: string, client: string, row: Uint8Array, version = 0): Promise<boolean> {
    return this.#store.write(account, client, row, nextVersion(version))
  }

  async #retrying(attempt: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) if (await attempt()) return
    throw new KeystrataError('conflict')
  }
}

/** The row of an account with one more client, or one that came again, if the rules between its clients hold. */
function withClient(stored: AccountRow, claim: Claim): AccountRow {
  const name = utf8(claim.client)
  const others = stored.clients.filter(({ client }) => !sameBytes(client, name))
  if (stored.accountKey !== undefined) assertAccountKey(stored.accountKey, claim.accountKey)
  const accountKey = stored.accountKey ?? claim.accountKey
  const clients = [...others, { client: name, platform: claim.platform }]
  const hasPhone = clients.some(({ platform }) => platform === Platform.ios || platform === Platform.android)
  if (accountKey === undefined && (clients.length > 1 || hasPhone)) {
    const why = hasPhone ? 'an account with a phone' : 'an account with several clients'
    throw new KeystrataError('account-key-required', `${why} needs an account key`)
  }
  if (hasPhone && accountKey?.type !== KeyType['AES-128']) {
    throw new KeystrataError('policy', 'an account with a phone needs an account key of type AES-128', {
      rule: 'phone-account-key',
    })
  }
  return { version: ROW_VERSION, accountKey, clients: clients.sort(byName) }
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

/** Names and rows are no secrets. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

const byName = (a: { client: Uint8Array }, b: { client: Uint8Array }): number => {
  const at = a.client.findIndex((byte, index) => byte !== b.client[index])
  return at < 0 ? a.client.length - b.client.length : (a.client[at] ?? 0) - (b.client[at] ?? 0)
}
