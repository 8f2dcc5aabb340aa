// The key of one device (SPEC §8), as bytes and as a handle. It protects a database that is stolen. Not protected: a
// machine that an attacker takes over while it runs, and a database that is stolen together with the device key.
import { allocate, type Bytes, bytesFrom, equalBytes, u8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, keyIdIn, NOBODY, ObjectType, parseHeader } from '../core/header.ts'
import { optionsFrom } from '../core/options.ts'
import { DEFAULT_ARGON2_COSTS, HASH_OPTIONS, type HashOptions, hashPassword } from '../core/password.ts'
import { type Handle, SecretHolder, SecretKey, wiping, withBytes } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import { normalizeText } from '../core/text.ts'
import { CHECKSUM_BYTES, copySummed, fillChecksum } from '../core/trailer.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { randomBytes } from '../primitives/random.ts'
import {
  MAX_DEVICE_KEY_BYTES,
  MAX_SAVED_BYTES,
  type Protection,
  type StoredDeviceKey,
  storedDeviceKey,
  storedHandle,
} from './layout.ts'
import { SavedKind, setSealer } from './saved.ts'
import { assertSealedBy, openTextValue, type Place, sealTextValue } from './text-value.ts'

/**
 * The key of one device. It protects the device's database if that is stolen. Anyone who can read the stored device key
 * can read everything that is sealed under it. Handles are sealed under it by their own `save` method, and opened by
 * `openSavedKeyset`, `openSavedLogin` and `openSavedClient`.
 * @example
 * ```ts
 * import { type Keyset, openSavedKeyset } from 'keystrata'
 * import type { DeviceKey } from 'keystrata/device'
 *
 * function restart(keyset: Keyset, device: DeviceKey) {
 *   const saved = keyset.save(device) // into the device's own database
 *   return openSavedKeyset(saved, device, { id: keyset.id }) // every night, without the password
 * }
 * ```
 */
export interface DeviceKey extends Handle {
  /**
   * Returns the unprotected key, 89 bytes. Store it only in the keystore of the operating system.
   * @throws KeystrataError `disposed` if the device key was disposed of
   */
  exportUnprotected(): Bytes
  /**
   * Returns the key wrapped under a passphrase (Argon2id, 64 MiB, 3 passes, 4 lanes), 261 bytes.
   * @throws KeystrataError `invalid-text` if the passphrase is empty, or has a character that no passphrase may have
   * @throws KeystrataError `unsupported` if the runtime has no Unicode data
   * @throws KeystrataError `aborted` if the signal was aborted
   * @throws KeystrataError `disposed` if the device key was disposed of
   */
  export(passphrase: string, options?: HashOptions): Promise<Bytes>
  /**
   * Seals a short text, such as the password of a source computer, for one place in the database. It opens only in that
   * place.
   * @param text at most 64 KiB of UTF-8. It is not normalised: `openText` returns it unchanged
   * @throws KeystrataError `limit-exceeded` if the text is over 64 KiB
   * @throws KeystrataError `invalid-text` if the text, or a name in the place, has lone surrogates
   * @throws KeystrataError `disposed` if the device key was disposed of
   * @throws TypeError if the text, or a name in the place, is not a string
   * @throws RangeError if the version in the place is not a whole number of at least 0
   */
  sealText(text: string, place: Place): Bytes
  /**
   * Opens a sealed text.
   * @param place the place that the text was sealed for
   * @throws KeystrataError `authentication-failed` if the text was sealed for another place, or altered
   * @throws KeystrataError `key-not-found` if another device sealed it
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` if the bytes are not a sealed text
   * @throws KeystrataError `disposed` if the device key was disposed of
   * @throws KeystrataError `invalid-text`, TypeError or RangeError as in {@link DeviceKey.sealText}
   */
  openText(sealed: Uint8Array, place: Place): string
}

const headerOf = (type: number, key: SecretKey<'device'>): Bytes =>
  encodeHeader({ type, suite: Suite.none, keyId: keyIdOf(key), ownerId: NOBODY })

const PROTECTED_KEY: SecretPlace = {
  type: ObjectType.deviceKey,
  ownerId: NOBODY,
  context: /* @__PURE__ */ allocate(0),
}

function encodeKey(key: SecretKey<'device'>, content: StoredDeviceKey['content']): Bytes {
  const headerBytes = headerOf(ObjectType.deviceKey, key)
  const whole = encode(storedDeviceKey, { headerBytes, content, checksum: allocate(CHECKSUM_BYTES) })
  fillChecksum(whole)
  return whole
}

async function encodeProtectedKey(key: SecretKey<'device'>, passphrase: string, options: HashOptions): Promise<Bytes> {
  // A copy, because the handle may be disposed of while the hash runs.
  using own = key.copy()
  const { iterations, memoryKiB, lanes } = DEFAULT_ARGON2_COSTS
  const text = normalizeText(passphrase, 'passphrase')
  const salt = randomBytes(32)
  using over = SecretKey.take('passphrase', await hashPassword(text, salt, DEFAULT_ARGON2_COSTS, options, 32))
  const wrapped = withBytes(own, (bytes) => wrapSecret(over, bytes, PROTECTED_KEY))
  return encodeKey(own, { kind: 'protected', value: { iterations, memoryKiB, lanes, salt, wrapped } })
}

class OwnDeviceKey extends SecretHolder implements DeviceKey {
  readonly #key: SecretKey<'device'>

  /** Takes ownership of the key. */
  constructor(key: SecretKey<'device'>) {
    super('device key', () => key.dispose())
    this.#key = key
    setSealer(this, {
      seal: (kind, keys) => {
        this.assertUsable()
        return this.#seal(SavedKind[kind], keys)
      },
      open: (kind, saved) => {
        this.assertUsable()
        return this.#open(kind, saved)
      },
    })
  }

  exportUnprotected(): Bytes {
    this.assertUsable()
    return encodeKey(this.#key, { kind: 'open', value: this.#key })
  }

  async export(passphrase: string, options?: HashOptions): Promise<Bytes> {
    const hashing = optionsFrom(options, HASH_OPTIONS, 'export')
    this.assertUsable()
    return encodeProtectedKey(this.#key, passphrase, hashing)
  }

  sealText(text: string, place: Place): Bytes {
    this.assertUsable()
    return sealTextValue(this.#key, text, place)
  }

  openText(sealed: Uint8Array, place: Place): string {
    this.assertUsable()
    return openTextValue(this.#key, sealed, place)
  }

  #seal(kind: number, keys: Uint8Array): Bytes {
    const whole = encode(storedHandle, {
      headerBytes: headerOf(ObjectType.savedHandle, this.#key),
      kind,
      wrapped: wrapSecret(this.#key, keys, savedPlace(kind)),
      checksum: allocate(CHECKSUM_BYTES),
    })
    fillChecksum(whole)
    return whole
  }

  #open(kind: keyof typeof SavedKind, saved: Uint8Array): Bytes {
    const copy = copySummed(bytesFrom(saved, 'saved handle'), 'saved handle', MAX_SAVED_BYTES)
    const header = parseHeader(copy, 'saved handle', ObjectType.savedHandle, [Suite.none])
    const { kind: found, wrapped } = decode(storedHandle, copy, 'saved handle')
    if (found !== SavedKind[kind]) throw otherKind(found, kind)
    assertSealedBy(this.#key, header, 'saved handle')
    if (!equalBytes(header.ownerId, NOBODY)) throw authenticationFailed()
    return answeredAlike(() => unwrapSecret(this.#key, wrapped, 'saved handle', savedPlace(found)))
  }
}

const savedPlace = (kind: number): SecretPlace => ({
  type: ObjectType.sealedSection,
  ownerId: NOBODY,
  context: u8(kind),
})

function otherKind(found: number, expected: string): KeystrataError {
  const given = Object.entries(SavedKind).find(([, number]) => number === found)?.[0]
  const message =
    given === undefined
      ? 'this saved handle is damaged or needs a later release'
      : `expected a saved ${expected}, but this is a saved ${given}`
  return new KeystrataError('unsupported', message, { object: 'saved handle', field: 'kind', found })
}

/**
 * Creates a device key with fresh randomness. Create one for each device when you set it up. If the device key is lost,
 * everything that was sealed under it is lost too.
 * @example
 * ```ts
 * import { createDeviceKey } from 'keystrata/device'
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
 * @param stored the bytes that `exportUnprotected` or `export` returned
 * @param passphrase the passphrase, if the key was exported under one
 * @throws KeystrataError `wrong-password` if the passphrase is wrong or missing
 * @throws KeystrataError `policy` if a passphrase is given but the key is not under one: somebody may have replaced it
 * @throws KeystrataError `malformed` if the bytes are damaged
 * @throws KeystrataError `authentication-failed` if the bytes were altered
 * @throws KeystrataError `unsupported` if it is another kind of object, or needs a later release
 * @throws KeystrataError `limit-exceeded` if there are too many bytes, or the costs in them are too high
 * @throws KeystrataError `invalid-text` if the passphrase is one that {@link DeviceKey.export} refuses
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { createDeviceKey, openDeviceKey } from 'keystrata/device'
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
  options?: HashOptions,
): Promise<DeviceKey> {
  const hashing = optionsFrom(options, HASH_OPTIONS, 'openDeviceKey')
  const copy = copySummed(bytesFrom(stored, 'device key'), 'device key', MAX_DEVICE_KEY_BYTES)
  using _ = wiping(copy)
  const header = parseHeader(copy, 'device key', ObjectType.deviceKey, [Suite.none])
  const key = await unlock(decode(storedDeviceKey, copy, 'device key').content, passphrase, hashing)
  if (equalBytes(keyIdOf(key), header.keyId) && equalBytes(header.ownerId, NOBODY)) return new OwnDeviceKey(key)
  key.dispose()
  throw authenticationFailed()
}

async function unlock(
  content: StoredDeviceKey['content'],
  passphrase: string | undefined,
  options: HashOptions,
): Promise<SecretKey<'device'>> {
  switch (content.kind) {
    case 'open':
      if (passphrase === undefined) return content.value
      content.value.dispose()
      // An attacker may have replaced the protected key with their own.
      throw new KeystrataError(
        'policy',
        'this device key has no passphrase, but one was given: somebody may have replaced the key, so do not use it',
        { rule: 'passphrase' },
      )
    case 'protected':
      if (passphrase === undefined)
        throw new KeystrataError('wrong-password', 'this device key is protected by a passphrase: pass the passphrase')
      return await unlockProtected(content.value, passphrase, options)
  }
}

async function unlockProtected(
  { salt, wrapped, ...costs }: Protection,
  passphrase: string,
  options: HashOptions,
): Promise<SecretKey<'device'>> {
  const text = normalizeText(passphrase, 'passphrase')
  using over = SecretKey.take('passphrase', await hashPassword(text, salt, costs, options, 32))
  if (!equalBytes(keyIdOf(over), keyIdIn(wrapped))) throw new KeystrataError('wrong-password')
  return SecretKey.take(
    'device',
    answeredAlike(() => unwrapSecret(over, wrapped, 'device key', PROTECTED_KEY)),
  )
}
