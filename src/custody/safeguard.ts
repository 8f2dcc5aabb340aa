// Safeguarding (SPEC §16.2): a client's keys in the hands of a provider who cannot read them. They are under an activation code,
// which the customer keeps; signatures by the keys themselves say that their holder wanted it so.
import { type Bytes, EMPTY, equalBytes, wipe } from '../bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../errors.ts'
import {
  type KeyHash,
  LegacyKeyType,
  type StoredEnrolment,
  storedEnrolment,
  type StoredEscrow,
  storedEscrow,
} from '../format/client.ts'
import { decode, encode } from '../format/codec.ts'
import { encodeHeader, type Header, HEADER_BYTES, NOBODY, ObjectType, parseHeader, Suite } from '../format/header.ts'
import {
  type Claim,
  type Claimant,
  copyOfClaim,
  fieldsOf,
  hashOf,
  provenBy,
  readName,
  signedPart,
  verifiedClaim,
} from '../keys/claim.ts'
import { decodeClientKeys, encodeClientKeys } from '../keys/client-keys.ts'
import { disposeKeys } from '../secret.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrapSecret } from '../keys/lock.ts'
import { sign } from '../primitives/signature.ts'
import { deriveActivationKey, generateActivationCode, parseActivationCode } from './activation-code.ts'

const PLACE: SecretPlace = { type: ObjectType.escrow, ownerId: NOBODY, context: EMPTY }

/** Who deposited keys, with signatures that hold, and the keys, which nobody has opened yet. */
export interface Deposit extends Claim {
  readonly realm: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  /** The escrow itself, a copy. */
  readonly bytes: Bytes
  readonly header: Header
  /** What the signatures cover of it, without the keys. */
  readonly claimed: Bytes
  /** A WRAP. */
  readonly wrapped: Uint8Array
}

/**
 * Borrows the keys.
 * @param issuedAt milliseconds since 1970
 * @throws KeystrataError `policy` for a client under DES-56
 */
export function sealEscrow(claimant: Claimant, issuedAt: number): { escrow: Bytes; activationCode: string } {
  const keys = encodeClientKeys(claimant)
  try {
    const activationCode = generateActivationCode()
    const over = deriveActivationKey(parseActivationCode(activationCode), claimant.account)
    try {
      const header = { type: ObjectType.escrow, suite: Suite.none, keyId: keyIdOf(over), ownerId: NOBODY }
      const headerBytes = encodeHeader(header)
      const wrapped = wrapSecret(over, keys, PLACE)
      return provenBy(claimant, (proven) => {
        const body = { headerBytes, ...fieldsOf(claimant, proven), issuedAt, wrapped }
        const message = escrowMessage(body)
        const escrow = encode(storedEscrow, { ...body, signatures: proven.map(({ seed }) => sign(seed, message)) })
        return { escrow, activationCode }
      })
    } finally {
      over.dispose()
    }
  } finally {
    wipe(keys)
  }
}

type Claimed = Omit<StoredEnrolment, 'signatures'>

const escrowMessage = (body: Omit<StoredEscrow, 'signatures'>): Bytes =>
  signedPart('escrow', encode(storedEscrow, { ...body, signatures: [] }))

const claimedBytes = (claimed: Claimed): Bytes => encode(storedEnrolment, { ...claimed, signatures: [] })

/**
 * An escrow whose signatures hold. What is in it, only its code tells.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `authentication-failed`
 */
export function readEscrow(given: Uint8Array): Deposit {
  const bytes = copyOfClaim(given, 'escrow')
  const header = parseHeader(bytes, 'escrow', ObjectType.escrow, [Suite.none])
  if (!equalBytes(header.ownerId, NOBODY))
    throw new KeystrataError('malformed', 'escrow: an owner id where there is none')
  const { issuedAt, wrapped, signatures, ...claimed } = decode(storedEscrow, bytes, 'escrow')
  const realm = readName(claimed.realm, 'escrow')
  const message = escrowMessage({ ...claimed, issuedAt, wrapped })
  const claim = verifiedClaim({ ...claimed, signatures }, 'escrow', () => message)
  if (claim.privateKey.type === LegacyKeyType['DES-56']) {
    throw new KeystrataError('malformed', 'escrow: keys of type DES-56 are not kept')
  }
  return { ...claim, realm, issuedAt, bytes, header, wrapped, claimed: claimedBytes(claimed) }
}

/** The account key in an escrow that was read before; undefined if it has none. */
export function accountKeyInEscrow(bytes: Uint8Array): KeyHash | undefined {
  const [, accountKey] = decode(storedEscrow, bytes, 'escrow').keys
  return accountKey && hashOf(accountKey)
}

/**
 * The client that is in an escrow. The caller disposes of its keys.
 * @param code 30 characters
 * @throws KeystrataError `authentication-failed` for the code of something else, and for an escrow that holds not what it
 *   says
 */
export function openEscrow({ account, header, wrapped, claimed }: Deposit, code: string): Claimant {
  const over = deriveActivationKey(code, account)
  try {
    if (!equalBytes(keyIdOf(over), header.keyId)) throw authenticationFailed()
    const claimant = answeredAlike(() => {
      const keys = unwrapSecret(over, wrapped, 'escrow', PLACE)
      try {
        return decodeClientKeys(keys)
      } finally {
        wipe(keys)
      }
    })
    try {
      assertClaims(claimant, claimed)
      return claimant
    } catch (error) {
      disposeKeys(claimant)
      throw error
    }
  } finally {
    over.dispose()
  }
}

/**
 * The keys are those that have signed, and the names theirs: who deposited something else would be told so by nobody else.
 */
function assertClaims(claimant: Claimant, claimed: Bytes): void {
  const headerBytes = claimed.subarray(0, HEADER_BYTES)
  const own = provenBy(claimant, (proven) => claimedBytes({ headerBytes, ...fieldsOf(claimant, proven) }))
  if (!equalBytes(own, claimed)) throw authenticationFailed()
}
