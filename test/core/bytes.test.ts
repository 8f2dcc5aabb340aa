import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  adopt,
  allocate,
  bytesFrom,
  concat,
  copyOf,
  domain,
  equalBytes,
  fromBase64,
  fromBase64Url,
  fromHex,
  lengthPrefixed,
  toBase64,
  toBase64Url,
  toHex,
  u16,
  u64,
  utf8,
  wipe,
  withFields,
  xor,
  xorInto,
} from '../../src/core/bytes.ts'
import { hex } from '../fixtures.ts'

describe('bytes', () => {
  it('writes lengths and integers in big-endian order', () => {
    expect(hex(u16(0x0102))).toBe('0102')
    expect(hex(lengthPrefixed(Uint8Array.of(7, 8)))).toBe('000000020708')
    expect(hex(domain('wrap'))).toBe(`00000011${hex(Buffer.from('keystrata/v1/wrap'))}`)
  })

  it('writes numbers in 64 bits, one after the other', () => {
    expect(hex(u64(1, 0xfedcba98, Number.MAX_SAFE_INTEGER))).toBe('000000000000000100000000fedcba98001fffffffffffff')
    expect(u64()).toHaveLength(0)
  })

  it('writes fields one after the other, each with its length', () => {
    const start = Uint8Array.of(1, 2)
    const fields = [new Uint8Array(0), Uint8Array.of(3), new Uint8Array(0x01_02_03).fill(4)]
    const whole = withFields(start, ...fields)
    expect(hex(whole)).toBe(hex(concat(start, ...fields.map(lengthPrefixed))))
    expect(hex(whole.subarray(0, 14))).toBe('0102' + '00000000' + '0000000103' + '000102')
    expect(whole.buffer.byteLength).toBe(whole.length)
  })

  it('encodes different sequences of fields differently', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), fc.array(fc.uint8Array()), (a, b) => {
        const [left, right] = [a, b].map((fields) => hex(concat(...fields.map(lengthPrefixed))))
        expect(left === right).toBe(JSON.stringify(a) === JSON.stringify(b))
      }),
    )
  })

  it('XORs and compares', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (a, b) => {
          expect(equalBytes(xor(xor(a, b), b), a)).toBe(true)
          expect(equalBytes(a, b)).toBe(hex(a) === hex(b))
        },
      ),
    )
    expect(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBe(false)
  })

  it('refuses to XOR unequal lengths', () => {
    expect(() => xor(new Uint8Array(32), new Uint8Array(31))).toThrow(RangeError)
    expect(() => xorInto(new Uint8Array(31), new Uint8Array(32))).toThrow(RangeError)
  })

  it('encodes base64 as RFC 4648 §10 does, without padding', () => {
    const answers = { '': '', f: 'Zg', fo: 'Zm8', foo: 'Zm9v', foob: 'Zm9vYg', fooba: 'Zm9vYmE', foobar: 'Zm9vYmFy' }
    for (const [text, base64] of Object.entries(answers)) {
      expect(toBase64(Buffer.from(text))).toBe(base64)
      expect(fromBase64(base64)).toEqual(new Uint8Array(Buffer.from(text)))
    }
  })

  it('encodes base64 as Node does, and reads only what it writes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(`${toBase64(bytes)}==`.slice(0, 4 * Math.ceil(bytes.length / 3))).toBe(
          Buffer.from(bytes).toString('base64'),
        )
        expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString('base64url'))
        expect(fromBase64(toBase64(bytes))).toEqual(bytes)
        expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes)
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('AQgwBZ-_+/= é')) }), (text) => {
        const read = fromBase64(text)
        expect(read === undefined || toBase64(read) === text).toBe(true)
      }),
    )
    for (const wrong of ['Z', 'Zh', 'Zm9', 'Zg==', 'Zm 9v', 'Zm9v\n', 'Zm-_'])
      expect(fromBase64(wrong), wrong).toBeUndefined()
    expect(fromBase64Url('+/+/')).toBeUndefined()
  })

  it('encodes UTF-8 as Node does', () => {
    const texts = ['', 'a', 'naïve', '€', '😀', '\ud83d', '\ude00', 'a\0b', 'ﬀ'.repeat(100), '😀é€a'.repeat(20_000)]
    for (const text of texts) expect(hex(utf8(text))).toBe(hex(Buffer.from(text)))
  })

  it('returns arrays that fill their own memory, and copies that do not change with the original', () => {
    const wide = Uint8Array.from({ length: 100 }, (_, index) => index)
    for (const length of [0, 1, 32, 64, 65]) {
      const given = wide.subarray(3, 3 + length)
      const made = [allocate(length), copyOf(given), adopt(given.slice()), concat(given), xor(given, given)]
      for (const bytes of made) {
        expect(bytes.byteOffset).toBe(0)
        expect(bytes.buffer.byteLength).toBe(length)
      }
      expect(made.map(hex)).toEqual(['00'.repeat(length), hex(given), hex(given), hex(given), '00'.repeat(length)])
    }
    const original = Uint8Array.of(1, 2)
    const copy = copyOf(original)
    original.fill(0)
    expect(copy).toEqual(Uint8Array.of(1, 2))
  })

  it('wipes a short result of another library when it takes it over', () => {
    const result = Uint8Array.of(1, 2, 3)
    expect(adopt(result)).toEqual(Uint8Array.of(1, 2, 3))
    expect(result).toEqual(new Uint8Array(3))
    const long = new Uint8Array(65).fill(1)
    expect(adopt(long)).toBe(long)
  })

  it('reads only hex in the form that it writes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes), bytes.length)).toEqual(bytes)
      }),
    )
    for (const wrong of ['0', 'AB', '0g', ' 1', '0102', '/0', '0:', '`0', '0G', '0é', '0\0'])
      expect(fromHex(wrong, 1), wrong).toBeUndefined()
  })

  it('accepts every kind of Uint8Array as bytes, as a view of the same memory', () => {
    const foreign = runInNewContext('new Uint8Array([1, 2])') as Uint8Array
    const shared = new Uint8Array(new SharedArrayBuffer(2))
    shared.set([1, 2])
    for (const given of [
      Uint8Array.of(1, 2),
      Buffer.from([1, 2]),
      Uint8Array.of(0, 1, 2).subarray(1),
      foreign,
      shared,
    ]) {
      const bytes = bytesFrom(given, 'it', 2)
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
      expect([...bytes]).toEqual([1, 2])
      given[0] = 9
      expect(bytes[0]).toBe(9)
    }
  })

  it('accepts nothing else as bytes, even if its tag says Uint8Array', () => {
    const pretender = Object.defineProperty(Uint16Array.of(1000), Symbol.toStringTag, { value: 'Uint8Array' })
    const others = [[1, 2], 'ab', new ArrayBuffer(2), new DataView(new ArrayBuffer(2)), new Uint8ClampedArray(2), null]
    for (const other of [...others, pretender]) expect(() => bytesFrom(other, 'it')).toThrow(TypeError)
    expect(() => bytesFrom(new Uint8Array(3), 'it', 2)).toThrow(RangeError)
  })

  it('suggests what to do about a promise or a string', () => {
    expect(() => bytesFrom(Promise.resolve(new Uint8Array(1)), 'content')).toThrow('await it')
    expect(() => bytesFrom('text', 'content')).toThrow('TextEncoder')
  })

  it('refuses bytes whose memory was transferred, because they would look empty', () => {
    const gone = new Uint8Array(100)
    structuredClone(gone, { transfer: [gone.buffer] })
    expect(() => bytesFrom(gone, 'it')).toThrow(TypeError)
    expect(bytesFrom(new Uint8Array(0), 'it').length).toBe(0)
  })

  it('wipes bytes with zeros', () => {
    const secret = Uint8Array.of(1, 2, 3)
    wipe(secret)
    expect(secret).toEqual(new Uint8Array(3))
  })
})
