// Registration files (SPEC §18.3): an escrow that a provider hands out, signed and with an expiry date. An unarmed file
// opens only with the activation code, which the provider does not have. An armed file contains the code, so anybody
// who has the file can recreate the client.
import { type Card, type CardHolder, type CardKeys, fingerprintBytes, keysOfCard } from '../core/card.ts'
import { CODE_CHARACTERS } from '../core/code.ts'
import { Suite } from '../core/suite.ts'
import { bytes, type Codec, decode, encode, name, optional, sized, struct, time, uint16 } from '../core/codec.ts'
import {
  type Bytes,
  bytesFrom,
  concat,
  copyOf,
  domain,
  EMPTY,
  equalBytes,
  lengthPrefixed,
  utf8,
} from '../core/bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import { publicKeyId } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import { disposeKeys, wiping } from '../core/secret.ts'
import { isSignatureOf, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { type Client, openedClient } from './client.ts'
import { type Deposit, openEscrow, parseActivationCode, readActivationCode, readEscrow } from './escrow.ts'
import { assertOwnAccount, readName } from './proof.ts'

/** The fields that the provider signs. */
export interface SignedRegistration {
  readonly headerBytes: Uint8Array
  /** The server that the client belongs to. */
  readonly server: Uint8Array
  /** Milliseconds since 1970, a {@link time}. */
  readonly expires: number
  readonly escrow: Uint8Array
}

export interface StoredRegistration extends SignedRegistration {
  readonly signature: Uint8Array
  /** The activation code, if the file is armed. */
  readonly code?: Uint8Array | undefined
}

const signed = {
  headerBytes: bytes(HEADER_BYTES),
  server: name,
  expires: time,
  escrow: sized(uint16),
}

export const signedRegistration: Codec<SignedRegistration> = struct(signed)

export const storedRegistration: Codec<StoredRegistration> = struct({
  ...signed,
  signature: bytes(SIGNATURE_BYTES),
  code: optional(bytes(CODE_CHARACTERS)),
})

/** The size limit of a registration file: an escrow, a name, and fields of fixed size. */
export const MAX_REGISTRATION_BYTES = 8192

/**
 * Signs a registration file with the card signing key of the provider.
 * @param expires milliseconds since 1970
 */
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
 * Adds the activation code to a registration file. Anybody who has the armed file can recreate the client and read
 * everything that it can read, so protect the file like the keys. This checks that the code opens the escrow. It does
 * not check the provider's signature; {@link openRegistration} does.
 * @param registration the unarmed file. In an armed file, the code replaces the present one
 * @param activationCode the code as somebody typed it. Small letters, spaces, hyphens and punctuation do not matter
 * @throws KeystrataError `invalid-text` if the code is mistyped
 * @throws KeystrataError `malformed` if this is not a registration file
 * @throws KeystrataError `authentication-failed` if the code belongs to another escrow or the escrow is damaged
 * @throws KeystrataError `unsupported`, `limit-exceeded`
 * @throws TypeError if `registration` is not a Uint8Array or `activationCode` is not a string
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
  const bytes = utf8(code)
  using _ = wiping(bytes, stored.code ?? EMPTY)
  return encode(storedRegistration, { ...stored, code: bytes })
}

/**
 * Parses a registration file without verifying anything. Copies at most one byte more than the limit, so that oversized
 * input is rejected cheaply.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
function parseStored(given: Uint8Array): StoredRegistration & { readonly header: Header } {
  const bytes = copyOf(bytesFrom(given, 'registration').subarray(0, MAX_REGISTRATION_BYTES + 1))
  if (bytes.length > MAX_REGISTRATION_BYTES) {
    throw new KeystrataError('limit-exceeded', 'the registration file is larger than 8,192 bytes', {
      object: 'registration',
      most: MAX_REGISTRATION_BYTES,
    })
  }
  const header = parseHeader(bytes, 'registration', ObjectType.registration, [Suite.none])
  return { ...decode(storedRegistration, bytes, 'registration'), header }
}

/** A registration file whose signature by the provider was verified. It may have expired. */
export interface Registration {
  readonly server: string
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly deposit: Deposit
  /** The 30 characters of the activation code, if the file is armed. */
  readonly code: string | undefined
}

/**
 * Parses a registration file and verifies the signatures of the provider and of the escrow. It does not check the date.
 * @throws KeystrataError `authentication-failed` if another provider signed the file, or a signature does not verify
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function readRegistration(given: Uint8Array, provider: CardKeys): Registration {
  const stored = parseStored(given)
  const { header, server, expires, escrow, signature, code: typed } = stored
  using _ = wiping(typed ?? EMPTY)
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
 * What a registration file says. The provider has signed all of it except `armed`.
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
  /** The name of the client's server, to pass to its `prove`. */
  readonly server: string
  /** When the file expires: from then on {@link openRegistration} refuses it. */
  readonly expires: Date
  /** When the client deposited these keys. The activation code from that deposit opens the file. */
  readonly depositedAt: Date
  /**
   * Whether the file contains the account key. If the account got its account key after the deposit, the file does not,
   * and the caller must set the key after opening the file.
   */
  readonly hasAccountKey: boolean
  /**
   * Whether the file contains an activation code, which is not signed. With the right code, protect the file like the
   * keys.
   */
  readonly armed: boolean
}

const PROVIDER_HINT = ": pass the provider's card, as parseCard returns it"

/**
 * Reads what a registration file says, without the activation code. It verifies the provider's signature, but accepts
 * expired files.
 * @param options `provider`: the card of the provider who must have signed the file, with a fingerprint that was
 *   compared
 * @throws KeystrataError `authentication-failed` if the file was not signed by this provider
 * @throws KeystrataError the errors of `parseCard` for the card
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import type { Card } from 'keystrata'
 * import { parseRegistration } from 'keystrata/client'
 *
 * const isPast = (file: Uint8Array, provider: Card) => parseRegistration(file, { provider }).expires < new Date()
 * ```
 */
export function parseRegistration(registration: Uint8Array, options: { provider: Card }): RegistrationFacts {
  const { provider } = optionsFrom(options, { provider: 'required' }, 'parseRegistration', PROVIDER_HINT)
  const { server, expires, code, deposit } = readRegistration(registration, keysOfCard(provider))
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
 * Opens the client in a registration file, as it was when its keys were deposited. It can connect, back up and restore.
 * If the account got its account key after the deposit, set that key first. If the client was enrolled on another
 * platform after the deposit, enrol it again. If a typed code opens the file, the keys in it are those that were
 * deposited with that code. An armed file proves only that the provider signed it.
 * @param options `provider`: the card of the provider who must have signed the file, with a fingerprint that was
 *   compared; `activationCode`: the code as somebody typed it, required for an unarmed file; `account`: the account
 *   that the caller expects, so that a client does not back up into the account of another customer
 * @throws KeystrataError `authentication-failed` if the file was not signed by this provider, if the code belongs to
 *   another escrow, or if the file is unarmed and no code is given
 * @throws KeystrataError `policy` if the file is for another account
 * @throws KeystrataError `expired` if the file has expired
 * @throws KeystrataError `invalid-text` if the code is mistyped
 * @throws KeystrataError `malformed` if this is not a registration file
 * @throws KeystrataError the errors of `parseCard` for the card
 * @throws KeystrataError `unsupported`, `limit-exceeded`
 * @throws TypeError for an unknown option, or an explicit `undefined` for `account` or `activationCode`
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
  const rules = { provider: 'required', account: 'required', activationCode: 'defined' } as const
  const { provider, activationCode, account } = optionsFrom(options, rules, 'openRegistration', PROVIDER_HINT)
  const { expires, deposit, code } = readRegistration(registration, keysOfCard(provider))
  assertOwnAccount(deposit.account, account)
  if (Date.now() >= expires) {
    throw new KeystrataError('expired', 'this registration file has expired: ask the provider for a new one', {
      object: 'registration',
      expires: new Date(expires).toISOString(),
    })
  }
  const typed = activationCode === undefined ? code : parseActivationCode(activationCode)
  if (typed === undefined) {
    throw new KeystrataError('authentication-failed', 'this registration file is not armed: pass its activation code')
  }
  return openedClient(openEscrow(deposit, typed))
}
