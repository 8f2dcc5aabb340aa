// Ed25519 of node:crypto, with the interface of src/primitives/signature.ts, for models that verify the same few records
// thousands of times. The results are the same for every signature that a model makes. The strict rules for unusual keys
// are left out.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign as signByNode, verify } from 'node:crypto'
import type { Bytes } from '../../src/core/bytes.ts'
import { type SecretKey, withBytes } from '../../src/core/secret.ts'

export const SIGNATURE_BYTES = 64

/** What stands before the bytes of a key in PKCS #8 and in SPKI (RFC 8410). */
const PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC = Buffer.from('302a300506032b6570032100', 'hex')

/** How many keys and answers to remember: runs that create identities would fill the memory. */
const MOST = 20_000

function remembered<T>(known: Map<string, T>, name: string, make: () => T): T {
  let value = known.get(name)
  if (value === undefined) {
    if (known.size >= MOST) known.clear()
    known.set(name, (value = make()))
  }
  return value
}

interface Pair {
  readonly key: KeyObject
  readonly publicKey: Uint8Array
}

const pairs: Map<string, Pair> = new Map()
const answers: Map<string, boolean> = new Map()

const pairOf = (seed: SecretKey<'signing'>): Pair =>
  withBytes(seed, (bytes) =>
    remembered(pairs, Buffer.from(bytes).toString('latin1'), () => {
      const key = createPrivateKey({ key: Buffer.concat([PRIVATE, bytes]), format: 'der', type: 'pkcs8' })
      const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
      return { key, publicKey: spki.subarray(PUBLIC.length) }
    }),
  )

export const signingPublicKey = (seed: SecretKey<'signing'>): Bytes => new Uint8Array(pairOf(seed).publicKey)

export const sign = (seed: SecretKey<'signing'>, message: Uint8Array): Bytes =>
  new Uint8Array(signByNode(null, message, pairOf(seed).key))

export function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const name = createHash('sha256').update(publicKey).update(signature).update(message).digest('hex')
  return remembered(answers, name, () => {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC, publicKey]), format: 'der', type: 'spki' })
    return verify(null, message, key, signature)
  })
}
