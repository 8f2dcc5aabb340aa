// Envelopes of blocks: small, stored in front of a ciphertext that never changes. A keyset's (SPEC §6.1) is replaced by
// rekeying; a vault's (SPEC §11) and a client's (SPEC §13) stay.
// The key agreement of one object: X25519 and ML-KEM-1024, XORed (SPEC §3.2). Each secret first passes a PRF over the whole
// transcript, because raw secrets XORed are not safe against chosen ciphertexts and X25519 has alias public keys (Giacon,
// Heuer, Poettering, "KEM Combiners", PKC 2018). One fresh agreement per object and recipient; none is ever cached.
import { hmacSha512, sha512 } from '../primitives/hash.ts'
import { decapsulate } from '../primitives/kem.ts'
import { type Bytes, domain, EMPTY, lengthPrefixed, wipe, xor } from './bytes.ts'
import type { Identity, PublicHalves, Recipient } from './key-pairs.ts'
import { SecretKey } from './secret.ts'

/** What a key agreement leaves in the object that it opens. */
export interface AgreementParts {
  /** The ephemeral X25519 public key, 32 bytes. */
  readonly ephemeral: Uint8Array
  /** The ML-KEM-1024 ciphertext, 1,568 bytes; empty with X25519 alone. */
  readonly encapsulated: Uint8Array
}

/** What an agreement is made over: everything that must be the same on both sides. */
export interface AgreementPlace {
  readonly headerBytes: Uint8Array
  /** X25519 and ML-KEM-1024, or X25519 alone: decided by the suite in the header, never by what is there. */
  readonly hybrid: boolean
  /** Known to both sides and not stored; for a block its label. */
  readonly context: Uint8Array
}

/** The agreed value X with its transcript T. Keys come from it by purpose; X itself is no key. */
export class Agreement {
  readonly #agreed: SecretKey<'agreed'>
  readonly #transcript: Bytes

  constructor(agreed: SecretKey<'agreed'>, transcript: Bytes) {
    this.#agreed = agreed
    this.#transcript = transcript
  }

  /** `F(X, "kem/" + purpose, T)`, 32 bytes. */
  key(purpose: 'combined' | 'envelope' | 'seal'): SecretKey<'agreed'> {
    return SecretKey.take('agreed', prf(this.#agreed, `kem/${purpose}`, this.#transcript))
  }

  dispose(): void {
    this.#agreed.dispose()
  }
}

export function agreeWith(
  recipient: Recipient,
  place: AgreementPlace,
): { parts: AgreementParts; agreement: Agreement } {
  const shared: Bytes[] = []
  try {
    const x25519 = recipient.x25519.encapsulate()
    shared.push(x25519.shared)
    const mlKem1024 = place.hybrid ? recipient.mlKem1024.encapsulate() : undefined
    if (mlKem1024 !== undefined) shared.push(mlKem1024.shared)
    const parts = { ephemeral: x25519.ciphertext, encapsulated: mlKem1024?.ciphertext ?? EMPTY }
    return { parts, agreement: combine(shared, transcriptOf(recipient.publicHalves, place, parts)) }
  } finally {
    wipe(...shared)
  }
}

/** @throws KeystrataError `authentication-failed` for parts that no sender writes; wrong ones show only when used */
export function reachAgreement(identity: Identity, place: AgreementPlace, parts: AgreementParts): Agreement {
  const shared: Bytes[] = []
  try {
    shared.push(decapsulate(identity.x25519, parts.ephemeral))
    if (place.hybrid) shared.push(decapsulate(identity.mlKem1024, parts.encapsulated))
    return combine(shared, transcriptOf(identity.publicHalves, place, parts))
  } finally {
    wipe(...shared)
  }
}

/** `F(key, label, T)`: HMAC-SHA-512, cut to 32 bytes. */
function prf(key: SecretKey<'agreed'>, label: string, transcript: Uint8Array): Bytes {
  const mac = hmacSha512(key, domain(label), lengthPrefixed(transcript))
  const cut = mac.slice(0, 32)
  wipe(mac)
  return cut
}

function transcriptOf(publicHalves: PublicHalves, place: AgreementPlace, parts: AgreementParts): Bytes {
  const fields = [
    place.headerBytes,
    parts.ephemeral,
    publicHalves.x25519,
    parts.encapsulated,
    place.hybrid ? publicHalves.mlKem1024 : EMPTY,
    place.context,
  ]
  return sha512(domain('kem-transcript'), ...fields.map(lengthPrefixed))
}

/** X = k_x ⊕ k_m, or k_x alone, from the secrets in that order. */
function combine(shared: readonly Bytes[], transcript: Bytes): Agreement {
  const methods = ['kem/x25519', 'kem/ml-kem-1024']
  const agreed = shared.map((secret, index) => {
    const key = new SecretKey('agreed', secret)
    try {
      return prf(key, methods[index] ?? '', transcript)
    } finally {
      key.dispose()
    }
  })
  try {
    return new Agreement(SecretKey.take('agreed', agreed.reduce(xor)), transcript)
  } finally {
    wipe(...agreed)
  }
}
