// Escrow (SPEC §16): a client's keys, deposited with a provider who cannot read them. They are under an activation code, which only the customer
// has; signatures by the keys themselves prove that their holder deposited them.
import {
  DES_56,
  type KeyHash,
  storedEnrolment,
  type StoredEnrolment,
  storedEscrow,
  type StoredEscrow,
} from './layout.ts'
import { Suite } from '../core/suite.ts'
import { type Bytes, domain, EMPTY, equalBytes, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, NOBODY, ObjectType, parseHeader } from '../core/header.ts'
import { disposeKeys, SecretKey, wiping } from '../core/secret.ts'
import { assertText } from '../core/text.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomLetters } from '../primitives/random.ts'
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
import { decodeClient, encodeClient } from './client-keys.ts'

/** Crockford's base32: without I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

const RANDOM_CHARACTERS = 26

const MAX_TYPED = 256

/** A fresh code of 130 random bits, in six groups of five. */
export function generateActivationCode(): string {
  const random = randomLetters(ALPHABET, RANDOM_CHARACTERS)
  const code = random + checkOf(random)
  return code.match(/.{5}/g)?.join('-') ?? code
}

/**
 * The 30 characters of a code as somebody typed it: capitals or not, with any spaces and hyphens or none, O for 0, I or L
 * for 1.
 * @throws KeystrataError `malformed` for what is no code: one wrong character in a million is missed here, and opens nothing
 * @throws TypeError for what is not a string
 */
export function parseActivationCode(typed: string): string {
  assertText(typed, 'activation code')
  const code = typed.slice(0, MAX_TYPED).normalize('NFKC').toUpperCase()
  const plain = code
    .replaceAll(/[\p{White_Space}\p{Pd}\p{Cf}\u2212]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
  const random = plain.slice(0, RANDOM_CHARACTERS)
  const isInAlphabet = Array.from(plain).every((letter) => ALPHABET.includes(letter))
  if (isInAlphabet && typed.length <= MAX_TYPED && plain === random + checkOf(random)) return plain
  throw mistyped(plain.length)
}

const mistyped = (characters: number): KeystrataError =>
  new KeystrataError('malformed', 'mistyped: an activation code has six groups of five letters and digits', {
    characters,
  })

/** The 30 characters of a code that was stored. @throws KeystrataError `malformed` unless they are as `parse` gives them */
export function readActivationCode(stored: Uint8Array): string {
  const code = String.fromCharCode(...stored)
  if (parseActivationCode(code) === code) return code
  throw mistyped(stored.length)
}

/** Four characters: 20 bits of a hash over the others. */
function checkOf(random: string): string {
  const [first = 0, second = 0, third = 0] = sha256(domain('activation-code'), utf8(random))
  const bits = (first << 12) | (second << 4) | (third >> 4)
  return [15, 10, 5, 0].map((shift) => ALPHABET[(bits >> shift) & 31]).join('')
}

/** W: the key over what is in escrow for an account. @param code its 30 characters */
export function deriveActivationKey(code: string, account: string): SecretKey<'activation'> {
  using secret = SecretKey.take('activation', utf8(code))
  return deriveKey('activation', secret, 'registration', [utf8(account)], 32)
}

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
  if (claim.privateKey.type === DES_56) {
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
 * The keys are those that have signed, and the names theirs: who deposited something else would be told so by nobody else.
 */
function assertClaims(claimant: Claimant, claimed: Bytes): void {
  const headerBytes = claimed.subarray(0, HEADER_BYTES)
  const own = provenBy(claimant, (proven) => claimedBytes({ headerBytes, ...fieldsOf(claimant, proven) }))
  if (!equalBytes(own, claimed)) throw authenticationFailed()
}
