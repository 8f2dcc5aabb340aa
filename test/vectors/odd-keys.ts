// Ed25519 keys and signatures that §1.5 refuses, although the equation of the signature holds: only the check of the key,
// or of the scalar, can reject an object that one of them signed.
import { createHash } from 'node:crypto'
import { HONEST_R, signatureFor, TORSION } from '../odd-signatures.ts'
import { sample } from '../fixtures.ts'
import { publicKeyOf, signedBy, unreduced } from './make-by-hand.ts'
import { ed25519 } from '@noble/curves/ed25519.js'

export type Signer = (message: Uint8Array) => Uint8Array<ArrayBuffer>
export type OddKey = 'mixed' | 'not-canonical' | 's'

/** Which there are, with the end of an id and the comment. */
export const ODD_KEYS: readonly (readonly [string, string, OddKey])[] = [
  ['mixed-order', 'a key that is not torsion-free', 'mixed'],
  ['not-canonical', 'a key of another encoding, y = 1 + p', 'not-canonical'],
  ['unreduced', 's + L for the scalar s', 's'],
]

const challengeOf = (R: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint => {
  const hash = createHash('sha512').update(R).update(publicKey).update(message).digest()
  return BigInt(`0x${hash.reverse().toString('hex')}`)
}

/** Returns a public key, and a function that signs for it. */
export function oddSigner(odd: OddKey, seed: Uint8Array = sample(32, 8)): [Uint8Array<ArrayBuffer>, Signer] {
  const honest = publicKeyOf(seed)
  switch (odd) {
    case 's':
      return [new Uint8Array(honest), (message) => new Uint8Array(unreduced(signedBy(seed, message)))]
    case 'not-canonical': {
      // The identity as y = 1 + p: R = S · B holds for every message.
      const publicKey = new Uint8Array(Buffer.from('ee' + 'ff'.repeat(30) + '7f', 'hex'))
      const S = Buffer.concat([Buffer.of(7), Buffer.alloc(31)])
      return [publicKey, () => new Uint8Array([...HONEST_R.toBytes(), ...S])]
    }
    case 'mixed': {
      const publicKey = new Uint8Array(ed25519.Point.fromBytes(honest).add(TORSION).toBytes())
      // The torsion of the key vanishes if the challenge is a multiple of 8; so try values of R.
      return [
        publicKey,
        (message) => {
          for (let r = 7n; ; r++) {
            const R = ed25519.Point.BASE.multiply(r)
            if (challengeOf(R.toBytes(), publicKey, message) % 8n === 0n)
              return signatureFor(seed, publicKey, message, R, r)
          }
        },
      ]
    }
  }
}
