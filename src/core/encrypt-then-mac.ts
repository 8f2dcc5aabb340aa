// The keys of an encrypt-then-MAC scheme, derived together for a single text (SPEC §10.6, §15).
import { deriveFor, kdfInfo } from '../primitives/kdf.ts'
import { type Bytes, wipe } from './bytes.ts'
import { disposable, type Handle, type Role, SecretKey } from './secret.ts'

const KEY_BYTES = 32

export interface CipherKeys extends Handle {
  readonly cipher: SecretKey<'cipher'>
  readonly mac: SecretKey<'mac'>
  /**
   * Bytes that are derived after the two keys and stored unencrypted. Empty if `commitmentBytes` is 0. They are wiped
   * together with the keys, so use them before.
   */
  readonly commitment: Bytes
}

/** What the keys of all encryptions of one kind are derived with. {@link cipherKind} makes it once. */
export interface CipherKind {
  readonly info: Bytes
  readonly length: number
}

/** Makes a kind of encryption, for {@link deriveCipherKeys}. */
export function cipherKind(label: string, context: readonly Uint8Array[], commitmentBytes: number): CipherKind {
  const length = 2 * KEY_BYTES + commitmentBytes
  return { info: kdfInfo(label, context, length), length }
}

/**
 * Derives the keys of one encryption:
 * `cipher(32) ‖ mac(32) ‖ commitment = KDF(key, salt, label, [context…], 64 + commitmentBytes)`.
 */
export function deriveCipherKeys(key: SecretKey<Role>, salt: Uint8Array, { info, length }: CipherKind): CipherKeys {
  const derived = deriveFor(key, salt, info, length)
  const cipher = SecretKey.adopt('cipher', derived.subarray(0, KEY_BYTES))
  const mac = SecretKey.adopt('mac', derived.subarray(KEY_BYTES, 2 * KEY_BYTES))
  const commitment = derived.subarray(2 * KEY_BYTES)
  return disposable({ cipher, mac, commitment }, () => {
    cipher.dispose()
    mac.dispose()
    wipe(commitment)
  })
}
