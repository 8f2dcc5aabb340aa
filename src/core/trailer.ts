// The end of objects that are kept for long: a MAC, and after it a checksum. The checksum is verified first, so damage
// by accident is never mistaken for a wrong password or an attack (SPEC §9.2, §13).
import { hmacSha512, sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { type Bytes, copyOf, equalBytes } from './bytes.ts'
import { KeystrataError } from './errors.ts'
import { HEADER_BYTES, objectName, parseMagic } from './header.ts'
import type { Role, SecretKey } from './secret.ts'

export const CHECKSUM_BYTES = 8

export const MAC_BYTES = 64

/**
 * Copies an object and verifies its checksum.
 * @throws KeystrataError `limit-exceeded` if it is over `maxBytes`, before anything is copied
 * @throws KeystrataError `malformed` if it is too short, is not an object, or its checksum does not match
 */
export function copySummed(stored: Uint8Array, object: string, maxBytes: number): Bytes {
  if (stored.length > maxBytes) {
    throw new KeystrataError('limit-exceeded', `this ${object} is too large`, { object, bytes: stored.length })
  }
  const bytes = copyOf(stored)
  const { type } = parseMagic(bytes, object)
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES)
    throw new KeystrataError('malformed', `this ${object} is cut short`, { object, bytes: bytes.length })
  const summed = bytes.subarray(0, -CHECKSUM_BYTES)
  if (!equalBytes(checksumOf(summed), bytes.subarray(-CHECKSUM_BYTES))) {
    const name = objectName(type)
    const other = name === undefined || name === object ? '' : `; or it is not a ${object}: it says ${name}`
    throw new KeystrataError('malformed', `this ${object} is damaged: its checksum does not match${other}`, {
      object,
      bytes: bytes.length,
    })
  }
  return bytes
}

/** Returns every byte before the MAC. */
export function authenticatedPart(bytes: Bytes): Bytes {
  return bytes.subarray(0, -MAC_BYTES - CHECKSUM_BYTES)
}

/** Writes the MAC and the checksum into the room that was left for them. */
export function fillTrailer(bytes: Bytes, macOfPart: (authenticated: Uint8Array) => Uint8Array): void {
  const authenticated = authenticatedPart(bytes)
  bytes.set(macOfPart(authenticated), authenticated.length)
  fillChecksum(bytes)
}

/** Writes the checksum into the room that was left for it. */
export function fillChecksum(bytes: Bytes): void {
  bytes.set(checksumOf(bytes.subarray(0, -CHECKSUM_BYTES)), bytes.length - CHECKSUM_BYTES)
}

/** Computes HMAC-SHA-512, 64 bytes, under a key derived for this label and context. */
export function macUnder(
  key: SecretKey<Role>,
  label: string,
  context: readonly Uint8Array[],
  authenticated: Uint8Array,
): Bytes {
  using macKey = deriveKey('mac', key, label, context, 64)
  return hmacSha512(macKey, authenticated)
}

function checksumOf(bytes: Uint8Array): Bytes {
  return copyOf(sha256(bytes).subarray(0, CHECKSUM_BYTES))
}
