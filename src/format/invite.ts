// An invite (SPEC §12.3): the keys of a share, sealed to the card of its recipient and signed by the one who shares.
import * as P from 'micro-packed'
import { KeystrataError } from '../errors.ts'
import { SIGNATURE_BYTES } from './card.ts'
import { decode, time } from './codec.ts'
import { type Header, ObjectType, parseHeader, Suite } from './header.ts'
import { sealedToBytes } from './wrap.ts'

const PUBLIC_BYTES = 1601
const PRIVATE_BYTES = 96

/** What stands behind the SEAL. */
export interface InviteTail {
  /** A {@link time}. */
  readonly issuedAt: number
  /** By the source signing key, over all before. */
  readonly sourceSignature: Uint8Array
  /** By the card signing key, over all before. */
  readonly signature: Uint8Array
}
export const inviteTail: P.CoderType<InviteTail> = P.struct({
  issuedAt: time,
  sourceSignature: P.bytes(SIGNATURE_BYTES),
  signature: P.bytes(SIGNATURE_BYTES),
})
const TAIL_BYTES = 8 + 2 * SIGNATURE_BYTES

export interface StoredInvite extends InviteTail {
  readonly header: Header
  /** The SEAL. */
  readonly sealed: Uint8Array
  /** Every byte in front of the two signatures. */
  readonly signed: Uint8Array
}

const LENGTHS = [0, PRIVATE_BYTES].map((keys) => sealedToBytes(PUBLIC_BYTES + 1 + keys) + TAIL_BYTES)

/**
 * Reads from a copy, of no more than shows that there is too much.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseInvite(stored: Uint8Array): StoredInvite {
  const bytes = new Uint8Array(stored.subarray(0, Math.max(...LENGTHS) + 1))
  const header = parseHeader(bytes, 'invite', ObjectType.invite, [Suite.seal])
  if (!LENGTHS.includes(bytes.length)) {
    throw new KeystrataError('malformed', 'not the length of an invite', { bytes: bytes.length })
  }
  const tail = decode(inviteTail, bytes.subarray(-TAIL_BYTES), 'invite')
  return {
    ...tail,
    header,
    sealed: bytes.subarray(0, -TAIL_BYTES),
    signed: bytes.subarray(0, -2 * SIGNATURE_BYTES),
  }
}
