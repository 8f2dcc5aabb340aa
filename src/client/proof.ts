// How a client claims and proves its keys to a server (SPEC §17). An Ed25519 key pair is derived from each key. The
// server never sees a key. It keeps a hash of the public half and asks for a signature over a fresh challenge on every
// connection.
import { disposing, SecretKey } from '../core/secret.ts'
import {
  type ClaimedIdentity,
  DES_56,
  type KeyHash,
  KeyRole,
  keyTypeName,
  MAX_CLAIM_BYTES,
  type ProvenKey,
  roleOf,
  storedChallenge,
  type StoredClaim,
  storedEnrolment,
  type StoredEnrolment,
  storedProof,
} from './layout.ts'
import { Suite } from '../core/suite.ts'
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
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, NOBODY, ObjectType, parseHeader } from '../core/header.ts'
import { decodeName, parseName } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'
import { derive } from '../primitives/kdf.ts'
import { isSignatureOf, sign, signingPublicKey } from '../primitives/signature.ts'
import type { AccountNames, ClientKey } from './typed-key.ts'

/** A client as it proves itself: its names, its platform and its keys. */
export interface Claimant extends AccountNames {
  readonly client: string
  /** The number of its platform in `PLATFORMS`. */
  readonly platform: number
  readonly privateKey: ClientKey
  readonly accountKey: ClientKey | undefined
}

/** The generation of enrolments and challenges: both have other fields than in the first release. */
const GENERATION = 1

const generationOf = (type: number): number =>
  type === ObjectType.enrolment || type === ObjectType.challenge ? GENERATION : 0

/** Encodes the header of a message between a client and its server. It has no key id and no owner id. */
export const claimHeader = (type: number): Bytes =>
  encodeHeader({ type, suite: Suite.none, keyId: NOBODY, ownerId: NOBODY, generation: generationOf(type) })

/** A key as it is claimed, and the signing key that proves it. */
export interface Proven {
  readonly key: ProvenKey
  readonly seed: SecretKey<'signing'>
}

/** Calls `use` with every key of a claimant and its signing key. Wipes the signing keys afterwards. */
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
  // Leave out the client's name, because all clients of the account prove the account key in the same way.
  if (accountKey !== undefined) prove('account', '', accountKey)
  return use(proven)
}

/** Returns the fields that identify the client in an enrolment or an escrow: its names, platform and keys. */
export function fieldsOf(
  { realm, account, client, platform }: Claimant,
  proven: readonly Proven[],
): Omit<ClaimedIdentity, 'headerBytes'> {
  const names = { realm: utf8(realm), account: utf8(account), client: utf8(client) }
  return { ...names, platform, keys: proven.map(({ key }) => key) }
}

/** What a client claims, after its signatures were verified. */
export interface Claim {
  readonly account: string
  readonly client: string
  readonly platform: number
  readonly privateKey: KeyHash
  readonly accountKey: KeyHash | undefined
}

/**
 * Checks the header of a message between a client and its server.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function assertClaimHeader(bytes: Uint8Array, object: string, type: number): void {
  const { keyId, ownerId } = parseHeader(bytes, object, type, [Suite.none], { generation: generationOf(type) })
  if (equalBytes(keyId, NOBODY) && equalBytes(ownerId, NOBODY)) return
  throw new KeystrataError('malformed', `the header of the ${object} has ids, but must have none`, { object })
}

/**
 * Copies a claim. Copies at most one byte more than the limit, so that oversized input is rejected cheaply.
 * @throws KeystrataError `limit-exceeded`
 */
export function copyOfClaim(given: Uint8Array, object: string): Bytes {
  const bytes = copyOf(bytesFrom(given, object).subarray(0, MAX_CLAIM_BYTES + 1))
  if (bytes.length <= MAX_CLAIM_BYTES) return bytes
  throw new KeystrataError('limit-exceeded', `the ${object} is larger than 4,096 bytes`, {
    object,
    most: MAX_CLAIM_BYTES,
  })
}

/**
 * Returns the message that each signature at the end of an object signs: every byte before the signature count.
 * @param unsigned the object, encoded with no signatures
 */
export function signedPart(purpose: 'enrolment' | 'escrow', unsigned: Uint8Array): Bytes {
  return concat(domain(`sign/${purpose}`), unsigned.subarray(0, -2))
}

/**
 * Checks that something belongs to the account that the caller expects.
 * @throws KeystrataError `policy` if it belongs to another account
 */
export function assertOwnAccount(account: string, expected: string): void {
  if (parseName(expected, 'account') === account) return
  throw new KeystrataError('policy', 'this object belongs to another account: check the account that you passed', {
    rule: 'own-account',
    account,
  })
}

/**
 * Verifies the keys and signatures of a claim.
 * @param messageFor the message that each key must have signed
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
      `the ${object} must have a private key and at most one account key, each with one signature`,
      { object },
    )
  }
  const names = { account: readName(account, object), client: readName(client, object) }
  for (const [index, { role, publicKey }] of keys.entries()) {
    const message = messageFor(role, names.account, names.client)
    if (!isSignatureOf(publicKey, message, signatures[index] ?? EMPTY)) throw authenticationFailed()
  }
  return { ...names, platform, privateKey: hashOf(privateKey), accountKey: accountKey && hashOf(accountKey) }
}

/** Returns whether a key is a valid account key, which is never of type DES-56. */
const isAccountKey = ({ role, type }: ProvenKey): boolean => role === KeyRole.account && type !== DES_56

export const hashOf = ({ type, publicKey }: ProvenKey): KeyHash => ({ type, hash: sha256(publicKey) })

/** Returns whether two hashes are of the same key. */
export function sameKey(a: KeyHash, b: KeyHash): boolean {
  return a.type === b.type && equalBytes(a.hash, b.hash)
}

/**
 * Decodes a name in a stored object.
 * @throws KeystrataError `malformed` if the name is not in the normal form of SPEC §1.2
 */
export function readName(bytes: Uint8Array, object: string): string {
  const name = decodeName(bytes)
  if (name !== undefined) return name
  throw new KeystrataError(
    'malformed',
    `the ${object} has an invalid name: names are 1 to 255 bytes of normalised UTF-8`,
    { object, field: 'name' },
  )
}

/**
 * Creates an enrolment, the answer to a challenge: the public halves of the client's proving keys, signed by each of
 * them.
 */
export function encodeEnrolment(claimant: Claimant, challenge: Uint8Array): Bytes {
  return provenBy(claimant, (proven) => {
    const body = { headerBytes: claimHeader(ObjectType.enrolment), challenge, ...fieldsOf(claimant, proven) }
    const message = enrolmentMessage(body)
    return encode(storedEnrolment, { ...body, signatures: proven.map(({ seed }) => sign(seed, message)) })
  })
}

const enrolmentMessage = (body: Omit<StoredEnrolment, 'signatures'>): Bytes =>
  signedPart('enrolment', encode(storedEnrolment, { ...body, signatures: [] }))

/** Creates a proof, the answer to a challenge: the public halves, and a signature over the challenge by each key. */
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
 * Parses an enrolment and verifies its signatures. The caller must check the realm, and that it issued the challenge.
 * @throws KeystrataError `authentication-failed` if a signature does not verify
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function readEnrolment(given: Uint8Array): Claim & { readonly realm: string; readonly challenge: Bytes } {
  const bytes = copyOfClaim(given, 'enrolment')
  assertClaimHeader(bytes, 'enrolment', ObjectType.enrolment)
  const { signatures, ...body } = decode(storedEnrolment, bytes, 'enrolment')
  const realm = readName(body.realm, 'enrolment')
  const message = enrolmentMessage(body)
  const claim = verifiedClaim({ ...body, signatures }, 'enrolment', () => message)
  return { ...claim, realm, challenge: copyOf(body.challenge) }
}

/**
 * Parses a proof and verifies its signatures. The caller must check that it issued the challenge that this returns.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`, `authentication-failed`
 */
export function readProof(given: Uint8Array): Claim & { readonly challenge: Bytes } {
  const bytes = copyOfClaim(given, 'proof')
  assertClaimHeader(bytes, 'proof', ObjectType.proof)
  const proof = decode(storedProof, bytes, 'proof')
  const challenge = copyOf(proof.challenge)
  const claim = verifiedClaim(proof, 'proof', (role, account, client) => proofMessage(challenge, account, client, role))
  return { ...claim, challenge }
}

/** A challenge whose form was checked. Only a server of its registry can check the date and the MAC. */
export interface Challenge {
  readonly realm: string
  readonly server: string
  /** When the server issued it, in milliseconds since 1970. */
  readonly date: number
  readonly mac: Uint8Array
  /** A copy of the whole challenge, which ends with the MAC. */
  readonly bytes: Bytes
}

/**
 * Parses a challenge.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function parseChallenge(given: Uint8Array): Challenge {
  const bytes = copyOfClaim(given, 'challenge')
  assertClaimHeader(bytes, 'challenge', ObjectType.challenge)
  const { realm, server, date, mac } = decode(storedChallenge, bytes, 'challenge')
  return { realm: readName(realm, 'challenge'), server: readName(server, 'challenge'), date, mac, bytes }
}

/**
 * Checks, for a client, that a challenge is from this realm and this server.
 * @returns a copy of it
 * @throws KeystrataError `authentication-failed` if it is from another realm or another server
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function checkChallenge(given: Uint8Array, realm: string, server: string): Bytes {
  const challenge = parseChallenge(given)
  if (challenge.realm !== realm || challenge.server !== server) throw authenticationFailed()
  return challenge.bytes
}
