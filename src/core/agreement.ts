// The key agreement of one object (SPEC §3.2): the XOR of the secrets of all methods of its suite. Each secret first
// passes a PRF over the whole transcript. Without the PRF, the XOR would not be safe against chosen ciphertexts, and
// X25519 treats several encodings of a public key as the same key (Giacon, Heuer, Poettering, "KEM Combiners", PKC
// 2018). Every object and recipient gets a fresh agreement. None is cached.
import { hmacSha512, sha512 } from '../primitives/hash.ts'
import { decapsulate, KEM_BYTES } from '../primitives/kem.ts'
import { allocate, type Bytes, domain, EMPTY, withFields, xorInto } from './bytes.ts'
import { bytes, type Codec } from './codec.ts'
import type { Identity, PublicHalves, Recipient } from './key-pairs.ts'
import { disposable, type Handle, SecretKey, withBytes } from './secret.ts'
import { type AgreementSuite, type Method, METHODS } from './suite.ts'

/** What a key agreement stores in the object. A part is empty if the suite does not use its method. */
export interface AgreementParts {
  /** The ephemeral X25519 public key, 32 bytes. */
  readonly ephemeral: Uint8Array
  /** The ML-KEM-1024 ciphertext, 1,568 bytes. */
  readonly encapsulated: Uint8Array
}

/** For each method, the name of its part, and the label of the PRF for its secret. */
const ROWS = {
  x25519: { part: 'ephemeral', label: 'kem/x25519' },
  mlKem1024: { part: 'encapsulated', label: 'kem/ml-kem-1024' },
} as const satisfies Record<Method, { part: keyof AgreementParts; label: string }>

const uses = (suite: AgreementSuite, method: Method): boolean => (suite.methods as readonly Method[]).includes(method)

/** Returns the stored fields of the parts. */
/* @__NO_SIDE_EFFECTS__ */
export function partFields(suite: AgreementSuite): { readonly [Part in keyof AgreementParts]: Codec<Uint8Array> } {
  const sizeOf = (method: Method) => (uses(suite, method) ? KEM_BYTES[method].ciphertext : 0)
  return { ephemeral: bytes(sizeOf('x25519')), encapsulated: bytes(sizeOf('mlKem1024')) }
}

/** Everything that must be the same for sender and recipient. */
export interface AgreementPlace {
  readonly headerBytes: Uint8Array
  readonly suite: AgreementSuite
  /** Known to both sides, but not stored. For a block, its label. */
  readonly context: Uint8Array
}

/** The agreed value X with its transcript T. It is not a key itself: keys are derived from it, one for each purpose. */
export interface Agreement extends Handle {
  /** Derives the key for one purpose: `F(X, "kem/" + purpose, T)`, 32 bytes. */
  key(purpose: 'combined' | 'envelope' | 'seal'): SecretKey<'agreed'>
}

/**
 * Creates a fresh agreement with a recipient.
 * @param ephemeral the ephemeral X25519 key. Without it, a fresh one is generated
 */
export function agreeWith(
  recipient: Recipient,
  place: AgreementPlace,
  ephemeral?: SecretKey<'x25519'>,
): { parts: AgreementParts; agreement: Agreement } {
  const parts = { ephemeral: EMPTY, encapsulated: EMPTY }
  const secrets: Secret[] = []
  using _ = disposable({}, () => disposeAll(secrets))
  for (const method of place.suite.methods) {
    const { ciphertext, shared } =
      method === 'x25519' && ephemeral !== undefined
        ? withBytes(ephemeral, (scalar) => recipient.x25519.encapsulate(scalar))
        : recipient[method].encapsulate()
    parts[ROWS[method].part] = ciphertext
    secrets.push({ method, key: SecretKey.adopt('agreed', shared) })
  }
  return { parts, agreement: combine(secrets, transcriptOf(recipient.publicHalves, place, parts)) }
}

/**
 * Computes the agreement that a sender created.
 * @throws KeystrataError `authentication-failed` if a part is one that no honest sender writes. Any other wrong part
 *   gives a wrong agreement, and an error only when it is used
 */
export function reachAgreement(identity: Identity, place: AgreementPlace, parts: AgreementParts): Agreement {
  const secrets: Secret[] = []
  using _ = disposable({}, () => disposeAll(secrets))
  for (const method of place.suite.methods) {
    const shared = decapsulate(identity[method], parts[ROWS[method].part])
    secrets.push({ method, key: SecretKey.adopt('agreed', shared) })
  }
  return combine(secrets, transcriptOf(identity.publicHalves, place, parts))
}

/** The secret of one method, as its KEM gave it. */
interface Secret {
  readonly method: Method
  readonly key: SecretKey<'agreed'>
}

function disposeAll(secrets: readonly Secret[]): void {
  for (const { key } of secrets) key.dispose()
}

/**
 * Computes `F(key, label, T)`: HMAC-SHA-512, cut to 32 bytes.
 * @param transcript `LP(T)`
 */
function prf(key: SecretKey<'agreed'>, label: string, transcript: Uint8Array): SecretKey<'agreed'> {
  const mac = hmacSha512(key, domain(label), transcript)
  mac.fill(0, 32)
  return SecretKey.adopt('agreed', mac.subarray(0, 32))
}

function transcriptOf(
  publicHalves: PublicHalves,
  { headerBytes, suite, context }: AgreementPlace,
  parts: AgreementParts,
): Bytes {
  // A method that is not used has two empty fields.
  const agreed = METHODS.flatMap((method) =>
    uses(suite, method) ? [parts[ROWS[method].part], publicHalves[method]] : [EMPTY, EMPTY],
  )
  return sha512(withFields(domain('kem-transcript'), headerBytes, ...agreed, context))
}

/** Computes X: the XOR of all secrets, after each has passed the PRF of its method. */
function combine(secrets: readonly Secret[], transcript: Bytes): Agreement {
  const prefixed = withFields(EMPTY, transcript)
  const bytes = allocate(32)
  const agreed = SecretKey.adopt('agreed', bytes)
  try {
    for (const { method, key } of secrets) {
      using passed = prf(key, ROWS[method].label, prefixed)
      withBytes(passed, (each) => xorInto(bytes, each))
    }
  } catch (error) {
    agreed.dispose()
    throw error
  }
  const key: Agreement['key'] = (purpose) => prf(agreed, `kem/${purpose}`, prefixed)
  return disposable({ key }, () => agreed.dispose())
}
