// Registration files (SPEC §16.3): an escrow that a provider gives away, signed, with a date. Unarmed it opens with the activation
// code alone, which the provider does not have; armed, with the code in it, it recreates the client for whoever has it.
import { type Bytes, bytesFrom, concat, domain, equalBytes, lengthPrefixed, utf8 } from '../bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../errors.ts'
import { decode, encode } from '../format/codec.ts'
import { encodeHeader, type Header, ObjectType, parseHeader, Suite } from '../format/header.ts'
import type { SigningPair } from '../format/keyset.ts'
import {
  MAX_REGISTRATION_BYTES,
  type SignedRegistration,
  signedRegistration,
  type StoredRegistration,
  storedRegistration,
} from '../format/registration.ts'
import { type CardKeys, fingerprintBytes } from '../keys/card.ts'
import { readName } from '../keys/claim.ts'
import { disposeKeys } from '../secret.ts'
import { publicKeyId } from '../keys/key-pairs.ts'
import { isSignatureOf, sign } from '../primitives/signature.ts'
import { parseActivationCode, readActivationCode } from './activation-code.ts'
import { type Deposit, openEscrow, readEscrow } from './safeguard.ts'

/** @param expires milliseconds since 1970 */
export function signRegistration(
  escrow: Uint8Array,
  { server, expires }: { server: string; expires: number },
  provider: CardKeys,
  cardSigning: SigningPair,
): Bytes {
  const { ownerId, sharing } = provider
  const keyId = publicKeyId(sharing)
  const headerBytes = encodeHeader({ type: ObjectType.registration, suite: Suite.none, keyId, ownerId })
  const body = { headerBytes, server: utf8(server), expires, escrow }
  return encode(storedRegistration, { ...body, signature: sign(cardSigning.seed, signedMessage(provider, body)) })
}

function signedMessage(provider: CardKeys, { headerBytes, server, expires, escrow }: SignedRegistration): Bytes {
  const body = encode(signedRegistration, { headerBytes, server, expires, escrow })
  return concat(domain('sign/registration'), lengthPrefixed(fingerprintBytes(provider)), body)
}

/**
 * Puts the activation code into a registration file: then whoever has the file has the client, and everything that it can
 * read. Give it away as you would give the keys.
 * @param registration an unarmed file; an armed one gets the code anew
 * @param activationCode as somebody typed it
 * @throws KeystrataError `malformed` for a mistyped code, and for what is no such file; `authentication-failed` for the
 *   code of another deposit, and for damaged keys; `unsupported`, `limit-exceeded`. Who signed the file is looked at when
 *   it is opened
 * @throws TypeError for what are no bytes, and no string
 * @example
 * ```ts
 * import { armRegistration } from 'keystrata'
 *
 * function forUnattended(file: Uint8Array, typedCode: string) {
 *   return armRegistration(file, typedCode) // as secret as the keys
 * }
 * ```
 */
export function armRegistration(registration: Uint8Array, activationCode: string): Bytes {
  const code = parseActivationCode(activationCode)
  const stored = parseStored(registration)
  disposeKeys(
    openEscrow(
      answeredAlike(() => readEscrow(stored.escrow)),
      code,
    ),
  )
  return encode(storedRegistration, { ...stored, code: utf8(code) })
}

/** @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` */
function parseStored(given: Uint8Array): StoredRegistration & { readonly header: Header } {
  const bytes = new Uint8Array(bytesFrom(given, 'registration').subarray(0, MAX_REGISTRATION_BYTES + 1))
  if (bytes.length > MAX_REGISTRATION_BYTES) {
    throw new KeystrataError('limit-exceeded', 'too large for a registration', { most: MAX_REGISTRATION_BYTES })
  }
  const header = parseHeader(bytes, 'registration', ObjectType.registration, [Suite.none])
  return { ...decode(storedRegistration, bytes, 'registration'), header }
}

/** A file of this provider, whatever its date. */
export interface Registration {
  readonly server: string
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly deposit: Deposit
  /** The 30 characters of the activation code, if the file is armed. */
  readonly code: string | undefined
}

/** @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`; `authentication-failed` for another provider's */
export function readRegistration(given: Uint8Array, provider: CardKeys): Registration {
  const stored = parseStored(given)
  const { header, server, expires, escrow, signature, code: typed } = stored
  const code = typed && readActivationCode(typed)
  const name = readName(server, 'registration')
  const holds =
    equalBytes(header.keyId, publicKeyId(provider.sharing)) &&
    equalBytes(header.ownerId, provider.ownerId) &&
    isSignatureOf(provider.cardSigning, signedMessage(provider, stored), signature)
  if (!holds) throw authenticationFailed()
  return { server: name, expires, code, deposit: answeredAlike(() => readEscrow(escrow)) }
}
