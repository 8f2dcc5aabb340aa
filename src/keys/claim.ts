// What clients say of their keys to a server (SPEC §14.1), in an enrolment, a proof or an escrow: who they are, the public halves
// of what proves each key, and signatures by them.
import { type Bytes, bytesFrom, concat, domain, EMPTY, equalBytes, utf8 } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import {
  KEY_TYPES,
  type KeyHash,
  KeyRole,
  LegacyKeyType,
  MAX_CLAIM_BYTES,
  type ProvenKey,
  type StoredClaim,
  type StoredEnrolment,
} from '../format/client.ts'
import { encodeHeader, NOBODY, parseHeader, Suite } from '../format/header.ts'
import { derive } from '../primitives/kdf.ts'
import { sha256 } from '../primitives/hash.ts'
import { isSignatureOf, signingPublicKey } from '../primitives/signature.ts'
import { SecretKey } from '../secret.ts'
import { decodeName, parseName } from '../text.ts'
import type { AccountNames, ClientKey } from './typed-key.ts'

/** Who proves: names, platform, and keys. */
export interface Claimant extends AccountNames {
  readonly client: string
  /** A platform, as format/ numbers them. */
  readonly platform: number
  readonly privateKey: ClientKey
  readonly accountKey: ClientKey | undefined
}

/** What is told between a client and its server belongs to no key and no owner. */
export const claimHeader = (type: number): Bytes =>
  encodeHeader({ type, suite: Suite.none, keyId: NOBODY, ownerId: NOBODY })
export const nameOfRole = (role: number): string => (role === KeyRole.private ? 'private' : 'account')
const TYPES = Object.entries({ ...KEY_TYPES, ...LegacyKeyType })
const nameOfType = (type: number): string => TYPES.find(([, number]) => number === type)?.[0] ?? ''

/** A key, and the signing key that proves it. */
export interface Proven {
  readonly key: ProvenKey
  readonly seed: SecretKey<'signing'>
}

/** Calls `use` with every key of a claimant and what proves it, which is wiped afterwards. */
export function provenBy<T>(
  { account, client, privateKey, accountKey }: Claimant,
  use: (keys: readonly Proven[]) => T,
): T {
  const keys = [{ role: KeyRole.private as number, ...privateKey }]
  if (accountKey !== undefined) keys.push({ role: KeyRole.account, ...accountKey })
  const proven: Proven[] = []
  try {
    for (const { role, type, key } of keys) {
      // The account key is proven alike by every client of the account.
      const names = [account, role === KeyRole.account ? '' : client, nameOfRole(role), nameOfType(type)]
      const seed = SecretKey.take('signing', derive(key, EMPTY, 'key-check', names.map(utf8), 32))
      proven.push({ seed, key: { role, type, publicKey: signingPublicKey(seed) } })
    }
    return use(proven)
  } finally {
    for (const { seed } of proven) seed.dispose()
  }
}

/** What an enrolment and an escrow say of who made them. */
export function fieldsOf(
  { realm, account, client, platform }: Claimant,
  proven: readonly Proven[],
): Omit<StoredEnrolment, 'headerBytes' | 'signatures'> {
  const names = { realm: utf8(realm), account: utf8(account), client: utf8(client) }
  return { ...names, platform, keys: proven.map(({ key }) => key) }
}

/** What a client claims, with signatures that hold. */
export interface Claim {
  readonly account: string
  readonly client: string
  readonly platform: number
  readonly privateKey: KeyHash
  readonly accountKey: KeyHash | undefined
}

/** @throws KeystrataError `malformed`, `unsupported` */
export function assertClaimHeader(bytes: Uint8Array, object: string, type: number): void {
  const { keyId, ownerId } = parseHeader(bytes, object, type, [Suite.none])
  if (equalBytes(keyId, NOBODY) && equalBytes(ownerId, NOBODY)) return
  throw new KeystrataError('malformed', `${object}: ids in a header that has none`)
}

/** A copy, of no more than shows that there is too much. */
export function copyOfClaim(given: Uint8Array, object: string): Bytes {
  const bytes = new Uint8Array(bytesFrom(given, object).subarray(0, MAX_CLAIM_BYTES + 1))
  if (bytes.length <= MAX_CLAIM_BYTES) return bytes
  throw new KeystrataError('limit-exceeded', `too large: ${object}`, { object, most: MAX_CLAIM_BYTES })
}

/** What is signed in an object that ends in signatures: everything in front of their count. @param unsigned it, with none */
export function signedPart(purpose: 'enrolment' | 'escrow', unsigned: Uint8Array): Bytes {
  return concat(domain(`sign/${purpose}`), unsigned.subarray(0, -2))
}

/** @throws KeystrataError `policy` for what is of another account than the one that is expected, if one is */
export function assertOwnAccount(account: string, expected: string | undefined): void {
  if (expected === undefined || parseName(expected, 'account') === account) return
  throw new KeystrataError('policy', 'this is of another account', { rule: 'own-account', account })
}

/**
 * @param messageFor what each key has to have signed
 * @throws KeystrataError `malformed`, `authentication-failed`
 */
export function verifiedClaim(
  { account, client, platform, keys, signatures }: StoredClaim,
  object: string,
  messageFor: (role: number, account: string, client: string) => Bytes,
): Claim {
  const [privateKey, accountKey, more] = keys
  const isWellFormed =
    privateKey?.role === KeyRole.private &&
    (accountKey === undefined || isAccountKey(accountKey)) &&
    more === undefined &&
    signatures.length === keys.length
  if (!isWellFormed) {
    throw new KeystrataError(
      'malformed',
      `${object}: a private key, then perhaps an account key, with a signature each`,
    )
  }
  const names = { account: readName(account, object), client: readName(client, object) }
  for (const [index, { role, publicKey }] of keys.entries()) {
    const message = messageFor(role, names.account, names.client)
    if (!isSignatureOf(publicKey, message, signatures[index] ?? EMPTY)) throw authenticationFailed()
  }
  return { ...names, platform, privateKey: hashOf(privateKey), accountKey: accountKey && hashOf(accountKey) }
}

/** Keys under DES were never shared. */
const isAccountKey = ({ role, type }: ProvenKey): boolean =>
  role === KeyRole.account && type !== LegacyKeyType['DES-56']

export const hashOf = ({ type, publicKey }: ProvenKey): KeyHash => ({ type, hash: sha256(publicKey) })

/** Whether two hashes are of one key. */
export function sameKey(a: KeyHash, b: KeyHash): boolean {
  return a.type === b.type && equalBytes(a.hash, b.hash)
}

/** @throws KeystrataError `malformed` for a name that is not in the one form that names have */
export function readName(bytes: Uint8Array, object: string): string {
  const name = decodeName(bytes)
  if (name !== undefined) return name
  throw new KeystrataError('malformed', `${object}: a name in another form than names have`)
}
