// What one device keeps in its own database, under a key of its own (SPEC §15): logins, clients and keysets, so that nobody
// types a password every night, and the passwords of what it backs up.
import { type Bytes, utf8, wipe, fromBase64Url } from '../bytes.ts'
import { answeredAlike, authenticationFailed } from '../errors.ts'
import { decode, encode } from '../format/codec.ts'
import { keysetKeys, loginKeys, SavedKind } from '../format/device.ts'
import { Destination } from '../format/keyset.ts'
import { decodeClientKeys, encodeClientKeys, readSavedName } from '../keys/client-keys.ts'
import {
  decodeDeviceKey,
  encodeOpenKey,
  encodeProtectedKey,
  openSaved,
  openTextValue,
  type Place,
  sealSaved,
  sealTextValue,
} from '../keys/device-key.ts'
import { openKeyset, parseKeyset } from '../keys/keyset-record.ts'
import { isLogin, type Login, openedLogin, ownerOf } from '../keys/login.ts'
import type { HashOptions } from '../primitives/password.ts'
import { randomBytes } from '../primitives/random.ts'
import { disposeKeys, type Handle, SecretHolder, SecretKey, withBytes } from '../secret.ts'
import { parseUserName } from '../text.ts'
import { type Client, claimantOf, isClient, openedClient } from './client.ts'
import { insidesOf, isKeyset, unlocked } from './keyset.ts'
import type { KeysetReader } from './keyset-reader.ts'

/**
 * The key of one device. It protects a database that is stolen, not a machine that is taken while it runs: whoever can read
 * the device key where it is kept can read all of it.
 * @example
 * ```ts
 * import type { DeviceKey, KeysetReader } from 'keystrata'
 *
 * function restart(keyset: KeysetReader, device: DeviceKey) {
 *   const saved = device.save(keyset) // into the device's own database
 *   return device.openKeyset(saved) // every night, without the password
 * }
 * ```
 */
export interface DeviceKey extends Handle {
  /** The key itself, openly: for the keystore of the operating system, and nowhere else. 89 bytes. */
  exportUnprotected(): Bytes
  /**
   * The key under a passphrase (Argon2id, 64 MiB, 3 passes, 4 lanes). 261 bytes.
   * @throws KeystrataError `limit-exceeded` for an empty passphrase; `aborted`, `disposed`
   */
  export(passphrase: string, options?: HashOptions): Promise<Bytes>
  /**
   * Everything that is in a handle, so that it opens again without a password. Nothing binds it to its row in the database,
   * and nothing keeps an older one from being put back: compare the names, or id and version, of what opens with what you
   * expect.
   * @throws KeystrataError `policy` for a client under DES-56, which is for moving its data away; `disposed`
   * @throws TypeError for what is no such handle of this library
   */
  save(handle: Login | Client | KeysetReader): Bytes
  /**
   * @throws KeystrataError `key-not-found` for what another device saved; `unsupported` for another kind of handle;
   *   `malformed` for damaged bytes; `authentication-failed`, `limit-exceeded`, `disposed`
   */
  openLogin(saved: Uint8Array): Login
  /** @throws KeystrataError as {@link DeviceKey.openLogin} */
  openClient(saved: Uint8Array): Client
  /** @throws KeystrataError as {@link DeviceKey.openLogin} */
  openKeyset(saved: Uint8Array): KeysetReader
  /**
   * Seals a short text, a password of a source computer say, for one place in the database: it opens nowhere else.
   * @param text at most 64 KiB of UTF-8; it comes back letter by letter
   * @throws KeystrataError `limit-exceeded`, `disposed`
   * @throws TypeError, RangeError for a place that is none
   */
  sealText(text: string, place: Place): Bytes
  /**
   * @throws KeystrataError `authentication-failed` in any other place, and for altered bytes; `key-not-found` for what
   *   another device sealed; `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  openText(sealed: Uint8Array, place: Place): string
}

class OwnDeviceKey extends SecretHolder implements DeviceKey {
  readonly #key: SecretKey<'device'>

  /** Takes the key over. */
  constructor(key: SecretKey<'device'>) {
    super('device key', () => key.dispose())
    this.#key = key
  }

  exportUnprotected(): Bytes {
    this.assertUsable()
    return encodeOpenKey(this.#key)
  }

  async export(passphrase: string, options: HashOptions = {}): Promise<Bytes> {
    this.assertUsable()
    return encodeProtectedKey(this.#key, passphrase, options)
  }

  save(handle: Login | Client | KeysetReader): Bytes {
    this.assertUsable()
    const { kind, keys } = keysOf(handle)
    try {
      return sealSaved(this.#key, kind, keys)
    } finally {
      wipe(keys)
    }
  }

  openLogin(saved: Uint8Array): Login {
    return this.#opened(saved, SavedKind.login, (bytes) => {
      const keys = decode(loginKeys, bytes, 'saved login')
      const { realm, user, loginKey, rootKey } = keys
      try {
        const names = [readSavedName(realm), readSavedName(user, parseUserName)] as const
        return withBytes(loginKey, (login) => openedLogin(...names, login, rootKey.copy()))
      } finally {
        disposeKeys(keys)
      }
    })
  }

  openClient(saved: Uint8Array): Client {
    return this.#opened(saved, SavedKind.client, (bytes) => openedClient(decodeClientKeys(bytes)))
  }

  openKeyset(saved: Uint8Array): KeysetReader {
    return this.#opened(saved, SavedKind.keyset, (bytes) => {
      const { master, accept, keyset } = decode(keysetKeys, bytes, 'saved keyset')
      try {
        const parsed = parseKeyset(keyset)
        try {
          if (parsed.destination === Destination.host) throw authenticationFailed()
          return unlocked(openKeyset(parsed, master), master.copy(), accept)
        } finally {
          wipe(parsed.bytes)
        }
      } finally {
        master.dispose()
      }
    })
  }

  /** What is under the device key was sealed by it: what is wrong in there is told apart no further. */
  #opened<T>(saved: Uint8Array, kind: number, open: (bytes: Bytes) => T): T {
    this.assertUsable()
    const bytes = openSaved(this.#key, saved, kind)
    try {
      return answeredAlike(() => open(bytes))
    } finally {
      wipe(bytes)
    }
  }

  sealText(text: string, place: Place): Bytes {
    this.assertUsable()
    return sealTextValue(this.#key, text, place)
  }

  openText(sealed: Uint8Array, place: Place): string {
    this.assertUsable()
    return openTextValue(this.#key, sealed, place)
  }
}

/** Everything in a handle. The caller wipes it. */
function keysOf(handle: Login | Client | KeysetReader): { kind: number; keys: Bytes } {
  if (isClient(handle)) return clientKeysOf(handle)
  if (isKeyset(handle)) return keysetKeysOf(handle)
  if (!isLogin(handle)) throw new TypeError('a Login, a Client or a KeysetReader of this library can be saved')
  return loginKeysOf(handle)
}

function clientKeysOf(client: Client): { kind: number; keys: Bytes } {
  const claimant = claimantOf(client)
  try {
    return { kind: SavedKind.client, keys: encodeClientKeys(claimant) }
  } finally {
    disposeKeys(claimant)
  }
}

function keysetKeysOf(reader: KeysetReader): { kind: number; keys: Bytes } {
  const { contents, master, accept } = insidesOf(reader, 'handle')
  const keyset = reader.export(contents.additional === undefined ? 'source-definition' : 'source-storage')
  return { kind: SavedKind.keyset, keys: encode(keysetKeys, { master, accept, keyset }) }
}

function loginKeysOf(login: Login): { kind: number; keys: Bytes } {
  const credential = fromBase64Url(login.credential)
  if (credential === undefined) throw authenticationFailed()
  const { realm, user, rootKey } = ownerOf(login)
  const loginKey = SecretKey.take('login', credential)
  try {
    return {
      kind: SavedKind.login,
      keys: encode(loginKeys, { realm: utf8(realm), user: utf8(user), loginKey, rootKey }),
    }
  } finally {
    loginKey.dispose()
    rootKey.dispose()
  }
}

/**
 * A fresh device key: one for each device, made when it is set up. What is sealed under it is lost with it.
 * @example
 * ```ts
 * import { createDeviceKey } from 'keystrata'
 *
 * using device = createDeviceKey()
 * const place = { table: 'source', row: 'nas', column: 'password', version: 1 }
 * const sealed = device.sealText('of the nas', place)
 * console.log(device.openText(sealed, place)) // of the nas
 * ```
 */
export function createDeviceKey(): DeviceKey {
  return new OwnDeviceKey(SecretKey.take('device', randomBytes(32)))
}

/**
 * Opens a device key.
 * @param stored what `exportUnprotected` or `export` gave
 * @param passphrase for one that is under a passphrase, and only for that
 * @throws KeystrataError `wrong-password` for another passphrase, or none; `policy` for a key that is under no passphrase
 *   although one is given: somebody may have put it there; `malformed` for damaged bytes; `authentication-failed`,
 *   `unsupported`, `limit-exceeded`, `aborted`
 * @example
 * ```ts
 * import { createDeviceKey, openDeviceKey } from 'keystrata'
 *
 * using created = createDeviceKey()
 * const stored = await created.export('a passphrase')
 * using device = await openDeviceKey(stored, 'a passphrase')
 * console.log(device.exportUnprotected().length) // 89
 * ```
 */
export async function openDeviceKey(
  stored: Uint8Array,
  passphrase?: string,
  options: HashOptions = {},
): Promise<DeviceKey> {
  return new OwnDeviceKey(await decodeDeviceKey(stored, passphrase, options))
}
