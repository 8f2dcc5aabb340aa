// A client that comes back from a registration file (SPEC §16.3), on a machine that never saw its keys.
import { parseActivationCode } from '../custody/activation-code.ts'
import { readRegistration } from '../custody/registration.ts'
import { openEscrow } from '../custody/safeguard.ts'
import { KeystrataError } from '../errors.ts'
import { type Card, keysOfCard } from '../keys/card.ts'
import { assertOwnAccount } from '../keys/claim.ts'
import { type Client, openedClient } from './client.ts'

/**
 * What a registration file says, and its provider has signed, but for `armed`.
 * @example
 * ```ts
 * import type { RegistrationFacts } from 'keystrata'
 *
 * const askFor = ({ client, depositedAt }: RegistrationFacts) =>
 *   `Activation code of ${client}, deposited ${depositedAt.toISOString()}:`
 * ```
 */
export interface RegistrationFacts {
  readonly realm: string
  readonly account: string
  readonly client: string
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
 * import { type Card, parseRegistration } from 'keystrata'
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
    client,
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
 * import { type Card, openRegistration } from 'keystrata'
 *
 * function onNewMachine(file: Uint8Array, provider: Card, typedCode: string) {
 *   return openRegistration(file, { provider, activationCode: typedCode, account: 'customer-17' })
 * }
 * ```
 */
export function openRegistration(
  registration: Uint8Array,
  options: { provider: Card; activationCode?: string; account?: string },
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
