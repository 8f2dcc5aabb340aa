// Envelopes of blocks: small, and stored in front of the ciphertext. Each key model has its own layouts; here is what they share.
import { type Bytes, concat } from './bytes.ts'
import { bytes, decode, struct, uint8 } from './codec.ts'
import { KeystrataError } from './errors.ts'
import { assertKnown, HEADER_BYTES, ObjectType, parseHeader } from './header.ts'
import { BLOCK_SUITES } from './suite.ts'

export const MAX_CONTENT_BYTES: number = 64 * 1024 * 1024
/** Content and the most that any key model adds to it. */
export const MAX_CIPHERTEXT_BYTES: number = MAX_CONTENT_BYTES + 80

/** The byte behind the header in the envelope of an unencrypted block. */
export const PLAIN_MODE = 4

const plainEnvelope = struct({ headerBytes: bytes(HEADER_BYTES), mode: uint8 })

/**
 * The length of the envelope, of any key model, that `stored` begins with.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function envelopeLength(stored: Uint8Array): number {
  return parseHeader(stored, 'envelope', ObjectType.envelope, BLOCK_SUITES).suite.envelopeBytes
}

/** A copy, made only if the length can be that of an envelope. @throws KeystrataError `malformed` */
export function copyOfEnvelope(stored: Uint8Array): Bytes {
  const most = Math.max(...BLOCK_SUITES.map(({ envelopeBytes }) => envelopeBytes))
  if (stored.length <= most) return new Uint8Array(stored)
  throw new KeystrataError('malformed', 'too long for an envelope', { bytes: stored.length })
}

export function encodePlainEnvelope(headerBytes: Uint8Array): Bytes {
  return concat(headerBytes, Uint8Array.of(PLAIN_MODE))
}

/** @throws KeystrataError `malformed`, `unsupported` */
export function assertPlainEnvelope(envelope: Uint8Array): void {
  assertKnown('mode', decode(plainEnvelope, envelope, 'envelope').mode, [PLAIN_MODE], 'envelope')
}
