// A device key as bytes, and the values that are sealed under it (SPEC §15). It protects a stolen database, not a machine that
// is running.
// What one device keeps in its own database, under a key of its own (SPEC §15): logins, clients and keysets, so that nobody
// types a password every night, and the passwords of what it backs up.
import { claimantOf, type Client, isClient, openedClient } from '../client/client.ts'
import { decodeClientKeys, encodeClientKeys, readSavedName } from '../client/typed-key.ts'
import {
  type Bytes,
  bytesFrom,
  concat,
  equalBytes,
  fromBase64Url,
  lengthPrefixed,
  u32,
  u64,
  u8,
  utf8,
  wipe,
} from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, keyIdIn, NOBODY, ObjectType, parseHeader, Suite } from '../core/header.ts'
import { DEFAULT_ARGON2_COSTS, type HashOptions, hashPassword } from '../core/password.ts'
import { disposeKeys, type Handle, SecretHolder, SecretKey, withBytes } from '../core/secret.ts'
import { assertText, decodeText, parseUserName } from '../core/text.ts'
import { CHECKSUM_BYTES, copySummed, fillChecksum } from '../core/trailer.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrappedBytes, wrapSecret } from '../core/wrap.ts'
import { openKeyset, parseKeyset } from '../keyset/exports.ts'
import { insidesOf, isKeyset, type KeysetReader, unlocked } from '../keyset/keyset.ts'
import { Destination, keysetKeys } from '../keyset/layout.ts'
import { randomBytes } from '../primitives/random.ts'
import { loginKeys } from '../vault/layout.ts'
import { isLogin, type Login, openedLogin, ownerOf } from '../vault/login.ts'
import {
  MAX_SAVED_BYTES,
  MAX_TEXT_BYTES,
  MAX_TEXT_VALUE_BYTES,
  type Protection,
  SavedKind,
  storedDeviceKey,
  storedHandle,
  TEXT_BLOCK_BYTES,
} from './layout.ts'

const MAX_DEVICE_KEY_BYTES = 4096

/**
 * Where a text value is kept: it opens nowhere else.
 * @example
 * ```ts
 * import type { DeviceKey, Place } from 'keystrata'
 *
 * function replaceText(text: string, place: Place, device: DeviceKey) {
 *   const next: Place = { ...place, version: place.version + 1 }
 *   return { place: next, sealed: device.sealText(text, next) }
 * }
 * ```
 */
export interface Place {
  readonly table: string
  readonly row: string
  readonly column: string
  /** Grows with every change of the value, so that an older one cannot be put back; the caller keeps it elsewhere. */
  readonly version: number
}

const headerOf = (type: number, key: SecretKey<'device'>): Bytes =>
  encodeHeader({ type, suite: Suite.none, keyId: keyIdOf(key), ownerId: NOBODY })

/** The key itself: for the keystore of an operating system. */
export function encodeOpenKey(key: SecretKey<'device'>): Bytes {
  return encodeKey(key, { TAG: 'open', data: key })
}

/** The key under a passphrase. */
export async function encodeProtectedKey(
  key: SecretKey<'device'>,
  passphrase: string,
  options: HashOptions,
): Promise<Bytes> {
  // A copy: the handle may be disposed of while the hash runs.
  const own = key.copy()
  try {
    const { iterations, memoryKiB, lanes } = DEFAULT_ARGON2_COSTS
    const salt = randomBytes(32)
    const over = SecretKey.take('passphrase', await hashPassword(passphrase, salt, DEFAULT_ARGON2_COSTS, options))
    try {
      const wrapped = withBytes(own, (bytes) => wrapSecret(over, bytes, PROTECTED_KEY))
      return encodeKey(own, { TAG: 'protected', data: { iterations, memoryKiB, lanes, salt, wrapped } })
    } finally {
      over.dispose()
    }
  } finally {
    own.dispose()
  }
}

const PROTECTED_KEY: SecretPlace = { type: ObjectType.deviceKey, ownerId: NOBODY, context: new Uint8Array(0) }

function encodeKey(
  key: SecretKey<'device'>,
  content: { TAG: 'open'; data: SecretKey<'device'> } | { TAG: 'protected'; data: Protection },
): Bytes {
  const headerBytes = headerOf(ObjectType.deviceKey, key)
  const whole = encode(storedDeviceKey, { headerBytes, content, checksum: new Uint8Array(CHECKSUM_BYTES) })
  fillChecksum(whole)
  return whole
}

/**
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`; `wrong-password`, also for a protected key without a
 *   passphrase; `policy` for an unprotected one where a passphrase is given; `authentication-failed`
 */
export async function decodeDeviceKey(
  stored: Uint8Array,
  passphrase: string | undefined,
  options: HashOptions,
): Promise<SecretKey<'device'>> {
  const bytes = copySummed(bytesFrom(stored, 'device key'), 'device key', MAX_DEVICE_KEY_BYTES)
  try {
    const header = parseHeader(bytes, 'device key', ObjectType.deviceKey, [Suite.none])
    const { content } = decode(storedDeviceKey, bytes, 'device key')
    const { TAG, data } = content
    const key = TAG === 'open' ? openKey(data, passphrase) : await unlock(data, passphrase, options)
    if (equalBytes(keyIdOf(key), header.keyId) && equalBytes(header.ownerId, NOBODY)) return key
    key.dispose()
    throw authenticationFailed()
  } finally {
    wipe(bytes)
  }
}

function openKey(key: SecretKey<'device'>, passphrase: string | undefined): SecretKey<'device'> {
  if (passphrase === undefined) return key
  key.dispose()
  // Somebody may have put a key of his own in the place of the protected one.
  throw new KeystrataError('policy', 'this device key is under no passphrase', { rule: 'passphrase' })
}

async function unlock(
  { salt, wrapped, ...costs }: Protection,
  passphrase: string | undefined,
  options: HashOptions,
): Promise<SecretKey<'device'>> {
  if (passphrase === undefined) throw new KeystrataError('wrong-password', 'this device key is under a passphrase')
  const over = SecretKey.take('passphrase', await hashPassword(passphrase, salt, costs, options))
  try {
    if (!equalBytes(keyIdOf(over), keyIdIn(wrapped))) throw new KeystrataError('wrong-password')
    const bytes = answeredAlike(() => unwrapSecret(over, wrapped, 'device key', PROTECTED_KEY))
    return SecretKey.take('device', bytes)
  } finally {
    over.dispose()
  }
}

/** Saves the keys of a handle, which the caller wipes. */
export function sealSaved(key: SecretKey<'device'>, kind: number, keys: Uint8Array): Bytes {
  const place = { type: ObjectType.sealedSection, ownerId: NOBODY, context: u8(kind) }
  const whole = encode(storedHandle, {
    headerBytes: headerOf(ObjectType.savedHandle, key),
    kind,
    wrapped: wrapSecret(key, keys, place),
    checksum: new Uint8Array(CHECKSUM_BYTES),
  })
  fillChecksum(whole)
  return whole
}

/**
 * The keys of a saved handle. The caller wipes what it gets.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`; `key-not-found` for one of another device;
 *   `authentication-failed`
 */
export function openSaved(key: SecretKey<'device'>, stored: Uint8Array, kind: number): Bytes {
  const bytes = copySummed(bytesFrom(stored, 'saved handle'), 'saved handle', MAX_SAVED_BYTES)
  const header = parseHeader(bytes, 'saved handle', ObjectType.savedHandle, [Suite.none])
  const { kind: found, wrapped } = decode(storedHandle, bytes, 'saved handle')
  if (found !== kind) throw otherKind(found, kind)
  assertOwn(key, header.keyId)
  if (!equalBytes(header.ownerId, NOBODY)) throw authenticationFailed()
  return answeredAlike(() => {
    const place = { type: ObjectType.sealedSection, ownerId: NOBODY, context: u8(kind) }
    return unwrapSecret(key, wrapped, 'saved handle', place)
  })
}

function otherKind(found: number, kind: number): KeystrataError {
  const [given, expected] = [found, kind].map((each) => SAVED_NAMES.find(([, number]) => number === each)?.[0])
  const message =
    given === undefined ? 'a saved handle of a later release, or damaged' : `a saved ${given}, not a saved ${expected}`
  return new KeystrataError('unsupported', message, { object: 'saved handle', field: 'kind', found })
}

const SAVED_NAMES = Object.entries(SavedKind)

/** @throws KeystrataError `key-not-found` */
function assertOwn(key: SecretKey<'device'>, keyId: Uint8Array): void {
  if (!equalBytes(keyIdOf(key), keyId)) throw new KeystrataError('key-not-found', 'sealed by another device')
}

/** @throws KeystrataError `limit-exceeded` over 64 KiB */
export function sealTextValue(key: SecretKey<'device'>, text: string, place: Place): Bytes {
  const context = contextOf(place)
  const bytes = exactText(text, 'text')
  try {
    if (bytes.length > MAX_TEXT_BYTES) {
      throw new KeystrataError('limit-exceeded', 'a text value has at most 64 KiB', { bytes: bytes.length })
    }
    // Padded, so that its length tells little.
    const padded = new Uint8Array(Math.ceil((4 + bytes.length) / TEXT_BLOCK_BYTES) * TEXT_BLOCK_BYTES)
    try {
      padded.set(u32(bytes.length))
      padded.set(bytes, 4)
      return wrapSecret(key, padded, { type: ObjectType.textValue, ownerId: NOBODY, context })
    } finally {
      wipe(padded)
    }
  } finally {
    wipe(bytes)
  }
}

/** @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `key-not-found`, `authentication-failed` */
export function openTextValue(key: SecretKey<'device'>, sealed: Uint8Array, place: Place): string {
  const context = contextOf(place)
  const given = bytesFrom(sealed, 'text value')
  if (given.length > MAX_TEXT_VALUE_BYTES) {
    throw new KeystrataError('limit-exceeded', 'too large for a text value', { bytes: given.length })
  }
  const bytes = new Uint8Array(given)
  const { keyId } = parseHeader(bytes, 'text value', ObjectType.textValue, [Suite.wrap])
  if (bytes.length < wrappedBytes(0)) throw new KeystrataError('malformed', 'a text value cut short')
  assertOwn(key, keyId)
  const inPlace = { type: ObjectType.textValue, ownerId: NOBODY, context }
  const padded = answeredAlike(() => unwrapSecret(key, bytes, 'text value', inPlace))
  try {
    return readPadded(padded)
  } finally {
    wipe(padded)
  }
}

function readPadded(padded: Uint8Array): string {
  const length = padded.length < 4 ? -1 : new DataView(padded.buffer, padded.byteOffset).getUint32(0)
  const text = padded.subarray(4, 4 + length)
  const isPadded =
    length >= 0 &&
    length <= MAX_TEXT_BYTES &&
    padded.length === Math.ceil((4 + length) / TEXT_BLOCK_BYTES) * TEXT_BLOCK_BYTES &&
    padded.subarray(4 + length).every((byte) => byte === 0)
  if (!isPadded) throw authenticationFailed()
  const decoded = decodeText(text)
  if (decoded === undefined) throw authenticationFailed()
  return decoded
}

function contextOf({ table, row, column, version }: Place): Bytes {
  if (!Number.isSafeInteger(version) || version < 0) throw new RangeError('the version of a place must be an integer')
  const names = [exactText(table, 'table'), exactText(row, 'row'), exactText(column, 'column')]
  return concat(...names.map(lengthPrefixed), u64(version))
}

/** UTF-8 of a text as it is: what was sealed comes back letter by letter. */
function exactText(text: string, what: string): Bytes {
  assertText(text, what)
  return utf8(text)
}

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
