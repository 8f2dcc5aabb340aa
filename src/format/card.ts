// A card (SPEC §7): the public keys by which others seal to a user and recognise what he signs.
import * as P from 'micro-packed'
import type { Bytes } from '../bytes.ts'
import { ownBytes } from './codec.ts'
import { HEADER_BYTES } from './header.ts'

export const CARD_BYTES = 1776
export const SIGNATURE_BYTES = 64

export interface StoredCard {
  readonly headerBytes: Uint8Array
  readonly x25519: Bytes
  readonly mlKem1024: Bytes
  /** Verifies cards and invites. */
  readonly cardSigning: Bytes
  /** Verifies records. */
  readonly sourceSigning: Bytes
  readonly signature: Uint8Array
}

export const storedCard: P.CoderType<StoredCard> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
  cardSigning: ownBytes(32),
  sourceSigning: ownBytes(32),
  signature: P.bytes(SIGNATURE_BYTES),
})
