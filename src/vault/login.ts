// Password → login key (the L-key) and root key (the R-key), by one PBKDF2 (SPEC §8). The login key goes to the server in
// place of the password; the root key never leaves the device. Neither gives the other.
import { type Bytes, domain, lengthPrefixed, toBase64Url, utf8, wipe } from '../core/bytes.ts'
import { stretchPassword } from '../core/password.ts'
import { type Handle, SecretHolder, SecretKey } from '../core/secret.ts'
import { parseName, parseUserName } from '../core/text.ts'
import type { Wait } from '../primitives/backend.ts'
import { sha512 } from '../primitives/hash.ts'
import type { UserNames } from './keyring.ts'

/** Parameters belong to the format version: a server that could choose them would choose weak ones. */
const ITERATIONS = 600_000

/** Of each of the two. Both fit into one block of PBKDF2, so that whoever guesses pays for both. */
const KEY_BYTES = 24

/**
 * A login that was derived from a password: what the server is told, and the root key that it never learns.
 * @example
 * ```ts
 * import type { Login } from 'keystrata'
 *
 * const requestBody = ({ user, credential }: Login) => JSON.stringify({ user, credential }) // over TLS
 * ```
 */
export interface Login extends Handle {
  /** The product's constant: in NFC, with every kind of space as a space. */
  readonly realm: string
  /** The user's name in the one form that counts: in lower case too. */
  readonly user: string
  /** What is sent to log in: unpadded base64url of the login key, 32 characters. As secret as the password. */
  readonly credential: string
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

  static ownerOf(login: Login): ProfileOwner {
    if (!(login instanceof DerivedLogin)) throw new TypeError('login must come from deriveLogin of this library')
    login.assertUsable()
    return { realm: login.realm, user: login.user, rootKey: login.#rootKey.copy() }
  }
}

/** A login from its parts: names in the form that keys are derived from, 24 bytes, and the root key, which it takes over. */
export function openedLogin(realm: string, user: string, loginKey: Uint8Array, rootKey: SecretKey<'root'>): Login {
  return new DerivedLogin(realm, user, toBase64Url(loginKey), rootKey)
}

export const isLogin = (handle: object): handle is Login => handle instanceof DerivedLogin

/** Whose login it is, with a copy of its root key; it must be a handle of this very library. */
export const ownerOf = (login: Login): ProfileOwner => DerivedLogin.ownerOf(login)

/**
 * Derives what logs a user in and what opens his profile from his password: PBKDF2-HMAC-SHA-512 (RFC 8018), 600,000
 * iterations, 0.3 s in native code and 3 s in portable code. Any device gives the same for the same three texts.
 * @param password any text but the empty one; taken as NFC, with every kind of space as a space
 * @param account `realm`: a constant of the product, never a host name, which may change; `user`: a name that never
 *   changes, in which capitals do not matter; each 1 to 255 bytes. Other names give other keys: a user cannot be renamed
 * @param options native code reports its progress at start and end alone, and an abort ends the wait, not the work
 * @throws KeystrataError `limit-exceeded` for an empty password, an empty or too long name; `aborted`
 * @throws TypeError for texts that are none
 * @example
 * ```ts
 * import { deriveLogin } from 'keystrata'
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
  try {
    return openedLogin(realm, user, derived.subarray(0, KEY_BYTES), new SecretKey('root', derived.subarray(KEY_BYTES)))
  } finally {
    wipe(derived)
  }
}

/** The same on every device, and another for each user, so that no table of passwords serves two. */
function saltOf(realm: string, user: string): Bytes {
  return sha512(domain('login-salt'), lengthPrefixed(utf8(realm)), lengthPrefixed(utf8(user))).slice(0, 32)
}
