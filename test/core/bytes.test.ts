import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bytesFrom,
  concat,
  domain,
  equalBytes,
  fromHex,
  lengthPrefixed,
  toHex,
  u16,
  wipe,
  xor,
} from '../../src/core/bytes.ts'
import { hex } from '../fixtures.ts'

describe('bytes', () => {
  it('writes lengths and integers in big-endian order', () => {
    expect(hex(u16(0x0102))).toBe('0102')
    expect(hex(lengthPrefixed(Uint8Array.of(7, 8)))).toBe('000000020708')
    expect(hex(domain('wrap'))).toBe(`00000011${hex(Buffer.from('keystrata/v1/wrap'))}`)
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
  })

  it('reads only hex in the form that it writes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes), bytes.length)).toEqual(bytes)
      }),
    )
    for (const wrong of ['0', 'AB', '0g', ' 1', '0102']) expect(fromHex(wrong, 1)).toBeUndefined()
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
