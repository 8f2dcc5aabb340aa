// The keyset as it is stored (SPEC §5): one outer layout, and for each destination the sections that may be in it. What is
// stored where is decided by these lists of fields alone: what a list does not name is not written there.
// What stands at the end of objects that are kept for long: a MAC, and behind it a checksum that is looked at first, so that
// damage by accident is never taken for a wrong password or an attack (SPEC §5.2, §9).
import { hmacSha512, sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { type Bytes, equalBytes } from './bytes.ts'
import { KeystrataError } from './errors.ts'
import { HEADER_BYTES, objectName, parseMagic } from './header.ts'
import type { Role, SecretKey } from './secret.ts'

export const CHECKSUM_BYTES = 8

export const MAC_BYTES = 64

/**
 * A copy of an object whose checksum holds.
 * @throws KeystrataError `limit-exceeded` over the limit, before anything is copied; `malformed`
 */
export function copySummed(stored: Uint8Array, object: string, maxBytes: number): Bytes {
  if (stored.length > maxBytes) {
    throw new KeystrataError('limit-exceeded', `too large for a ${object}`, { bytes: stored.length })
  }
  const bytes = new Uint8Array(stored)
  const { type } = parseMagic(bytes, object)
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES) throw new KeystrataError('malformed', `a ${object} cut short`)
  const summed = bytes.subarray(0, -CHECKSUM_BYTES)
  if (!equalBytes(checksumOf(summed), bytes.subarray(-CHECKSUM_BYTES))) {
    const name = objectName(type)
    const other = name === undefined || name === object ? '' : `, or no ${object} at all: it says ${name}`
    throw new KeystrataError('malformed', `a damaged ${object}, whose checksum does not hold${other}`, {
      bytes: bytes.length,
    })
  }
  return bytes
}

/** Every byte in front of the MAC. */
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

/** HMAC-SHA-512 under a key of its own purpose, 64 bytes. */
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
  return sha256(bytes).slice(0, CHECKSUM_BYTES)
}
