// The keys of an encrypt-then-MAC scheme, derived together for a single text (SPEC §6.6, §11).
import { derive } from '../primitives/kdf.ts'
import { type Bytes, copyOf } from './bytes.ts'
import { disposable, type Handle, type Role, SecretKey, wiping } from './secret.ts'

const KEY_BYTES = 32

export interface CipherKeys extends Handle {
  readonly cipher: SecretKey<'cipher'>
  readonly mac: SecretKey<'mac'>
  /** Bytes that are derived after the two keys and stored unencrypted. Empty if `commitmentBytes` is 0. */
  readonly commitment: Bytes
}

/**
 * Derives the keys of one encryption:
 * `cipher(32) ‖ mac(32) ‖ commitment = KDF(key, salt, label, [context…], 64 + commitmentBytes)`.
 */
export function deriveCipherKeys(
  key: SecretKey<Role>,
  salt: Uint8Array,
  label: string,
  context: readonly Uint8Array[],
  commitmentBytes: number,
): CipherKeys {
  const derived = derive(key, salt, label, context, 2 * KEY_BYTES + commitmentBytes)
  using _ = wiping(derived)
  const cipher = new SecretKey('cipher', derived.subarray(0, KEY_BYTES))
  const mac = new SecretKey('mac', derived.subarray(KEY_BYTES, 2 * KEY_BYTES))
  const commitment = copyOf(derived.subarray(2 * KEY_BYTES))
  return disposable({ cipher, mac, commitment }, () => {
    cipher.dispose()
    mac.dispose()
  })
}
