// A client and its typed keys (SPEC §16, §17). A client backs up into three scopes and proves its keys to its server.
import type { DeviceKey } from '../device/device-key.ts'
import { DES_56, type Platform, PLATFORMS } from './layout.ts'
import { assertExpected, openHandle, sealHandle } from '../device/saved.ts'
import { decodeClient, encodeClient } from './saved-client.ts'
import type { BlockReader, StoredBlock } from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { fieldsFrom, optionsFrom, type Rules } from '../core/options.ts'
import { HASH_OPTIONS, type HashOptions } from '../core/password.ts'
import { setRecipe } from '../core/recipe.ts'
import { copyKeys, disposeKeys, type Handle, SecretHolder } from '../core/secret.ts'
import { numberOf, parseName } from '../core/text.ts'
import type { Keys } from '../state/keys.ts'
import { notOwned, parseClientBlock, type ScopeCipher } from './block.ts'
import { sealEscrow } from './escrow.ts'
import { checkChallenge, type Claimant, encodeEnrolment, encodeProof } from './proof.ts'
import { cipherOf, type ClientScope, OpenScope, type ScopeKeys, SCOPES } from './scope.ts'
import { type ClientKey, deriveTypedKey, type TypedKey, typedKeyFrom } from './typed-key.ts'

/**
 * Names a client and holds the texts of its keys. Names are case-sensitive and spaces count: take them from the
 * product's login.
 * @example
 * ```ts
 * import { type ClientOptions, generateTypedKey } from 'keystrata/client'
 *
 * const names = { realm: 'com.example.backup', account: 'customer-17', name: 'laptop', platform: 'mac' } as const
 * const options: ClientOptions = { ...names, privateKey: generateTypedKey('AES-256') }
 * ```
 */
export interface ClientOptions extends HashOptions {
  /** A constant of the product, for example `com.example.backup`. Never a host name. */
  realm: string
  /** The customer's account. All clients of an account share the account key. */
  account: string
  /** The name of this client within the account. */
  name: string
  /** The operating system of this client. An account with phones needs an AES-128 account key. */
  platform: Platform
  /** The key for data that only this client needs. */
  privateKey: TypedKey
  /** The key for data that the clients of the account share. Required once the account has several clients. */
  accountKey?: TypedKey | undefined
}

export const CLIENT_OPTIONS: Rules<Omit<ClientOptions, 'accountKey'>> = {
  realm: 'required',
  account: 'required',
  name: 'required',
  platform: 'required',
  privateKey: 'required',
  onProgress: 'optional',
  signal: 'optional',
  argon2: 'optional',
}

/**
 * A client with its keys. It opens what it sealed, on this machine or on any other where it is derived from the same
 * texts and names. Two clients of an account with the same private key text can read each other's private blocks.
 * @example
 * ```ts
 * import type { Client } from 'keystrata/client'
 *
 * function connect(client: Client, challenge: Uint8Array, send: (proof: Uint8Array) => Promise<void>) {
 *   return send(client.prove(challenge, { server: 'storage-1' }))
 * }
 * ```
 */
export interface Client extends BlockReader, Handle {
  readonly realm: string
  readonly account: string
  readonly name: string
  /**
   * Opens a private block or an account block; the envelope says which. Public blocks open only by their scope, because
   * anyone can create one: an attacker who writes to the store could put one in the place of a private block.
   * @throws KeystrataError `key-not-found` if the block belongs to another client, account or key model
   * @throws KeystrataError `policy` if it is a public block: use `scope('public')`
   * @throws KeystrataError `authentication-failed`, `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  open(block: StoredBlock): Promise<Bytes>
  /**
   * Returns one scope, which seals and opens its own blocks and records only. It is usable until the client is disposed
   * of. The scope `public`, and the private scope of a DES-56 client, have no records: `policy`.
   * @throws KeystrataError `account-key-required` if `which` is `account` and the client has no account key
   * @throws KeystrataError `disposed` if the client was disposed of
   * @throws TypeError for an unknown scope
   */
  scope(which: 'private' | 'account' | 'public'): Keys
  /**
   * Returns the same client with this account key. It replaces the account key that the client has, if any; the new
   * client cannot open account blocks under the old one. Enrol the new client if no client of the account has enrolled
   * an account key yet. The server accepts only the first account key that was enrolled for the account.
   * @throws KeystrataError `invalid-text`, `unsupported` or `aborted` as in {@link deriveClient}
   * @throws KeystrataError `disposed` if the client was disposed of
   */
  withAccountKey(key: TypedKey, options?: HashOptions): Promise<Client>
  /**
   * Creates the enrolment, which answers a challenge. With it, a server can recognise these keys later. It contains names
   * and public keys, no secrets. The server takes it once, within a minute. The product's login must decide who may enrol.
   * @param challenge the challenge that the server sent, for this enrolment alone
   * @param options `server`: the name of the server that this client enrols with, as in {@link Client.prove}
   * @throws KeystrataError `authentication-failed` if the challenge is from another realm or another server
   * @throws KeystrataError `invalid-text` if `server` is not a name
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  enrolment(challenge: Uint8Array, options: { server: string }): Bytes
  /**
   * Proves the keys to a server. Call it on every connection.
   * @param challenge the challenge that the server sent, for this proof alone
   * @param options `server`: the name of the server that this client connects to. Use a name, not an address:
   *   another server may answer at an address
   * @throws KeystrataError `authentication-failed` if the challenge is from another realm or another server
   * @throws KeystrataError `invalid-text` if `server` is not a name
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  prove(challenge: Uint8Array, options: { server: string }): Bytes
  /**
   * Seals the keys into an escrow, which the provider can keep but not read, under a new activation code. Only the
   * customer may have the code: print it, and never send it to the holder of the escrow. Anyone who has both has the
   * keys. Each call generates a new code. The server keeps only the latest escrow, which only its own code opens. Call
   * this again after you set the account key.
   * @returns `activationCode`: 130 random bits and a checksum, as six groups of five letters and digits
   * @throws KeystrataError `policy` if the private key is of type DES-56
   * @throws KeystrataError `disposed` if the client was disposed of
   */
  safeguard(): { escrow: Bytes; activationCode: string }
  /**
   * Seals everything in this handle under the device key, so that {@link openSavedClient} can open it without the key
   * texts.
   * @throws KeystrataError `policy` if the private key is of type DES-56
   * @throws KeystrataError `disposed` if the client or the device key was disposed of
   * @throws TypeError if `device` is not a device key of this copy of the library
   */
  save(device: DeviceKey): Bytes
}

/** Creates the cipher of a client's private scope. A DES-56 client has another cipher. */
export type PrivateScope = (claimant: Claimant) => ScopeCipher

const aesScope: PrivateScope = (claimant) => cipherOf(scopeKeysOf(claimant, 'private'))

/**
 * Returns the keys of a scope.
 * @throws KeystrataError `account-key-required` if the scope is `account` and the client has no account key
 */
function scopeKeysOf({ realm, account, privateKey, accountKey }: Claimant, scope: ClientScope): ScopeKeys {
  switch (scope) {
    case 'private':
      return { scope, account, key: privateKey }
    case 'account':
      if (accountKey === undefined) throw noAccountKey()
      return { scope, account, key: accountKey }
    case 'public':
      return { scope, realm }
  }
}

const noAccountKey = (): KeystrataError =>
  new KeystrataError('account-key-required', 'this client has no account key: set one with withAccountKey')

const anybodys = (): KeystrataError =>
  new KeystrataError('policy', "this block is public, so anybody may have made it: open it by scope('public')", {
    rule: 'public-scope',
  })

/** What a worker thread needs to open the blocks of a client. */
export interface ClientRecipe {
  readonly kind: 'client'
  readonly claimant: Claimant
}

/** What a worker thread needs to seal and open the blocks of one scope. */
export interface ScopeRecipe {
  readonly kind: 'scope'
  readonly keys: ScopeKeys
}

class TypedClient extends SecretHolder implements Client {
  readonly realm: string
  readonly account: string
  readonly name: string
  readonly #claimant: Claimant
  readonly #privateScope: PrivateScope
  readonly #scopes: ReadonlyMap<ClientScope, ScopeCipher>
  /** One handle per scope, because a pool keeps keys for every handle that it sees. */
  readonly #opened: Map<ClientScope, OpenScope> = new Map()

  /** Takes ownership of the keys. */
  constructor(claimant: Claimant, privateScope: PrivateScope) {
    const { realm, account, client, accountKey } = claimant
    const scopes: Map<ClientScope, ScopeCipher> = new Map()
    const disposeAll = () => {
      disposeKeys(claimant)
      for (const scope of scopes.values()) scope.dispose()
    }
    try {
      scopes.set('private', privateScope(claimant))
      scopes.set('public', cipherOf(scopeKeysOf(claimant, 'public')))
      if (accountKey !== undefined) scopes.set('account', cipherOf(scopeKeysOf(claimant, 'account')))
    } catch (error) {
      disposeAll()
      throw error
    }
    super('client', disposeAll)
    this.realm = realm
    this.account = account
    this.name = client
    this.#claimant = claimant
    this.#privateScope = privateScope
    this.#scopes = scopes
    // A worker thread can only recreate the AES scope.
    if (privateScope === aesScope) setRecipe(this, (): ClientRecipe => ({ kind: 'client', claimant }))
  }

  get #reader(): { readonly des: boolean } {
    return { des: this.#claimant.privateKey.type === DES_56 }
  }

  scope(which: ClientScope): Keys {
    this.assertUsable()
    numberOf(SCOPES, which, 'scope')
    const known = this.#opened.get(which)
    if (known !== undefined) return known
    const cipher = this.#scopes.get(which)
    if (cipher === undefined) throw noAccountKey()
    const scope = new OpenScope(cipher, this.#reader, () => this.assertUsable())
    if (this.#privateScope === aesScope) {
      setRecipe(scope, (): ScopeRecipe => {
        this.assertUsable()
        return { kind: 'scope', keys: scopeKeysOf(this.#claimant, which) }
      })
    }
    this.#opened.set(which, scope)
    return scope
  }

  async open(block: StoredBlock): Promise<Bytes> {
    this.assertUsable()
    const parsed = parseClientBlock(block, this.#reader)
    const [scope, cipher] = [...this.#scopes].find(([, each]) => each.owns(parsed)) ?? []
    if (cipher === undefined) throw notOwned(parsed)
    if (scope === 'public') throw anybodys()
    return cipher.open(parsed)
  }

  async withAccountKey(key: TypedKey, options?: HashOptions): Promise<Client> {
    this.assertUsable()
    const typed = typedKeyFrom(key, 'the account key')
    const hashing = optionsFrom(options, HASH_OPTIONS, 'withAccountKey')
    // Copies, because this handle may be disposed of while the hash runs.
    const kept = copyKeys({ ...this.#claimant, accountKey: undefined })
    let accountKey: ClientKey
    try {
      accountKey = await deriveTypedKey(typed, 'account', kept, hashing)
    } catch (error) {
      disposeKeys(kept)
      throw error
    }
    return new TypedClient({ ...kept, accountKey }, this.#privateScope)
  }

  enrolment(challenge: Uint8Array, options: { server: string }): Bytes {
    this.assertUsable()
    return encodeEnrolment(this.#claimant, this.#challengeFrom(challenge, options, 'enrolment'))
  }

  prove(challenge: Uint8Array, options: { server: string }): Bytes {
    this.assertUsable()
    return encodeProof(this.#claimant, this.#challengeFrom(challenge, options, 'prove'))
  }

  /** Checks a challenge against the server that the caller expects. */
  #challengeFrom(challenge: Uint8Array, options: { server: string } | undefined, method: string): Bytes {
    const { server } = optionsFrom(options, { server: 'required' }, method, ': pass the name of the server')
    return checkChallenge(challenge, this.#claimant.realm, parseName(server, 'server'))
  }

  safeguard(): { escrow: Bytes; activationCode: string } {
    this.assertUsable()
    // A clock before 1970 is wrong, but the escrow is still usable.
    return sealEscrow(this.#claimant, Math.max(0, Date.now()))
  }

  save(device: DeviceKey): Bytes {
    this.assertUsable()
    return sealHandle(device, 'client', encodeClient(this.#claimant))
  }
}

/**
 * Derives a client from the texts of its keys. Each text is hashed by Argon2id (64 MiB, 3 passes, 4 lanes), one after
 * the other. The same texts, realm and account give the same keys on any machine. If you lose the key texts, or do not
 * know realm and account exactly, the sealed data cannot be recovered.
 * @throws KeystrataError `invalid-text` if a key or a name is empty or too long, or has a character that no text may have,
 *   such as a line end; `detail` says which
 * @throws KeystrataError `unsupported` if the runtime has no Unicode data
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError for an unknown type or platform, and for a key or name that is not a string
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { deriveClient } from 'keystrata/client'
 *
 * const names = { realm: 'com.example.backup', account: 'customer-17', name: 'nas', platform: 'linux' } as const
 * using client = await deriveClient({ ...names, privateKey: { type: 'AES-256', text: 'typed by the customer' } })
 * const block = await client.scope('private').seal(new TextEncoder().encode('my file'))
 * console.log(new TextDecoder().decode(await client.open(block))) // my file
 * ```
 */
export async function deriveClient(options: ClientOptions): Promise<Client> {
  const given = optionsFrom(options, { ...CLIENT_OPTIONS, accountKey: 'optional' }, 'deriveClient')
  const { platform, privateKey, accountKey, signal, onProgress, argon2 } = given
  const names = parseNames(given, platform)
  // Copies: the caller's objects may change while the first hash runs.
  const typed = [typedKeyFrom(privateKey, 'privateKey')]
  if (accountKey !== undefined) typed.push(typedKeyFrom(accountKey, 'accountKey'))
  const keys: ClientKey[] = []
  try {
    for (const [index, each] of typed.entries()) {
      const wait: HashOptions = {
        argon2,
        signal,
        onProgress: (fraction) => onProgress?.((index + fraction) / typed.length),
      }
      keys.push(await deriveTypedKey(each, index === 0 ? 'private' : 'account', names, wait))
    }
    const [first, second] = keys as [ClientKey, ClientKey?]
    return openedClient({ ...names, privateKey: first, accountKey: second })
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

/**
 * Parses the names of a client and its platform.
 * @throws KeystrataError `invalid-text` if a name is empty or over 255 bytes, or has a character that no name may have
 * @throws TypeError if a name is not a string, and for an unknown platform
 */
export function parseNames(
  given: Pick<ClientOptions, 'realm' | 'account' | 'name'>,
  platform: Platform,
): Pick<Claimant, 'realm' | 'account' | 'client' | 'platform'> {
  return {
    realm: parseName(given.realm, 'realm'),
    account: parseName(given.account, 'account'),
    client: parseName(given.name, 'name'),
    platform: numberOf(PLATFORMS, platform, 'platform'),
  }
}

/** Creates the handle of a client. It takes ownership of the keys. */
export const openedClient = (claimant: Claimant, privateScope: PrivateScope = aesScope): Client =>
  new TypedClient(claimant, privateScope)

/**
 * Opens a client that `save` sealed on this device. It needs no key texts.
 * @param saved the bytes that `save` returned
 * @param expected the client that the caller expects, so that swapped database rows are noticed
 * @throws KeystrataError `policy` if it is another client
 * @throws KeystrataError `key-not-found` if another device saved it
 * @throws KeystrataError `unsupported` if it is another kind of handle
 * @throws KeystrataError `malformed` if the bytes are damaged
 * @throws KeystrataError `invalid-text` if an expected name is not a name
 * @throws KeystrataError `authentication-failed`, `limit-exceeded`, `disposed`
 * @throws TypeError if `device` is not a device key of this copy of the library
 * @example
 * ```ts
 * import { openSavedClient } from 'keystrata/client'
 * import type { DeviceKey } from 'keystrata/device'
 *
 * function atNight(saved: Uint8Array, device: DeviceKey) {
 *   return openSavedClient(saved, device, { account: 'customer-17', name: 'desktop' })
 * }
 * ```
 */
export function openSavedClient(
  saved: Uint8Array,
  device: DeviceKey,
  expected: { account: string; name: string },
): Client {
  const { account, name } = fieldsFrom(expected, { account: 'required', name: 'required' }, 'expected')
  const names = { account: parseName(account, 'account'), name: parseName(name, 'name') }
  const claimant = openHandle(device, 'client', saved, decodeClient)
  try {
    assertExpected({ account: claimant.account, name: claimant.client }, names)
  } catch (error) {
    disposeKeys(claimant)
    throw error
  }
  return openedClient(claimant)
}
