// Envelopes of blocks. They are small, and stored before the ciphertext. Each key model has its own layouts. This file
// has what they share.
import { type Bytes, concat, copyOf, u8 } from './bytes.ts'
import { bytes, decode, struct, uint8 } from './codec.ts'
import { KeystrataError } from './errors.ts'
import { assertKnown, HEADER_BYTES, ObjectType, parseHeader } from './header.ts'
import { BLOCK_SUITES } from './suite.ts'

export const MAX_CONTENT_BYTES: number = 64 * 1024 * 1024
/** The longest content, plus the most that any key model adds to it. */
export const MAX_CIPHERTEXT_BYTES: number = MAX_CONTENT_BYTES + 80

/** The byte after the header in the envelope of an unencrypted block. */
export const PLAIN_MODE = 4

const plainEnvelope = struct({ headerBytes: bytes(HEADER_BYTES), mode: uint8 })

/**
 * Returns the length of the envelope, of any key model, that `stored` begins with.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function envelopeLength(stored: Uint8Array): number {
  return parseHeader(stored, 'envelope', ObjectType.envelope, BLOCK_SUITES).suite.envelopeBytes
}

/** The mode of a keyset's block with a random key. In an envelope the mode stands in front of the mask and the tag. */
export const RANDOM_MODE = 3
const MASK_AND_TAG_BYTES = 64

/**
 * Returns whether the block of this envelope has a random key. Then sealing the same content again gives another
 * ciphertext under the same label.
 * @param envelope the envelope of a block that can be shared, from a keyset
 */
export const hasRandomKey = (envelope: Uint8Array): boolean => envelope.at(-1 - MASK_AND_TAG_BYTES) === RANDOM_MODE

/**
 * Copies an envelope.
 * @throws KeystrataError `malformed` if it is longer than any envelope
 */
export function copyOfEnvelope(stored: Uint8Array): Bytes {
  if (BLOCK_SUITES.some(({ envelopeBytes }) => stored.length <= envelopeBytes)) return copyOf(stored)
  throw new KeystrataError('malformed', 'this is not an envelope: it is too long', {
    object: 'envelope',
    bytes: stored.length,
  })
}

export function encodePlainEnvelope(headerBytes: Uint8Array): Bytes {
  return concat(headerBytes, u8(PLAIN_MODE))
}

/**
 * Checks the envelope of an unencrypted block.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function assertPlainEnvelope(envelope: Uint8Array): void {
  assertKnown('mode', decode(plainEnvelope, envelope, 'envelope').mode, [PLAIN_MODE], 'envelope')
}
