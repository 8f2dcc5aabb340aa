// A client with its typed keys: three scopes to back up into, and the proofs that its server asks for (SPEC §13, §14).
import type { DeviceKey } from '../device/device-key.ts'
import { DES_56, type Platform, PLATFORMS } from './layout.ts'
import { assertExpected, openHandle, sealHandle } from '../device/saved.ts'
import { decodeClient, encodeClient } from './client-keys.ts'
import type { BlockReader, BlockWriter, StoredBlock } from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import type { HashOptions } from '../core/password.ts'
import { setRecipe } from '../core/recipe.ts'
import { copyKeys, disposeKeys, type Handle, SecretHolder } from '../core/secret.ts'
import { numberOf, parseName } from '../core/text.ts'
import { notOwned, parseClientBlock, type ScopeCipher } from './block.ts'
import { sealEscrow } from './escrow.ts'
import { checkChallenge, type Claimant, encodeEnrolment, encodeProof } from './proof.ts'
import { cipherOf, type ClientScope, OpenScope, type ScopeKeys, SCOPES } from './scope.ts'
import { type ClientKey, deriveTypedKey, type TypedKey } from './typed-key.ts'

/**
 * Who a client is, and the texts of its keys. In names capitals and spaces count: take them from the product's login.
 * @example
 * ```ts
 * import { type ClientOptions, generateTypedKey } from 'keystrata/client'
 *
 * const names = { realm: 'com.example.backup', account: 'customer-17', name: 'laptop', platform: 'mac' } as const
 * const options: ClientOptions = { ...names, privateKey: generateTypedKey('AES-256') }
 * ```
 */
export interface ClientOptions extends HashOptions {
  /** A constant of the product, never a host name. */
  realm: string
  /** The customer's account: its clients share the account key. */
  account: string
  /** The name of this client in the account. */
  name: string
  /** What it runs on: an account with phones needs an AES-128 account key. */
  platform: Platform
  /** Encrypts what only this client needs. */
  privateKey: TypedKey
  /** Encrypts what the clients of the account have in common; needed once the account has several. */
  accountKey?: TypedKey
}

/**
 * A client that has its keys. What it sealed opens here, and for every client that is made with the same texts and names:
 * two clients with one private text read each other's private blocks.
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
   * Opens a block of whatever scope its envelope says, public ones too, which anybody can make: that is right where the
   * label comes from something that was sealed. Where the store gives the label, open by a {@link Client.scope}.
   * @throws KeystrataError `key-not-found` for a block of another client, another account, or another key model;
   *   `authentication-failed`, `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  open(block: StoredBlock): Promise<Bytes>
  /**
   * One scope, which seals and opens its own blocks; it lives as long as the client.
   * @throws KeystrataError `account-key-required` for `account` without an account key; `disposed`
   * @throws TypeError for a scope that is none
   */
  scope(which: 'private' | 'account' | 'public'): BlockWriter & BlockReader
  /**
   * The same client with an account key, or with another one, under which old blocks of the account do not open. Enrol the
   * new client: the server takes the first account key of an account, and no other.
   * @throws KeystrataError `limit-exceeded`, `aborted` as {@link deriveClient}; `disposed`
   */
  withAccountKey(key: TypedKey, options?: HashOptions): Promise<Client>
  /**
   * What a server keeps to know these keys again: it holds no key, and who may enrol is for the product's login to decide.
   * @throws KeystrataError `disposed`
   */
  enrolment(): Bytes
  /**
   * Proves the keys to a server, on every connection.
   * @param challenge what the server sent
   * @param options `server`: whom this client believes it talks to; the name, not an address that somebody else may answer
   *   at
   * @throws KeystrataError `authentication-failed` for the challenge of another realm or another server; `malformed`,
   *   `unsupported`, `limit-exceeded`, `disposed`
   */
  prove(challenge: Uint8Array, options: { server: string }): Bytes
  /**
   * The keys for a provider to keep, who cannot read them, and the code that opens them, which only the customer must have:
   * on paper, and never sent to who has the escrow. Both together are worth as much as the keys. Again gives another code;
   * which deposit the server keeps is the last one's, and codes open no other. Deposit again when the account key was set.
   * @returns `activationCode`: 130 random bits as six groups of five letters and digits
   * @throws KeystrataError `policy` for a client under DES-56; `disposed`
   */
  safeguard(): { escrow: Bytes; activationCode: string }
  /**
   * Everything in this handle, sealed under the key of this device, so that {@link openSavedClient} needs no texts.
   * @throws KeystrataError `policy` for a client under DES-56; `disposed`
   * @throws TypeError if it is no device key of this copy of the library
   */
  save(device: DeviceKey): Bytes
}

/** Makes the private scope of a client: one under DES-56 has another cipher. */
export type PrivateScope = (claimant: Claimant) => ScopeCipher

const aesScope: PrivateScope = (claimant) => cipherOf(scopeKeysOf(claimant, 'private'))

/** @throws KeystrataError `account-key-required` for the scope `account` without an account key */
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

const noAccountKey = (): KeystrataError => new KeystrataError('account-key-required', 'this client has no account key')

/** What a thread needs to open the blocks of a client. */
export interface ClientRecipe {
  readonly kind: 'client'
  readonly claimant: Claimant
}

/** What a thread needs to seal and open the blocks of one scope. */
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
  /** One each: a pool keeps keys for every handle that it sees. */
  readonly #opened: Map<ClientScope, OpenScope> = new Map()

  /** Takes the keys over. */
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
    // A cipher of somebody else's is not known elsewhere.
    if (privateScope === aesScope) setRecipe(this, (): ClientRecipe => ({ kind: 'client', claimant }))
  }

  get #reader(): { readonly des: boolean } {
    return { des: this.#claimant.privateKey.type === DES_56 }
  }

  scope(which: ClientScope): BlockWriter & BlockReader {
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
    const cipher = [...this.#scopes.values()].find((each) => each.owns(parsed))
    if (cipher === undefined) throw notOwned()
    return cipher.open(parsed)
  }

  async withAccountKey(key: TypedKey, options: HashOptions = {}): Promise<Client> {
    this.assertUsable()
    // With keys of its own, whatever happens to this handle while the hash runs.
    const kept = copyKeys({ ...this.#claimant, accountKey: undefined })
    let accountKey: ClientKey
    try {
      accountKey = await deriveTypedKey({ ...key }, 'account', kept, options)
    } catch (error) {
      disposeKeys(kept)
      throw error
    }
    return new TypedClient({ ...kept, accountKey }, this.#privateScope)
  }

  enrolment(): Bytes {
    this.assertUsable()
    return encodeEnrolment(this.#claimant)
  }

  prove(challenge: Uint8Array, options: { server: string }): Bytes {
    this.assertUsable()
    const server = parseName(options.server, 'server')
    return encodeProof(this.#claimant, checkChallenge(challenge, this.#claimant.realm, server))
  }

  safeguard(): { escrow: Bytes; activationCode: string } {
    this.assertUsable()
    // Before 1970 a clock is wrong, and an escrow no worse for it.
    return sealEscrow(this.#claimant, Math.max(0, Date.now()))
  }

  save(device: DeviceKey): Bytes {
    this.assertUsable()
    return sealHandle(device, 'client', encodeClient(this.#claimant))
  }
}

/**
 * A client from the texts of its keys, which are hashed by Argon2id (64 MiB, 3 passes, 4 lanes), one after the other. The
 * same texts and names give the same keys on any machine. Without the texts, and realm and account letter by letter, what
 * is sealed is lost for good: nobody can recover them.
 * @throws KeystrataError `limit-exceeded` for a key or a name that is empty or too long, with the rule in the message;
 *   `aborted`
 * @throws TypeError for a type or a platform that is none, and for texts that are none
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
  const { platform, privateKey, accountKey, signal, onProgress, argon2 } = options
  const names = parseNames(options, platform)
  if (typeof privateKey !== 'object') throw new TypeError('privateKey is { type, text }')
  // Copies: the caller's objects may change while the first hash runs.
  const typed = [{ ...privateKey }, ...(accountKey === undefined ? [] : [{ ...accountKey }])]
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
 * What a client is called.
 * @throws KeystrataError `limit-exceeded` for a name that is empty or too long
 * @throws TypeError for what is no text, and no platform
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

/** The handle of these keys, which it takes over. */
export const openedClient = (claimant: Claimant, privateScope: PrivateScope = aesScope): Client =>
  new TypedClient(claimant, privateScope)

/**
 * Opens a client that its handle's `save` sealed on this device, without the texts of its keys.
 * @param saved the bytes that `save` returned
 * @param expected the client that you expect, so that swapped rows are noticed
 * @throws KeystrataError `policy` if it is another client; `key-not-found` if another device saved it; `unsupported` if it is another
 *   kind of handle; `malformed` for damaged bytes; `authentication-failed`, `limit-exceeded`, `disposed`
 * @throws TypeError if it is no device key of this copy of the library
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
  const names = { account: parseName(expected.account, 'account'), name: parseName(expected.name, 'name') }
  const claimant = openHandle(device, 'client', saved, decodeClient)
  try {
    assertExpected({ account: claimant.account, name: claimant.client }, names)
  } catch (error) {
    disposeKeys(claimant)
    throw error
  }
  return openedClient(claimant)
}
