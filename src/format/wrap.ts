// A secret under a symmetric key (SPEC §4.2): header ‖ n ‖ c ‖ ct ‖ tag.
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
