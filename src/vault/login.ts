// From a password to the login key (the L-key) and the root key (the R-key), by one PBKDF2 (SPEC §8). The login key is sent to the server in
// place of the password. The root key never leaves the device. Neither can be computed from the other.
import { type Bytes, domain, fromBase64Url, lengthPrefixed, toBase64Url, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed } from '../core/errors.ts'
import { stretchPassword } from '../core/password.ts'
import { type Handle, SecretHolder, SecretKey, wiping, withBytes } from '../core/secret.ts'
import { parseName, parseUserName, readSavedName } from '../core/text.ts'
import type { DeviceKey } from '../device/device-key.ts'
import { assertExpected, openHandle, sealHandle } from '../device/saved.ts'
import type { Wait } from '../primitives/backend.ts'
import { sha512 } from '../primitives/hash.ts'
import type { UserNames } from './keyring.ts'
import { savedLogin } from './layout.ts'

/** Fixed by the format: a server that could choose them would choose weak ones. */
const ITERATIONS = 600_000

/** The length of each of the two keys. Both fit into one block of PBKDF2, so a guesser pays for both. */
const KEY_BYTES = 24

/**
 * A login that was derived from a password: what the server is told, and the root key that it never learns.
 * @example
 * ```ts
 * import type { Login } from 'keystrata/vault'
 *
 * const requestBody = ({ user, credential }: Login) => JSON.stringify({ user, credential }) // over TLS
 * ```
 */
export interface Login extends Handle {
  /** The product's constant, in NFC, with every kind of space as a plain space. */
  readonly realm: string
  /** The user's name in its normal form: like the realm, and in lower case. */
  readonly user: string
  /** What is sent to log in: unpadded base64url of the login key, 32 characters. As secret as the password. */
  readonly credential: string
  /**
   * Everything in this handle, sealed under the key of this device, so that {@link openSavedLogin} needs no password.
   * @throws KeystrataError `disposed`
   * @throws TypeError if it is no device key of this copy of the library
   */
  save(device: DeviceKey): Bytes
}

/** Whose profile it is, and what opens it. */
export interface ProfileOwner extends UserNames {
  readonly rootKey: SecretKey<'root'>
}

class DerivedLogin extends SecretHolder implements Login {
  readonly realm: string
  readonly user: string
  readonly #credential: string
  readonly #rootKey: SecretKey<'root'>

  /** The root key becomes part of the handle. */
  constructor(realm: string, user: string, credential: string, rootKey: SecretKey<'root'>) {
    super('login', () => rootKey.dispose())
    this.realm = realm
    this.user = user
    this.#credential = credential
    this.#rootKey = rootKey
  }

  get credential(): string {
    this.assertUsable()
    return this.#credential
  }

  save(device: DeviceKey): Bytes {
    const credential = fromBase64Url(this.credential)
    if (credential === undefined) throw authenticationFailed()
    using loginKey = SecretKey.take('login', credential)
    const names = { realm: utf8(this.realm), user: utf8(this.user) }
    return sealHandle(device, 'login', encode(savedLogin, { ...names, loginKey, rootKey: this.#rootKey }))
  }

  static ownerOf(login: Login): ProfileOwner {
    if (!(login instanceof DerivedLogin)) throw new TypeError('login must be a Login of this copy of the library')
    login.assertUsable()
    return { realm: login.realm, user: login.user, rootKey: login.#rootKey.copy() }
  }
}

/** Whose login it is, with a copy of its root key. @throws TypeError if it is no handle of this copy of the library */
export const ownerOf = (login: Login): ProfileOwner => DerivedLogin.ownerOf(login)

/**
 * Derives, from a user's password, what logs the user in and what opens the user's profile: PBKDF2-HMAC-SHA-512 (RFC 8018), 600,000
 * iterations; 0.3 s in native code and 3 s in portable code. The same three texts give the same login on every device.
 * @param password any text but the empty one; normalised to NFC, with every kind of space as a plain space
 * @param account `realm`: a constant of the product, never a host name, which may change; `user`: a name that never changes, in which
 *   capitals do not matter; each 1 to 255 bytes. Other names give other keys: a user cannot be renamed
 * @param options native code reports its progress only at start and end, and an abort ends the wait, not the work
 * @throws KeystrataError `limit-exceeded` for an empty password and for a name that is empty or too long; `aborted`
 * @throws TypeError for what is not a well-formed text
 * @example
 * ```ts
 * import { deriveLogin } from 'keystrata/vault'
 *
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'User-4711' })
 * console.log(login.user, login.credential.length) // user-4711 32
 * ```
 */
export async function deriveLogin(
  password: string,
  account: { realm: string; user: string },
  options: Wait = {},
): Promise<Login> {
  const realm = parseName(account.realm, 'realm')
  const user = parseUserName(account.user, 'user')
  const salt = saltOf(realm, user)
  const derived = await stretchPassword(password, salt, { iterations: ITERATIONS, length: 2 * KEY_BYTES }, options)
  using _ = wiping(derived)
  const credential = toBase64Url(derived.subarray(0, KEY_BYTES))
  return new DerivedLogin(realm, user, credential, new SecretKey('root', derived.subarray(KEY_BYTES)))
}

/**
 * Opens a login that its handle's `save` sealed on this device, without a password.
 * @param saved the bytes that `save` returned
 * @param expected the login that you expect, so that swapped rows are noticed
 * @throws KeystrataError `policy` if it is another login; `key-not-found` if another device saved it; `unsupported` if it is another
 *   kind of handle; `malformed` for damaged bytes; `authentication-failed`, `limit-exceeded`, `disposed`
 * @throws TypeError if it is no device key of this copy of the library
 * @example
 * ```ts
 * import type { DeviceKey } from 'keystrata/device'
 * import { openSavedLogin } from 'keystrata/vault'
 *
 * function atNight(saved: Uint8Array, device: DeviceKey) {
 *   return openSavedLogin(saved, device, { realm: 'com.example.backup', user: 'user-4711' })
 * }
 * ```
 */
export function openSavedLogin(saved: Uint8Array, device: DeviceKey, expected: { realm: string; user: string }): Login {
  const names = { realm: parseName(expected.realm, 'realm'), user: parseUserName(expected.user, 'user') }
  const login = openHandle(device, 'login', saved, readSaved)
  try {
    assertExpected({ realm: login.realm, user: login.user }, names)
    return login
  } catch (error) {
    login.dispose()
    throw error
  }
}

function readSaved(bytes: Uint8Array): DerivedLogin {
  const { realm, user, loginKey, rootKey } = decode(savedLogin, bytes, 'saved login')
  using _loginKey = loginKey
  try {
    const names = [readSavedName(realm), readSavedName(user, parseUserName)] as const
    return new DerivedLogin(...names, withBytes(loginKey, toBase64Url), rootKey)
  } catch (error) {
    rootKey.dispose()
    throw error
  }
}

/** The same on every device and different for each user, so that no table of passwords serves two users. */
function saltOf(realm: string, user: string): Bytes {
  return sha512(domain('login-salt'), lengthPrefixed(utf8(realm)), lengthPrefixed(utf8(user))).slice(0, 32)
}
