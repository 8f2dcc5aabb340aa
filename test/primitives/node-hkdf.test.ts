// HKDF made of single hashes: the same bytes as everywhere, and no secret stays in its memory.
import * as crypto from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hkdfOfHashes } from '../../src/primitives/node-hkdf.ts'
import { isSlowWithBytes, releaseOf } from '../../src/primitives/node-crypto.ts'
import { portableBackend } from '../platforms.ts'
import { hex, sample, unhex } from '../fixtures.ts'

type Hash = Parameters<typeof hkdfOfHashes>[0]['hash']

const native: Hash = crypto.hash

// Not every release has one-shot hashes.
describe.runIf(typeof native === 'function')('HKDF of hashes', () => {
  const hkdf = hkdfOfHashes({ hash: native })

  it('gives the answers of OpenSSL (3.0.19, `openssl kdf … HKDF`, inputs of RFC 5869 test case 1)', () => {
    const ikm = new Uint8Array(22).fill(0x0b)
    expect(hex(hkdf(ikm, unhex('000102030405060708090a0b0c'), unhex('f0f1f2f3f4f5f6f7f8f9'), 42)!)).toBe(
      '832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb',
    )
  })

  it('gives the same bytes as portable code, for inputs of all lengths, one after the other', () => {
    const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
    fc.assert(
      fc.property(bytes(900), bytes(128), bytes(900), fc.integer({ min: 1, max: 300 }), (...input) => {
        expect(hex(hkdf(...input)!)).toBe(hex(portableBackend.hkdf('sha512', ...input)))
      }),
    )
    const longest = [sample(776), sample(128), sample(1024), 255 * 64] as const
    expect(hex(hkdf(...longest)!)).toBe(hex(portableBackend.hkdf('sha512', ...longest)))
  })

  it('leaves inputs that are too long to hkdfSync', () => {
    expect(hkdf(sample(1769), sample(32), sample(32), 32)).toBeUndefined()
    expect(hkdf(sample(32), sample(129), sample(32), 32)).toBeUndefined()
    expect(hkdf(sample(32), sample(32), sample(1769), 32)).toBeUndefined()
    expect(hkdf(sample(32), sample(32), sample(32), 255 * 64 + 1)).toBeUndefined()
  })

  it.each([Infinity, 1, 2, 3, 4, 5, 6])('leaves no secret in its memory if hash number %s fails', (failing) => {
    const seen: ArrayBufferLike[] = []
    let calls = 0
    const hash = ((name: string, input: Uint8Array) => {
      if (++calls === failing) throw new Error('out of memory')
      seen.push(input.buffer)
      const digest = native(name, input, 'buffer')
      seen.push(digest.buffer)
      return digest
    }) as unknown as Hash
    const derive = () => hkdfOfHashes({ hash })(sample(32, 1), sample(32, 2), sample(20, 3), 96)
    if (failing === Infinity) expect(derive()).toHaveLength(96)
    else expect(derive).toThrow('out of memory')
    expect(seen.length).toBe(2 * Math.min(6, failing - 1))
    for (const buffer of seen) expect(Buffer.from(buffer).every((byte) => byte === 0)).toBe(true)
  })
})

describe('the release of Node', () => {
  it('is read from the versions of the runtime', () => {
    expect(releaseOf({ node: '20.20.2' })).toBe(20_020)
    expect(releaseOf({ node: '26.0.0-nightly' })).toBe(26_000)
    // Bun and Deno say which Node they resemble.
    expect(releaseOf({ node: '24.20.0', bun: '1.3.0' })).toBe(Infinity)
    expect(releaseOf({ node: '22.1.0', deno: '2.0.0' })).toBe(Infinity)
    expect(releaseOf({})).toBe(Infinity)
  })

  it('decides whether keys are passed as KeyObjects: from 24.18 to 24.21 alone', () => {
    const slow = ['20.20.2', '22.23.5', '24.7.0', '24.17.0', '24.18.0', '24.21.1', '24.22.1', '26.12.1'].map((node) =>
      isSlowWithBytes(releaseOf({ node })),
    )
    expect(slow).toEqual([false, false, false, false, true, true, false, false])
    expect(isSlowWithBytes(Infinity)).toBe(false)
  })
})
