// Registration files (SPEC §16.3): an escrow that a provider hands out, signed and with a date. Unarmed, it opens only with the activation code,
// which the provider does not have. Armed, with the code in it, it recreates the client for whoever has the file.
import { type Card, type CardHolder, type CardKeys, fingerprintBytes, keysOfCard } from '../core/card.ts'
import { Suite } from '../core/suite.ts'
import { bytes, type Codec, decode, encode, name, optional, prefixed, struct, time, uint16 } from '../core/codec.ts'
import { type Bytes, bytesFrom, concat, domain, equalBytes, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import { publicKeyId } from '../core/key-pairs.ts'
import { disposeKeys } from '../core/secret.ts'
import { isSignatureOf, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { type Client, openedClient } from './client.ts'
import { type Deposit, openEscrow, parseActivationCode, readActivationCode, readEscrow } from './escrow.ts'
import { assertOwnAccount, readName } from './proof.ts'

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
  headerBytes: bytes(HEADER_BYTES),
  server: name,
  expires: time,
  escrow: prefixed(uint16),
}

export const signedRegistration: Codec<SignedRegistration> = struct(signed)

export const storedRegistration: Codec<StoredRegistration> = struct({
  ...signed,
  signature: bytes(SIGNATURE_BYTES),
  code: optional(bytes(CODE_CHARACTERS)),
})

/** No file is longer: an escrow, a name, and what is of one size. */
export const MAX_REGISTRATION_BYTES = 8192

/** @param expires milliseconds since 1970 */
export function signRegistration(
  escrow: Uint8Array,
  { server, expires }: { server: string; expires: number },
  holder: CardHolder,
): Bytes {
  const provider = holder.keys
  const { ownerId, sharing } = provider
  const keyId = publicKeyId(sharing)
  const headerBytes = encodeHeader({ type: ObjectType.registration, suite: Suite.none, keyId, ownerId })
  const body = { headerBytes, server: utf8(server), expires, escrow }
  return encode(storedRegistration, { ...body, signature: holder.sign(signedMessage(provider, body)) })
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
 * import { armRegistration } from 'keystrata/client'
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

/**
 * What a registration file says, and its provider has signed, but for `armed`.
 * @example
 * ```ts
 * import type { RegistrationFacts } from 'keystrata/client'
 *
 * const askFor = ({ name, depositedAt }: RegistrationFacts) =>
 *   `Activation code of ${name}, deposited ${depositedAt.toISOString()}:`
 * ```
 */
export interface RegistrationFacts {
  readonly realm: string
  readonly account: string
  readonly name: string
  /** The server that the client belongs to: the name for its `prove`. */
  readonly server: string
  readonly expires: Date
  /** When the client deposited these keys: the activation code is the one that it gave then. */
  readonly depositedAt: Date
  /** Whether the account's key is in it: one that the account got after the deposit is not, and has to be set then. */
  readonly hasAccountKey: boolean
  /** Whether it holds an activation code, which is not signed: with the right one it is worth as much as the keys. */
  readonly armed: boolean
}

/**
 * What a registration file is, before anybody types a code; also when it is past its date.
 * @param options `provider`: the card of who must have signed it, whose fingerprint was compared before
 * @throws KeystrataError `authentication-failed` for a file that another provider signed, or nobody; `malformed`,
 *   `unsupported`, `limit-exceeded`; for the card as `parseCard`
 * @example
 * ```ts
 * import type { Card } from 'keystrata'
 * import { parseRegistration } from 'keystrata/client'
 *
 * const isPast = (file: Uint8Array, provider: Card) => parseRegistration(file, { provider }).expires < new Date()
 * ```
 */
export function parseRegistration(registration: Uint8Array, options: { provider: Card }): RegistrationFacts {
  const { server, expires, code, deposit } = readRegistration(registration, keysOfCard(options.provider))
  const { realm, account, client, issuedAt, accountKey } = deposit
  const dates = { expires: new Date(expires), depositedAt: new Date(issuedAt) }
  return {
    realm,
    account,
    name: client,
    server,
    ...dates,
    hasAccountKey: accountKey !== undefined,
    armed: code !== undefined,
  }
}

/**
 * The client of a registration file, as it was when its keys were deposited: it connects, backs up and restores. If the
 * account got its account key later, set that first; if the client was enrolled on another platform later, enrol it again.
 * That a typed code opens the file proves that the keys in it are those that were deposited with the code; an armed file
 * proves only that its provider has signed it.
 * @param options `provider`: the card of who must have signed it, whose fingerprint was compared before; `activationCode`:
 *   as somebody typed it, for a file that is not armed; `account`: the one that is expected, so that nobody is given
 *   somebody else's file to back up into
 * @throws KeystrataError `authentication-failed` for a file that another provider signed, or nobody, for the code of
 *   another deposit, and for an unarmed file without code; `policy` for a file of another account; `expired` past its date;
 *   `malformed` for a mistyped code, and for what is no such file; `unsupported`, `limit-exceeded`; for the card as
 *   `parseCard`
 * @example
 * ```ts
 * import type { Card } from 'keystrata'
 * import { openRegistration } from 'keystrata/client'
 *
 * function onNewMachine(file: Uint8Array, provider: Card, typedCode: string) {
 *   return openRegistration(file, { provider, activationCode: typedCode, account: 'customer-17' })
 * }
 * ```
 */
export function openRegistration(
  registration: Uint8Array,
  options: { provider: Card; account: string; activationCode?: string },
): Client {
  const { provider, activationCode, account } = options
  const { expires, deposit, code } = readRegistration(registration, keysOfCard(provider))
  assertOwnAccount(deposit.account, account)
  if (Date.now() >= expires) {
    throw new KeystrataError('expired', 'this registration is past its date', {
      expires: new Date(expires).toISOString(),
    })
  }
  const typed = activationCode === undefined ? code : parseActivationCode(activationCode)
  if (typed === undefined) {
    throw new KeystrataError('authentication-failed', 'this registration is not armed: it needs its activation code')
  }
  return openedClient(openEscrow(deposit, typed))
}
