// How a client proves its keys to a server that never sees them (SPEC §14): an Ed25519 key pair follows from each key; the
// server keeps a hash of its public half, and asks for a signature over a fresh challenge on every connection.
import { type Bytes, concat, domain, lengthPrefixed, utf8 } from '../bytes.ts'
import { authenticationFailed } from '../errors.ts'
import {
  type StoredChallenge,
  storedChallenge,
  type StoredEnrolment,
  storedEnrolment,
  storedProof,
} from '../format/client.ts'
import { decode, encode } from '../format/codec.ts'
import { ObjectType } from '../format/header.ts'
import { randomBytes } from '../primitives/random.ts'
import { sign } from '../primitives/signature.ts'
import {
  assertClaimHeader,
  type Claim,
  type Claimant,
  claimHeader,
  copyOfClaim,
  fieldsOf,
  nameOfRole,
  provenBy,
  readName,
  signedPart,
  verifiedClaim,
} from './claim.ts'

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

function proofMessage(challenge: Uint8Array, account: string, client: string, role: number): Bytes {
  const names = [account, client, nameOfRole(role)].map((name) => lengthPrefixed(utf8(name)))
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
