// Replaces node:crypto in browsers, as far as tests use it, with noble and des.js. Names and results are those of Node.
// The tests' own constructions and the second reader of SPEC.md use it. The run on Node checks them against OpenSSL.
import { cbc, ctr, ecb, gcm } from '@noble/ciphers/aes.js'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { pbkdf2 } from '@noble/hashes/pbkdf2.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import type { CHash } from '@noble/hashes/utils.js'
// @ts-expect-error The package has no types.
import des from 'des.js'
import { type DesJs } from '../../../src/legacy/des.ts'

type Hash = 'sha256' | 'sha512' | 'sha3-256'
const hashes: Readonly<Record<Hash, CHash>> = { sha256, sha512, 'sha3-256': sha3_256 }
type Input = Uint8Array | string

const bytesOf = (input: Input): Uint8Array => (typeof input === 'string' ? new TextEncoder().encode(input) : input)

interface Running {
  update(input: Uint8Array): unknown
  digest(): Uint8Array
}

class Digest {
  readonly #state: Running

  constructor(state: Running) {
    this.#state = state
  }

  update(input: Input): this {
    this.#state.update(bytesOf(input))
    return this
  }

  digest(): Buffer
  digest(encoding: BufferEncoding): string
  digest(encoding?: BufferEncoding): Buffer | string {
    const digest = Buffer.from(this.#state.digest())
    return encoding === undefined ? digest : digest.toString(encoding)
  }
}

export const createHash = (name: Hash): Digest => new Digest(hashes[name].create())
export const createHmac = (name: Hash, key: Uint8Array): Digest => new Digest(hmac.create(hashes[name], key))

export function hkdfSync(name: Hash, ikm: Input, salt: Input, info: Input, length: number): ArrayBuffer {
  return new Uint8Array(hkdf(hashes[name], bytesOf(ikm), bytesOf(salt), bytesOf(info), length)).buffer
}

export function pbkdf2Sync(password: Input, salt: Input, c: number, dkLen: number, name: Hash): Buffer {
  return Buffer.from(pbkdf2(hashes[name], bytesOf(password), bytesOf(salt), { c, dkLen }))
}

export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) throw new RangeError('Input buffers must have the same byte length')
  return a.every((byte, index) => byte === b[index])
}

type Way = 'encrypt' | 'decrypt'

/**
 * A cipher that takes the whole text in one call of `update`. Unlike on Node, output may come from `final` instead of
 * `update`, or the reverse.
 */
class Cipher {
  readonly #name: string
  readonly #way: Way
  readonly #key: Uint8Array
  readonly #iv: Uint8Array
  #aad: Uint8Array = new Uint8Array(0)
  #text: Uint8Array = new Uint8Array(0)
  #tag: Uint8Array = new Uint8Array(0)
  #isPadded = true

  constructor(name: string, way: Way, key: Uint8Array, iv: Uint8Array | null) {
    this.#name = name
    this.#way = way
    this.#key = key
    this.#iv = iv ?? new Uint8Array(0)
  }

  setAutoPadding(isPadded: boolean): this {
    this.#isPadded = isPadded
    return this
  }

  setAAD(aad: Uint8Array): this {
    this.#aad = aad
    return this
  }

  setAuthTag(tag: Uint8Array): this {
    this.#tag = tag
    return this
  }

  getAuthTag(): Buffer {
    return Buffer.from(this.#tag)
  }

  update(text: Input): Buffer {
    if (this.#text.length > 0) throw new Error('this cipher was already updated: create a new one for each text')
    this.#text = bytesOf(text)
    return this.#hasTag || this.#isChained ? Buffer.alloc(0) : Buffer.from(this.#stream())
  }

  final(): Buffer {
    if (this.#hasTag) return Buffer.from(this.#authenticated())
    return this.#isChained ? Buffer.from(cbc(this.#key, this.#iv)[this.#way](this.#text)) : Buffer.alloc(0)
  }

  get #hasTag(): boolean {
    return /gcm|poly1305/.test(this.#name)
  }

  get #isChained(): boolean {
    return /^aes-\d+-cbc$/.test(this.#name)
  }

  #authenticated(): Uint8Array {
    const cipher = this.#name.startsWith('aes')
      ? gcm(this.#key, this.#iv, this.#aad)
      : chacha20poly1305(this.#key, this.#iv, this.#aad)
    if (this.#way === 'decrypt') return cipher.decrypt(Buffer.concat([this.#text, this.#tag]))
    const sealed = cipher.encrypt(this.#text)
    this.#tag = sealed.subarray(-16)
    return sealed.subarray(0, -16)
  }

  #stream(): Uint8Array {
    if (/^aes-\d+-ctr$/.test(this.#name)) return ctr(this.#key, this.#iv)[this.#way](this.#text)
    if (this.#isPadded) throw new Error(`this stand-in for node:crypto has ${this.#name} without padding only`)
    if (/^aes-\d+-ecb$/.test(this.#name)) return ecb(this.#key, { disablePadding: true })[this.#way](this.#text)
    if (this.#name !== 'des-ede3-cbc')
      throw new Error(`this stand-in for node:crypto does not have the cipher ${this.#name}`)
    const { CBC, EDE } = des as DesJs['default'] & { EDE: unknown }
    const cipher = new (CBC.instantiate(EDE))({ type: this.#way, key: this.#key, iv: this.#iv, padding: false })
    return Uint8Array.from([...cipher.update(this.#text), ...cipher.final()])
  }
}

export const createCipheriv = (name: string, key: Uint8Array, iv: Uint8Array | null): Cipher =>
  new Cipher(name, 'encrypt', key, iv)
export const createDecipheriv = (name: string, key: Uint8Array, iv: Uint8Array | null): Cipher =>
  new Cipher(name, 'decrypt', key, iv)

/** A key in the DER of RFC 8410: the object identifier names the algorithm, and the last 32 bytes are the key. */
class Key {
  readonly curve: typeof x25519 | typeof ed25519
  readonly raw: Uint8Array

  constructor(der: Uint8Array) {
    this.raw = der.subarray(-32)
    this.curve = Buffer.from(der).includes(Buffer.from('2b656e', 'hex')) ? x25519 : ed25519
  }

  export(): Buffer {
    const oid = this.curve === x25519 ? '6e' : '70'
    return Buffer.concat([Buffer.from(`302a300506032b65${oid}032100`, 'hex'), this.raw])
  }
}

export const createPrivateKey = ({ key }: { key: Uint8Array }): Key => new Key(key)

export function createPublicKey(from: Key | { key: Uint8Array }): Key {
  if (!(from instanceof Key)) return new Key(from.key)
  const publicKey = from.curve.getPublicKey(from.raw)
  return new Key(Buffer.concat([from.export().subarray(0, -32), publicKey]))
}

export function diffieHellman({ privateKey, publicKey }: { privateKey: Key; publicKey: Key }): Buffer {
  return Buffer.from(x25519.getSharedSecret(privateKey.raw, publicKey.raw))
}

/** Verifies an Ed25519 signature without the cofactor, as OpenSSL does. noble's own function accepts more. */
export function verify(_: null, message: Uint8Array, { raw }: Key, signature: Uint8Array): boolean {
  const { Point } = ed25519
  const littleEndian = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  const s = littleEndian(signature.subarray(32))
  if (signature.length !== 64 || s >= Point.Fn.ORDER) return false
  const r = signature.subarray(0, 32)
  const k = Point.Fn.create(littleEndian(sha512(Buffer.concat([r, raw, message]))))
  const expected = Point.BASE.multiplyUnsafe(s).subtract(Point.fromBytes(raw).multiplyUnsafe(k))
  return timingSafeEqual(expected.toBytes(), r)
}
