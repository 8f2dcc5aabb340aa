// What clients claim about their keys to a server, and how they prove it (SPEC §14). An Ed25519 key pair is derived from each key. The server
// never sees a key: it keeps a hash of the public half, and asks for a signature over a fresh challenge on every connection.
import { disposing, SecretKey } from '../core/secret.ts'
import {
  DES_56,
  type KeyHash,
  KeyRole,
  keyTypeName,
  MAX_CLAIM_BYTES,
  type ProvenKey,
  roleOf,
  storedChallenge,
  type StoredChallenge,
  type StoredClaim,
  storedEnrolment,
  type StoredEnrolment,
  storedProof,
} from './layout.ts'
import { Suite } from '../core/suite.ts'
import { type Bytes, bytesFrom, concat, domain, EMPTY, equalBytes, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, NOBODY, ObjectType, parseHeader } from '../core/header.ts'
import { decodeName, parseName } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'
import { derive } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { isSignatureOf, sign, signingPublicKey } from '../primitives/signature.ts'
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
  const proven: Proven[] = []
  using _ = disposing(proven)
  const prove = (role: KeyRole, clientName: string, { type, key }: ClientKey) => {
    const names = [account, clientName, role, keyTypeName(type)]
    const seed = SecretKey.take('signing', derive(key, EMPTY, 'key-check', names.map(utf8), 32))
    proven.push({ seed, key: { role: KeyRole[role], type, publicKey: signingPublicKey(seed) } })
  }
  prove('private', client, privateKey)
  // Every client of the account proves the account key in the same way, so without its own name.
  if (accountKey !== undefined) prove('account', '', accountKey)
  return use(proven)
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
  messageFor: (role: ProvenKey['role'], account: string, client: string) => Bytes,
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
const isAccountKey = ({ role, type }: ProvenKey): boolean => role === KeyRole.account && type !== DES_56

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

/** The public halves of a client's proving keys, signed by each. */
export function encodeEnrolment(claimant: Claimant): Bytes {
  return provenBy(claimant, (proven) => {
    const body = { headerBytes: claimHeader(ObjectType.enrolment), ...fieldsOf(claimant, proven) }
    const message = enrolmentMessage(body)
    return encode(storedEnrolment, { ...body, signatures: proven.map(({ seed }) => sign(seed, message)) })
  })
}

const enrolmentMessage = (body: Omit<StoredEnrolment, 'signatures'>): Bytes =>
  signedPart('enrolment', encode(storedEnrolment, { ...body, signatures: [] }))

/** The answer to a challenge: the same public halves, and signatures that only their holder can make. */
export function encodeProof(claimant: Claimant, challenge: Uint8Array): Bytes {
  const { account, client, platform } = claimant
  return provenBy(claimant, (proven) =>
    encode(storedProof, {
      headerBytes: claimHeader(ObjectType.proof),
      challenge,
      account: utf8(account),
      client: utf8(client),
      platform,
      keys: proven.map(({ key }) => key),
      signatures: proven.map(({ seed, key }) => sign(seed, proofMessage(challenge, account, client, key.role))),
    }),
  )
}

function proofMessage(challenge: Uint8Array, account: string, client: string, role: ProvenKey['role']): Bytes {
  const names = [account, client, roleOf(role)].map((name) => lengthPrefixed(utf8(name)))
  return concat(domain('sign/key-proof'), lengthPrefixed(challenge), ...names)
}

/**
 * An enrolment whose signatures hold.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`; `authentication-failed` for another realm too
 */
export function readEnrolment(given: Uint8Array, realm: string): Claim {
  const bytes = copyOfClaim(given, 'enrolment')
  assertClaimHeader(bytes, 'enrolment', ObjectType.enrolment)
  const { signatures, ...body } = decode(storedEnrolment, bytes, 'enrolment')
  const named = readName(body.realm, 'enrolment')
  const message = enrolmentMessage(body)
  const claim = verifiedClaim({ ...body, signatures }, 'enrolment', () => message)
  if (named !== realm) throw authenticationFailed()
  return claim
}

/**
 * A proof whose signatures hold, and the challenge that it answers, which the caller must have given.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `authentication-failed`
 */
export function readProof(given: Uint8Array): Claim & { readonly challenge: Bytes } {
  const bytes = copyOfClaim(given, 'proof')
  assertClaimHeader(bytes, 'proof', ObjectType.proof)
  const proof = decode(storedProof, bytes, 'proof')
  const challenge = new Uint8Array(proof.challenge)
  const claim = verifiedClaim(proof, 'proof', (role, account, client) => proofMessage(challenge, account, client, role))
  return { ...claim, challenge }
}

/** A fresh challenge of a server. */
export function createChallenge(realm: string, server: string): Bytes {
  const random = randomBytes(32)
  return encode(storedChallenge, {
    headerBytes: claimHeader(ObjectType.challenge),
    realm: utf8(realm),
    server: utf8(server),
    random,
  })
}

/**
 * A copy of a challenge that is of this realm and this server.
 * @throws KeystrataError `malformed`, `unsupported`; `authentication-failed` for one of another realm or another server
 */
export function checkChallenge(given: Uint8Array, realm: string, server: string): Bytes {
  const bytes = copyOfClaim(given, 'challenge')
  assertClaimHeader(bytes, 'challenge', ObjectType.challenge)
  const stored: StoredChallenge = decode(storedChallenge, bytes, 'challenge')
  const holds = readName(stored.realm, 'challenge') === realm && readName(stored.server, 'challenge') === server
  if (!holds) throw authenticationFailed()
  return bytes
}
