// A keyset as bytes (SPEC §5): the outer object, its checksum and MAC, and the sealed section under the master key.
import { type Bytes, equalBytes, u8, wipe } from '../bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../errors.ts'
import { decode, encode } from '../format/codec.ts'
import { Mode } from '../format/envelope.ts'
import { assertKnown, encodeHeader, type Header, ObjectType, parseHeader, Suite } from '../format/header.ts'
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
import type { SecretKey } from '../secret.ts'
import { decodeSections, encodeSections, type KeysetContents, type KeysetDestination } from './keyset-contents.ts'
import { keyIdOf, unwrapSecret, wrapSecret } from './lock.ts'
import { authenticatedPart, copySummed, fillTrailer, macUnder } from './trailer.ts'

/** An export whose form was checked, and whose secrets and MAC were not. */
export interface ParsedKeyset extends StoredKeyset {
  /** The copy that all fields are views of. It holds what the host keeps openly: wipe it when done. */
  readonly bytes: Bytes
  readonly header: Header
  /** Every byte in front of the MAC. */
  readonly authenticated: Uint8Array
}

/**
 * Checks the form of an export, from a copy, in an order that never takes damage by accident for anything else.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function parseKeyset(stored: Uint8Array): ParsedKeyset {
  const bytes = copySummed(stored, 'keyset', MAX_KEYSET_BYTES)
  const header = parseHeader(bytes, 'keyset', ObjectType.keyset, [Suite.none])
  const fields = decode(storedKeyset, bytes, 'keyset')
  assertKnown('destination', fields.destination, Object.values(Destination), 'keyset')
  assertKnown('encryption', fields.encryption, Object.values(Strength), 'keyset')
  assertKnown('dedup', fields.dedup, [Mode.scoped, Mode.global, Mode.off], 'keyset')
  return { ...fields, bytes, header, authenticated: authenticatedPart(bytes) }
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
    // What no reader would take must not be written.
    if (whole.length > MAX_KEYSET_BYTES) {
      wipe(whole)
      throw new KeystrataError('limit-exceeded', 'too many shares, or key pairs of the past, for a keyset', {
        bytes: whole.length,
      })
    }
    fillTrailer(whole, (authenticated) => macUnder(master, 'keyset-mac', [u8(code)], authenticated))
    return whole
  } finally {
    wipe(plain, sealed)
  }
}

/**
 * All exports that the keys are enough for.
 * @throws KeystrataError `limit-exceeded` if one would be too large
 */
export function encodeExports(contents: KeysetContents, master: SecretKey<'master'>): ReadonlyMap<string, Bytes> {
  const exports: Map<string, Bytes> = new Map()
  try {
    for (const destination of Object.keys(Destination) as KeysetDestination[]) {
      if (contents.additional === undefined && destination !== 'source-definition') continue
      exports.set(destination, encodeKeyset(contents, master, destination))
    }
    return exports
  } catch (error) {
    wipe(...exports.values())
    throw error
  }
}

/**
 * Reads the keys of an export under its master key. Its mac is the first thing that is checked, so whatever is wrong
 * behind it was made so by somebody who has the master key, and is told apart no further.
 * @throws KeystrataError `authentication-failed`
 */
export function openKeyset(parsed: ParsedKeyset, master: SecretKey<'master'>): KeysetContents {
  const mac = macUnder(master, 'keyset-mac', [u8(parsed.destination)], parsed.authenticated)
  if (!equalBytes(mac, parsed.mac)) throw authenticationFailed()
  const { ownerId } = parsed.header
  const place = { type: ObjectType.sealedSection, ownerId, context: u8(parsed.destination) }
  return answeredAlike(() => {
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
  })
}
