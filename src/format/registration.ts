// A registration file (SPEC §16.3): what recreates a client on another machine, signed by the provider who gives it away.
import * as P from 'micro-packed'
import { SIGNATURE_BYTES } from './card.ts'
import { name } from './client.ts'
import { time } from './codec.ts'
import { HEADER_BYTES } from './header.ts'

/** What the provider signs. */
export interface SignedRegistration {
  readonly headerBytes: Uint8Array
  /** The server that the client belongs to. */
  readonly server: Uint8Array
  /** A {@link time}. */
  readonly expires: number
  readonly escrow: Uint8Array
}

export interface StoredRegistration extends SignedRegistration {
  readonly signature: Uint8Array
  /** The activation code, where the file is armed. */
  readonly code?: Uint8Array | undefined
}

/** Characters of an activation code, without what separates its groups. */
const CODE_CHARACTERS = 30

const signed = {
  headerBytes: P.bytes(HEADER_BYTES) as P.CoderType<Uint8Array>,
  server: name,
  expires: time,
  escrow: P.bytes(P.U16BE) as P.CoderType<Uint8Array>,
}

export const signedRegistration: P.CoderType<SignedRegistration> = P.struct(signed)

export const storedRegistration: P.CoderType<StoredRegistration> = P.struct({
  ...signed,
  signature: P.bytes(SIGNATURE_BYTES),
  code: P.optional(P.bool, P.bytes(CODE_CHARACTERS) as P.CoderType<Uint8Array>),
})

/** No file is longer: an escrow, a name, and what is of one size. */
export const MAX_REGISTRATION_BYTES = 8192
