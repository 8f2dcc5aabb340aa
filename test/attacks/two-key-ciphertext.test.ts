// GCM does not commit to its key: one ciphertext can be made that opens, under two keys, as two contents (Dodis, Grubbs,
// Ristenpart, Woodage 2018). Here it is made, GCM takes it, and the commitment refuses it.
import { describe, expect, it } from 'vitest'
import { decryptContent } from '../../src/blocks/seal.ts'
import { concat, domain } from '../../src/bytes.ts'
import { Mode } from '../../src/format/envelope.ts'
import { deriveLock } from '../../src/keys/lock.ts'
import { portableBackend } from '../../src/primitives/backend-portable.ts'
import { SecretKey, withBytes } from '../../src/secret.ts'
import { failure, sample } from '../fixtures.ts'
import { createCipheriv } from 'node:crypto'

// Multiplication in GF(2^128) as SP 800-38D §6.3 defines it: bit 0 is the leftmost.
const R = 0xe1n << 120n
function multiply(x: bigint, y: bigint): bigint {
  let [product, v] = [0n, y]
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((x >> bit) & 1n) product ^= v
    v = v & 1n ? (v >> 1n) ^ R : v >> 1n
  }
  return product
}
const ONE = 1n << 127n
function power(x: bigint, exponent: bigint): bigint {
  let [result, base] = [ONE, x]
  for (let e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = multiply(result, base)
    base = multiply(base, base)
  }
  return result
}
const invert = (x: bigint) => power(x, (1n << 128n) - 2n)

const toInteger = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`)
const toBytes = (value: bigint) => new Uint8Array(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'))
const blocksOf = (bytes: Uint8Array) =>
  Array.from({ length: Math.ceil(bytes.length / 16) }, (_, index) => {
    const padded = new Uint8Array(16)
    padded.set(bytes.subarray(16 * index, 16 * index + 16))
    return toInteger(padded)
  })
const encryptBlock = (key: Uint8Array, block: Uint8Array) => {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  return toInteger(new Uint8Array(cipher.update(block)))
}

/** A ciphertext of three blocks and a tag that hold under both keys: the last block is solved for. */
function forTwoKeys(keys: readonly [Uint8Array, Uint8Array], aad: Uint8Array): Uint8Array {
  const text = sample(32, 3)
  const lengths = (BigInt(8 * aad.length) << 64n) | BigInt(8 * 48)
  const sides = keys.map((key) => {
    const h = encryptBlock(key, new Uint8Array(16))
    const mask = encryptBlock(
      key,
      Uint8Array.from({ length: 16 }, (_, index) => (index === 15 ? 1 : 0)),
    )
    // The tag is known·H + last·H² + lengths·H + mask, where `known` gathers what stands before the last block.
    const before = [...blocksOf(aad), ...blocksOf(text)].reduce((hash, block) => multiply(hash ^ block, h), 0n)
    const square = multiply(h, h)
    return { constant: multiply(before, square) ^ multiply(lengths, h) ^ mask, square }
  })
  const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]]
  const last = multiply(a.constant ^ b.constant, invert(a.square ^ b.square))
  return concat(text, toBytes(last), toBytes(a.constant ^ multiply(last, a.square)))
}

describe('a finder of GCM collisions', () => {
  it('has one ciphertext for two keys, and only one of them opens it', async () => {
    const blockKeys = [new SecretKey('block', sample(32, 1)), new SecretKey('block', sample(32, 2))] as const
    const locks = blockKeys.map((key) => deriveLock(key, new Uint8Array(0), 'block-scoped'))
    const aesKeys = locks.map((lock) => withBytes(lock.key, (bytes) => new Uint8Array(bytes)))
    const aad = domain('scoped-block')
    const sealed = forTwoKeys(aesKeys as [Uint8Array, Uint8Array], aad)

    const [first, second] = aesKeys.map((key) => portableBackend.gcmOpen(key, new Uint8Array(12), aad, sealed))
    expect(first).toBeDefined()
    expect(second).toBeDefined()
    expect(first).not.toEqual(second)

    const ciphertext = concat(locks[0]!.commitment, sealed)
    expect(await decryptContent(Mode.scoped, blockKeys[0], sample(32), ciphertext)).toEqual(first)
    await failure(() => decryptContent(Mode.scoped, blockKeys[1], sample(32), ciphertext), 'authentication-failed')
  })
})
