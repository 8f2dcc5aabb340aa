// A secret under a symmetric key (SPEC §4.2), and one sealed to a public key (SPEC §4.3).
import * as P from 'micro-packed'
import { HEADER_BYTES } from './header.ts'

export interface Wrapped {
  readonly headerBytes: Uint8Array
  /** n, 32 random bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
  /** ct ‖ tag of AES-GCM. */
  readonly sealed: Uint8Array
}

export const wrapped: P.CoderType<Wrapped> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  nonce: P.bytes(32),
  commitment: P.bytes(32),
  sealed: P.bytes(null),
})

export interface Sealed {
  readonly headerBytes: Uint8Array
  readonly ephemeral: Uint8Array
  readonly encapsulated: Uint8Array
  readonly commitment: Uint8Array
  readonly sealed: Uint8Array
}

export const sealedTo: P.CoderType<Sealed> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  ephemeral: P.bytes(32),
  encapsulated: P.bytes(1568),
  commitment: P.bytes(32),
  sealed: P.bytes(null),
})

/** Lengths of the objects that hold a secret of so many bytes. */
export const wrappedBytes = (secret: number): number => HEADER_BYTES + 64 + secret + 16
export const sealedToBytes = (secret: number): number => HEADER_BYTES + 1632 + secret + 16
