// Text values with invalid padding, which only a holder of the device key could have sealed.
import { openTextValue, sealTextValue } from '../../src/device/text-value.ts'
import { describe, expect, it } from 'vitest'
import { concat, lengthPrefixed, u32, u64, utf8 } from '../../src/core/bytes.ts'
import { NOBODY, ObjectType } from '../../src/core/header.ts'
import { wrapSecret } from '../../src/core/wrap.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { failure } from '../fixtures.ts'

const key = new SecretKey('device', new Uint8Array(32).fill(7))
const place = { table: 'sources', row: '7', column: 'password', version: 3 }
const context = concat(...['sources', '7', 'password'].map((name) => lengthPrefixed(utf8(name))), u64(3))

const sealed = (padded: Uint8Array) => wrapSecret(key, padded, { type: ObjectType.textValue, ownerId: NOBODY, context })
/** Returns the length and the text, padded to `size` bytes, with `last` as the last byte. */
const padded = (length: number, text: Uint8Array, size: number, last = 0) => {
  const bytes = new Uint8Array(size)
  bytes.set(u32(length))
  bytes.set(text, 4)
  if (last !== 0) bytes[size - 1] = last
  return bytes
}
const BLOCK = sealTextValue(key, '', place).length - sealed(new Uint8Array(0)).length

describe('a text value', () => {
  it.each([
    ['an empty text', 0, BLOCK],
    ['a text that fills its block', BLOCK - 4, BLOCK],
    ['a text that needs one byte of the next block', BLOCK - 3, 2 * BLOCK],
    ['the longest text', 65_536, Math.ceil(65_540 / BLOCK) * BLOCK],
  ])('with %s opens', (_, length, size) => {
    const text = 'a'.repeat(length)
    expect(openTextValue(key, sealed(padded(length, utf8(text), size)), place)).toBe(text)
    expect(sealTextValue(key, text, place)).toHaveLength(sealed(new Uint8Array(size)).length)
  })

  it.each([
    ['no bytes at all', new Uint8Array(0)],
    ['less than a length field', new Uint8Array(3)],
    ['only a length field', u32(0)],
    ['a length beyond its end', padded(BLOCK - 3, new Uint8Array(0), BLOCK)],
    ['a length that is negative as a signed number', padded(0xffff_fffc, new Uint8Array(0), BLOCK)],
    ['one block too many', padded(1, utf8('a'), 2 * BLOCK)],
    ['half a block', padded(1, utf8('a'), BLOCK / 2)],
    ['padding that is not zero', padded(1, utf8('a'), BLOCK, 1)],
    ['invalid UTF-8', padded(2, Uint8Array.of(0xc3, 0x28), BLOCK)],
    ['a text over 64 KiB', padded(65_537, utf8('a'.repeat(65_537)), Math.ceil(65_541 / BLOCK) * BLOCK)],
  ])('with %s is refused', async (_, bytes) => {
    await failure(() => openTextValue(key, sealed(bytes), place), 'authentication-failed', 'limit-exceeded')
  })

  it('that is cut short is malformed', async () => {
    const shortest = sealed(new Uint8Array(0))
    await failure(() => openTextValue(key, shortest, place), 'authentication-failed')
    await failure(() => openTextValue(key, shortest.subarray(0, -1), place), 'malformed')
  })
})
