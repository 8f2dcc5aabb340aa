// Escrow (SPEC §18): a client's keys, deposited with a provider who cannot read them. They are sealed under an
// activation code, which only the customer has. The keys sign the escrow, which proves that their holder deposited it.
import {
  type ClaimedIdentity,
  claimedIdentity,
  DES_56,
  type KeyHash,
  storedEscrow,
  type StoredEscrow,
} from './layout.ts'
import { Suite } from '../core/suite.ts'
import { generateCode, isCode, parseCode } from '../core/code.ts'
import { type Bytes, EMPTY, equalBytes, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, NOBODY, ObjectType, parseHeader } from '../core/header.ts'
import { disposeKeys, SecretKey, wiping } from '../core/secret.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { sign } from '../primitives/signature.ts'
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
} from './proof.ts'
import { decodeClient, encodeClient } from './saved-client.ts'

/** Generates an activation code. */
export const generateActivationCode = (): string => generateCode('activation code')

/**
 * Parses an activation code as somebody typed it.
 * @returns the 30 characters
 * @throws KeystrataError `invalid-text`, TypeError as {@link parseCode}
 */
export const parseActivationCode = (typed: string): string => parseCode(typed, 'activation code')

/**
 * Reads an activation code from a stored object.
 * @returns the 30 characters
 * @throws KeystrataError `malformed` unless the stored form is exactly what {@link parseActivationCode} returns
 */
export function readActivationCode(stored: Uint8Array): string {
  const code = String.fromCharCode(...stored)
  if (isCode(code, 'activation code')) return code
  throw new KeystrataError('malformed', 'the activation code in this file is damaged', {
    object: 'activation code',
    characters: stored.length,
  })
}

/**
 * Derives W, the key that wraps the keys in an escrow (SPEC §18.1).
 * @param code the 30 characters of the activation code
 */
export function deriveActivationKey(code: string, account: string): SecretKey<'activation'> {
  using secret = SecretKey.take('activation', utf8(code))
  return deriveKey('activation', secret, 'registration', [utf8(account)], 32)
}

const PLACE: SecretPlace = { type: ObjectType.escrow, ownerId: NOBODY, context: EMPTY }

/** An escrow whose signatures were verified. Its keys are still wrapped. */
export interface Deposit extends Claim {
  readonly realm: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  /** A copy of the whole escrow. */
  readonly bytes: Bytes
  readonly header: Header
  /** The names, the platform and the public keys that the escrow claims, encoded. */
  readonly claimed: Bytes
  /** The client's keys, as a WRAP. */
  readonly wrapped: Uint8Array
}

/**
 * Seals a client's keys into an escrow under a new activation code. The keys still belong to the caller.
 * @param issuedAt milliseconds since 1970
 * @throws KeystrataError `policy` if the private key is of type DES-56
 */
export function sealEscrow(claimant: Claimant, issuedAt: number): { escrow: Bytes; activationCode: string } {
  const keys = encodeClient(claimant)
  using _ = wiping(keys)
  const activationCode = generateActivationCode()
  using over = deriveActivationKey(parseActivationCode(activationCode), claimant.account)
  const header = { type: ObjectType.escrow, suite: Suite.none, keyId: keyIdOf(over), ownerId: NOBODY }
  const headerBytes = encodeHeader(header)
  const wrapped = wrapSecret(over, keys, PLACE)
  return provenBy(claimant, (proven) => {
    const body = { headerBytes, ...fieldsOf(claimant, proven), issuedAt, wrapped }
    const message = escrowMessage(body)
    const escrow = encode(storedEscrow, { ...body, signatures: proven.map(({ seed }) => sign(seed, message)) })
    return { escrow, activationCode }
  })
}

const escrowMessage = (body: Omit<StoredEscrow, 'signatures'>): Bytes =>
  signedPart('escrow', encode(storedEscrow, { ...body, signatures: [] }))

const claimedBytes = (claimed: ClaimedIdentity): Bytes => encode(claimedIdentity, claimed)

/**
 * Parses an escrow and verifies its signatures. It does not open the keys.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `authentication-failed`
 */
export function readEscrow(given: Uint8Array): Deposit {
  const bytes = copyOfClaim(given, 'escrow')
  const header = parseHeader(bytes, 'escrow', ObjectType.escrow, [Suite.none])
  if (!equalBytes(header.ownerId, NOBODY))
    throw new KeystrataError('malformed', 'the escrow has an owner id, but must have none', { object: 'escrow' })
  const { issuedAt, wrapped, signatures, ...claimed } = decode(storedEscrow, bytes, 'escrow')
  const realm = readName(claimed.realm, 'escrow')
  const message = escrowMessage({ ...claimed, issuedAt, wrapped })
  const claim = verifiedClaim({ ...claimed, signatures }, 'escrow', () => message)
  if (claim.privateKey.type === DES_56) {
    throw new KeystrataError('malformed', 'the escrow is for a DES-56 key, which cannot be deposited', {
      object: 'escrow',
    })
  }
  return { ...claim, realm, issuedAt, bytes, header, wrapped, claimed: claimedBytes(claimed) }
}

/** Returns the hash of the account key in a verified escrow. Returns undefined if it has no account key. */
export function accountKeyInEscrow(bytes: Uint8Array): KeyHash | undefined {
  const [, accountKey] = decode(storedEscrow, bytes, 'escrow').keys
  return accountKey && hashOf(accountKey)
}

/**
 * Opens the client in an escrow. The caller disposes of its keys.
 * @param code the 30 characters of the activation code
 * @throws KeystrataError `authentication-failed` if the code belongs to another escrow, if the sealed keys are damaged,
 *   or if the names, the platform or the keys inside are not those that the escrow claims
 */
export function openEscrow({ account, header, wrapped, claimed }: Deposit, code: string): Claimant {
  using over = deriveActivationKey(code, account)
  if (!equalBytes(keyIdOf(over), header.keyId)) throw authenticationFailed()
  const claimant = answeredAlike(() => {
    const keys = unwrapSecret(over, wrapped, 'escrow', PLACE)
    using _ = wiping(keys)
    return decodeClient(keys)
  })
  try {
    assertClaims(claimant, claimed)
    return claimant
  } catch (error) {
    disposeKeys(claimant)
    throw error
  }
}

/**
 * Checks that the sealed client has the names, the platform and the keys that the escrow claims. Only somebody with the
 * activation code can check this, so the server could not.
 */
function assertClaims(claimant: Claimant, claimed: Bytes): void {
  const headerBytes = claimed.subarray(0, HEADER_BYTES)
  const own = provenBy(claimant, (proven) => claimedBytes({ headerBytes, ...fieldsOf(claimant, proven) }))
  if (!equalBytes(own, claimed)) throw authenticationFailed()
}
