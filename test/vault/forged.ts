// Records that an honest writer never makes: what somebody could write who has the root key, or the identity's seed.
import { type Bytes, concat, domain } from '../../src/core/bytes.ts'
import type { SecretKey } from '../../src/core/secret.ts'
import { authenticatedPart, CHECKSUM_BYTES, fillTrailer, MAC_BYTES, macUnder } from '../../src/core/trailer.ts'
import { sign, SIGNATURE_BYTES } from '../../src/primitives/signature.ts'
import { HASH_BYTES } from '../../src/vault/layout.ts'
import { type Login, ownerOf } from '../../src/vault/login.ts'
import {
  encodeProfile,
  openProfileRecord,
  parseProfileRecord,
  type Predecessor,
  type ProfileContents,
} from '../../src/vault/profile-record.ts'

/** The length of what follows the signature of a record: its MAC and its checksum. */
export const BEHIND_SIGNATURE: number = MAC_BYTES + CHECKSUM_BYTES

/** Returns the decrypted contents of a record. */
export function contentsOf(record: Uint8Array, login: Login): ProfileContents {
  using rootKey = ownerOf(login).rootKey
  return openProfileRecord(parseProfileRecord(record), rootKey)
}

/** Encodes contents as the owner of a login would. */
export function recordOf(contents: ProfileContents, login: Login, predecessor?: Predecessor): Bytes {
  using rootKey = ownerOf(login).rootKey
  return encodeProfile(contents, rootKey, predecessor)
}

/** Where a record says which one it follows (SPEC §13.1). */
const PREVIOUS_AT = 56

/** Encodes the contents of a record again, with some of them replaced. It follows what the record follows. */
export function rewritten(record: Uint8Array, login: Login, changes: Partial<ProfileContents>): Bytes {
  const contents = { ...contentsOf(record, login), ...changes }
  const whole = recordOf(contents, login)
  whole.set(record.subarray(PREVIOUS_AT, PREVIOUS_AT + HASH_BYTES), PREVIOUS_AT)
  return resigned(whole, contents.identity.seed, login)
}

/** Signs altered bytes of a record again, and corrects the checksum. With a login, it corrects the MAC too. */
export function resigned(record: Uint8Array, seed: SecretKey<'signing'>, login?: Login): Bytes {
  const whole = new Uint8Array(record)
  const signed = authenticatedPart(whole).subarray(0, -SIGNATURE_BYTES)
  whole.set(sign(seed, concat(domain('sign/profile'), signed)), signed.length)
  const mac = whole.slice(-BEHIND_SIGNATURE, -CHECKSUM_BYTES)
  using rootKey = login && ownerOf(login).rootKey
  fillTrailer(whole, (part) => (rootKey === undefined ? mac : macUnder(rootKey, 'profile-mac', [], part)))
  return whole
}
