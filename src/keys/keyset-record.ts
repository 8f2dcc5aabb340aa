// A keyset as bytes (SPEC §5): the outer object, its checksum and MAC, and the sealed section under the master key.
import { type Bytes, equalBytes, u8, wipe } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { decode, encode } from '../format/codec.ts'
import { Mode } from '../format/envelope.ts'
import {
  assertKnown,
  encodeHeader,
  type Header,
  HEADER_BYTES,
  ObjectType,
  parseHeader,
  parseMagic,
  Suite,
} from '../format/header.ts'
import {
  CHECKSUM_BYTES,
  Destination,
  type HostPlain,
  hostPlain,
  MAC_BYTES,
  MAX_KEYSET_BYTES,
  type StoredKeyset,
  storedKeyset,
  Strength,
} from '../format/keyset.ts'
import { hmacSha512, sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import type { SecretKey } from '../secret.ts'
import { decodeSections, encodeSections, type KeysetContents, type KeysetDestination } from './keyset-contents.ts'
import { keyIdOf, unwrapSecret, wrapSecret } from './lock.ts'

/** An export whose form was checked, and whose secrets and MAC were not. */
export interface ParsedKeyset extends StoredKeyset {
  /** The copy that all fields are views of. It holds what the host keeps openly: wipe it when done. */
  readonly bytes: Bytes
  readonly header: Header
  /** Every byte in front of the MAC. */
  readonly authenticated: Uint8Array
}

const checksumOf = (bytes: Uint8Array): Bytes => sha256(bytes).slice(0, CHECKSUM_BYTES)

const macOf = (master: SecretKey<'master'>, destination: number, authenticated: Uint8Array): Bytes => {
  const key = deriveKey('mac', master, 'keyset-mac', [u8(destination)], 64)
  try {
    return hmacSha512(key, authenticated)
  } finally {
    key.dispose()
  }
}

/**
 * Checks the form of an export, from a copy, in an order that never takes damage by accident for anything else.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function parseKeyset(stored: Uint8Array): ParsedKeyset {
  if (stored.length > MAX_KEYSET_BYTES) {
    throw new KeystrataError('limit-exceeded', 'too large for a keyset', { bytes: stored.length })
  }
  const bytes = new Uint8Array(stored)
  parseMagic(bytes, 'keyset')
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES) throw new KeystrataError('malformed', 'a keyset cut short')
  const summed = bytes.subarray(0, -CHECKSUM_BYTES)
  if (!equalBytes(checksumOf(summed), bytes.subarray(-CHECKSUM_BYTES))) {
    throw new KeystrataError('malformed', 'a damaged keyset: its checksum does not hold', { bytes: bytes.length })
  }
  const header = parseHeader(bytes, 'keyset', ObjectType.keyset, [Suite.none])
  const fields = decode(storedKeyset, bytes, 'keyset')
  assertKnown('destination', fields.destination, Object.values(Destination), 'keyset')
  assertKnown('encryption', fields.encryption, Object.values(Strength), 'keyset')
  assertKnown('dedup', fields.dedup, [Mode.scoped, Mode.global, Mode.off], 'keyset')
  return { ...fields, bytes, header, authenticated: summed.subarray(0, -MAC_BYTES) }
}

/** What the host can read of its export without the password. */
export function readHostPlain(parsed: ParsedKeyset): HostPlain {
  return decode(hostPlain, parsed.plain, 'keyset')
}

/**
 * Writes the keyset for one destination. `nonce` is for tests alone.
 * @throws KeystrataError `policy` if the contents came from a source definition, which has not all keys
 */
export function encodeKeyset(
  contents: KeysetContents,
  master: SecretKey<'master'>,
  destination: KeysetDestination,
  nonce?: Uint8Array,
): Bytes {
  const code = Destination[destination]
  const { plain, sealed } = encodeSections(contents, destination)
  try {
    const place = { type: ObjectType.sealedSection, ownerId: contents.id, context: u8(code) }
    const whole = encode(storedKeyset, {
      headerBytes: encodeHeader({
        type: ObjectType.keyset,
        suite: Suite.none,
        keyId: keyIdOf(master),
        ownerId: contents.id,
      }),
      version: contents.version,
      destination: code,
      encryption: contents.encryption,
      dedup: contents.dedup,
      argon2: contents.argon2,
      plain,
      sealed: wrapSecret(master, sealed, place, nonce),
      mac: new Uint8Array(MAC_BYTES),
      checksum: new Uint8Array(CHECKSUM_BYTES),
    })
    const authenticated = whole.subarray(0, -MAC_BYTES - CHECKSUM_BYTES)
    whole.set(macOf(master, code, authenticated), authenticated.length)
    whole.set(checksumOf(whole.subarray(0, -CHECKSUM_BYTES)), whole.length - CHECKSUM_BYTES)
    return whole
  } finally {
    wipe(plain, sealed)
  }
}

/**
 * Reads the keys of an export under its master key. Its mac is the first thing that is checked, so whatever is wrong
 * behind it was made so by somebody who has the master key, and is told apart no further.
 * @throws KeystrataError `authentication-failed`
 */
export function openKeyset(parsed: ParsedKeyset, master: SecretKey<'master'>): KeysetContents {
  if (!equalBytes(macOf(master, parsed.destination, parsed.authenticated), parsed.mac)) throw authenticationFailed()
  const { ownerId } = parsed.header
  const place = { type: ObjectType.sealedSection, ownerId, context: u8(parsed.destination) }
  try {
    const sealed = unwrapSecret(master, parsed.sealed, 'sealed section', place)
    try {
      return {
        id: new Uint8Array(ownerId),
        version: parsed.version,
        encryption: parsed.encryption,
        dedup: parsed.dedup,
        argon2: parsed.argon2,
        ...decodeSections(parsed.plain, sealed, parsed.destination),
      }
    } finally {
      wipe(sealed)
    }
  } catch (error) {
    throw error instanceof KeystrataError ? authenticationFailed() : error
  }
}
