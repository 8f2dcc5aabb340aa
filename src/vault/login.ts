// Derives the login key (L-key) and the root key (R-key) from a password, with one PBKDF2 (SPEC §12). The login key is
// sent to the server instead of the password. The root key never leaves the device. Neither key reveals the other. Not
// protected: a weak password, which anyone who has a profile or a verifier can guess offline.
import { type Bytes, copyOf, domain, fromBase64Url, lengthPrefixed, toBase64Url, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed } from '../core/errors.ts'
import { fieldsFrom, optionsFrom } from '../core/options.ts'
import { stretchPassword } from '../core/password.ts'
import { type Handle, SecretHolder, SecretKey, wiping, withBytes } from '../core/secret.ts'
import { parseName, parseUserName, readSavedName } from '../core/text.ts'
import type { DeviceKey } from '../device/device-key.ts'
import { assertExpected, openHandle, sealHandle } from '../device/saved.ts'
import type { Wait } from '../primitives/backend.ts'
import { sha512 } from '../primitives/hash.ts'
import type { UserNames } from './keyring.ts'
import { savedLogin } from './layout.ts'

/** Fixed by the format, because a malicious server that could choose the iterations would choose too few. */
const ITERATIONS = 600_000

/** The length of each key. Both keys fit into one PBKDF2 block, so an attacker cannot compute one at half the cost. */
const KEY_BYTES = 24

/**
 * A login that was derived from a password. It holds the credential for the server, and the root key that the server
 * never learns.
 * @example
 * ```ts
 * import type { Login } from 'keystrata/vault'
 *
 * const requestBody = ({ user, credential }: Login) => JSON.stringify({ user, credential }) // over TLS
 * ```
 */
export interface Login extends Handle {
  /** The product's constant, in NFC, with every Unicode space replaced by U+0020. */
  readonly realm: string
  /** The user's name, normalised like the realm and in lower case. */
  readonly user: string
  /**
   * The string to send to log in: unpadded base64url of the login key, 32 characters. Keep it as secret as the
   * password.
   */
  readonly credential: string
  /**
   * Seals this login under a device key, so that {@link openSavedLogin} can open it without the password.
   * @throws KeystrataError `disposed` if the login or the device key was disposed of
   * @throws TypeError if `device` is not a device key of this copy of the library
   */
  save(device: DeviceKey): Bytes
}

/** The owner of a profile, and the root key that opens it. */
export interface ProfileOwner extends UserNames {
  readonly rootKey: SecretKey<'root'>
}

class DerivedLogin extends SecretHolder implements Login {
  readonly realm: string
  readonly user: string
  readonly #credential: string
  readonly #rootKey: SecretKey<'root'>

  /** Takes ownership of the root key. */
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

/**
 * Returns the names in a login and a copy of its root key, which the caller disposes of.
 * @throws KeystrataError `disposed` if the login was disposed of
 * @throws TypeError if it is not a login of this copy of the library
 */
export const ownerOf = (login: Login): ProfileOwner => DerivedLogin.ownerOf(login)

/**
 * Derives a user's login from their password: the credential that logs them in, and the key that opens their profile.
 * Uses PBKDF2-HMAC-SHA-512 (RFC 8018) with 600,000 iterations. This takes about 0.3 s in native code and 3 s in
 * portable code. The same password, realm and user give the same login on every device.
 * @param password any text with a character that can be seen. It is normalised to NFC, with every Unicode space replaced
 *   by U+0020
 * @param account `realm`: a constant of your product, but not a host name, which may change. `user`: a name that never
 *   changes; upper and lower case are the same. Each has 1 to 255 bytes. A different name gives different keys, so a
 *   user cannot be renamed
 * @param options with native code, progress is reported only at the start and the end, and an abort ends the wait but
 *   not the computation
 * @throws KeystrataError `invalid-text` if a text is empty, a name is too long, or a text has a character that no text may
 *   have, such as a line end; `detail` says which
 * @throws KeystrataError `unsupported` if the runtime has no Unicode data
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError if a text is not a string, or for an unknown option
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
  options?: Wait,
): Promise<Login> {
  const { realm, user } = namesFrom(account, 'account')
  const wait = optionsFrom(options, { onProgress: 'optional', signal: 'optional' }, 'deriveLogin')
  const salt = saltOf(realm, user)
  const derived = await stretchPassword(password, salt, { iterations: ITERATIONS, length: 2 * KEY_BYTES }, wait)
  using _ = wiping(derived)
  const credential = toBase64Url(derived.subarray(0, KEY_BYTES))
  return new DerivedLogin(realm, user, credential, new SecretKey('root', derived.subarray(KEY_BYTES)))
}

function namesFrom(given: UserNames, what: string): UserNames {
  const { realm, user } = fieldsFrom(given, { realm: 'required', user: 'required' }, what)
  return { realm: parseName(realm, 'realm'), user: parseUserName(user, 'user') }
}

/**
 * Opens a login that {@link Login.save} sealed on this device. It needs no password.
 * @param saved the bytes that `save` returned
 * @param expected the names of the expected login, to detect rows that were swapped in the database
 * @throws KeystrataError `policy` if it is the login of another user or realm
 * @throws KeystrataError `key-not-found` if another device saved it
 * @throws KeystrataError `unsupported` if it is another kind of handle, or needs a later release
 * @throws KeystrataError `malformed` if the bytes are damaged
 * @throws KeystrataError `authentication-failed` if the bytes were altered
 * @throws KeystrataError `limit-exceeded` if `saved` is too large
 * @throws KeystrataError `invalid-text` if an expected name is not a name
 * @throws KeystrataError `disposed` if the device key was disposed of
 * @throws TypeError if `device` is not a device key of this copy of the library
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
  const names = namesFrom(expected, 'expected')
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

/**
 * Returns the salt of a user. It is the same on every device. It differs for each user, so that an attacker cannot use
 * one precomputed table for two users.
 */
function saltOf(realm: string, user: string): Bytes {
  return copyOf(sha512(domain('login-salt'), lengthPrefixed(utf8(realm)), lengthPrefixed(utf8(user))).subarray(0, 32))
}
