// Row 17. GCM does not commit to its key: somebody can craft one ciphertext that opens to two contents under two keys
// (Dodis, Grubbs, Ristenpart, Woodage 2018). This test crafts one; GCM accepts it, and the commitment refuses it.
import { Suite } from '../../src/core/suite.ts'
import { portableBackend } from '../platforms.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { createCipheriv } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ContentScheme } from '../../src/keyset/dedup.ts'
import { decryptContent } from '../../src/keyset/seal.ts'
import { concat, domain } from '../../src/core/bytes.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { deriveLock } from '../../src/core/wrap.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure, hex, sample } from '../fixtures.ts'
import { insides, quickKeyset } from './known.ts'

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

/** Crafts three ciphertext blocks and a tag that are valid under both keys, by solving for the last block. */
function forTwoKeys(keys: readonly Uint8Array[], iv: Uint8Array, aad: Uint8Array): Uint8Array {
  const text = sample(32, 3)
  const lengths = (BigInt(8 * aad.length) << 64n) | BigInt(8 * 48)
  const sides = keys.map((key) => {
    const h = encryptBlock(key, new Uint8Array(16))
    const mask = encryptBlock(key, concat(iv, Uint8Array.of(0, 0, 0, 1)))
    // The tag is known·H + last·H² + lengths·H + mask. `known` collects everything before the last block.
    const before = [...blocksOf(aad), ...blocksOf(text)].reduce((hash, block) => multiply(hash ^ block, h), 0n)
    const square = multiply(h, h)
    return { constant: multiply(before, square) ^ multiply(lengths, h) ^ mask, square }
  })
  const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]]
  const last = multiply(a.constant ^ b.constant, invert(a.square ^ b.square))
  return concat(text, toBytes(last), toBytes(a.constant ^ multiply(last, a.square)))
}

const blockKeys = [new SecretKey('block', sample(32, 1)), new SecretKey('block', sample(32, 2))] as const
const label = sample(32, 4)

/** Returns one ciphertext that is valid under two AES keys, and the two contents that GCM finds in it. */
function crafted(aesKeys: readonly Uint8Array[], iv: Uint8Array, aad: Uint8Array) {
  const sealed = forTwoKeys(aesKeys, iv, aad)
  const [first, second] = aesKeys.map((key) => portableBackend.gcmOpen(key, iv, aad, sealed))
  expect(first).toHaveLength(48)
  expect(second).toHaveLength(48)
  expect(first).not.toEqual(second)
  return { sealed, contents: [first!, second!] as const }
}

describe('a finder of GCM collisions wants one ciphertext for two keys', () => {
  it.each([
    ['scoped', new Uint8Array(0), domain('scoped-block'), 'block-scoped'],
    ['off', sample(32, 5), concat(domain('random-block'), label), 'block-random'],
  ] as const)(
    'crafts it: with the commitment to either key, only that key opens it (%s)',
    async (dedup, nonce, aad, name) => {
      const locks = blockKeys.map((key) => deriveLock(key, nonce, name, [], 32))
      const aesKeys = locks.map(({ key }) => withBytes(key, (bytes) => new Uint8Array(bytes)))
      const { sealed, contents } = crafted(aesKeys, locks[0]!.iv, aad)
      const mode = Mode[dedup]
      for (const mine of [0, 1] as const) {
        const [key, other] = [blockKeys[mine], blockKeys[1 - mine]!]
        const ciphertext = concat(nonce, locks[mine]!.commitment, sealed)
        expect(await decryptContent(mode, key, label, ciphertext)).toEqual(contents[mine])
        await failure(() => decryptContent(mode, other, label, ciphertext), 'authentication-failed')
      }
    },
  )

  it('crafts it in global mode, which has no commitment: neither key is its content’s hash, so both fail', async () => {
    const aesKeys = blockKeys.map((key) => withBytes(key, (bytes) => new Uint8Array(bytes)))
    const { sealed, contents } = crafted(aesKeys, new Uint8Array(12), domain('global-block'))
    const keyset = await quickKeyset()
    const { keyset: owner, share } = keyset.createShare()
    const reader = keyset.acceptShare(share.invite(keyset.card()), keyset.card())
    const { id, blockPair, sourceSigning, additional } = insides(owner)
    for (const [index, key] of blockKeys.entries()) {
      // The cipher accepts it: the check of content against key refuses it.
      expect(await decryptContent(Mode.global, key, label, sealed)).toEqual(contents[index])
      const scheme = new ContentScheme(Mode.global, insides(owner))
      const named = await scheme.copyAndIdentify(contents[index]!, new Uint8Array(48))
      const place = { suite: Suite.hybrid, mode: Mode.global, label: named.label } as const
      const block = { label: hex(named.label), ciphertext: sealed }
      const envelope = maskKey(key, new Recipient(blockPair.publicHalves), { ...place, ownerId: id })
      await failure(() => owner.open({ ...block, envelope }), 'authentication-failed')
      const { publicHalves, id: ownerId } = additional!.shares[0]!
      const shared = maskKey(key, new Recipient(publicHalves), { ...place, ownerId, sharer: sourceSigning.publicKey })
      await failure(() => reader.open({ ...block, envelope: shared }), 'authentication-failed')
    }
  })
})
