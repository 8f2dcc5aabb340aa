// DES against known answers from OpenSSL and NIST, native and with des.js, and the weak keys that are never derived.
import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { Backend } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { type DesCbc, deriveDesKey, findDes, isWeakDesKey, nativeDes, portableDes } from '../../src/legacy/des.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { backends, expectSame, failure, hex, sample, unhex } from '../fixtures.ts'

const nativeIn = (crypto: object) => {
  vi.spyOn(process, 'getBuiltinModule').mockReturnValue(crypto)
  try {
    return nativeDes()
  } finally {
    vi.restoreAllMocks()
  }
}

/** Browsers have no native DES. */
const native = nativeDes()
const portable = await portableDes()
const both: [string, DesCbc][] = [['des.js', portable]]
if (native !== undefined) both.unshift(['native', native])
const [[, fastest]] = both as [[string, DesCbc]]

/**
 * Key, IV, plaintext, and ciphertext from `openssl enc -des-cbc -nopad` (3.0.19, legacy provider). The first is from
 * FIPS 81, appendix C.
 */
const answers = [
  [
    '0123456789abcdef',
    '1234567890abcdef',
    '4e6f77206973207468652074696d6520666f7220616c6c20',
    'e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6',
  ],
  ['0123456789abcdef', 'fedcba9876543210', '6b'.repeat(24), '6979bdbeb0a0e149f6826e1f4471298956e47820eabb2f75'],
  ['133457799bbcdff1', '0011223344556677', '30313233343536373839616263646566', 'ca48956df9656da77cddf59f7636c8a6'],
  ['0e329232ea6d0d73', '0011223344556677', '30313233343536373839616263646566', '9fa8b1d04fb275f1f294b451000db34f'],
  ['a1b2c3d4e5f60718', '0011223344556677', '30313233343536373839616263646566', '064ab72d925fcc6730d6dbc52219de38'],
] as const

describe.each(both)('DES-CBC, %s', (_, des) => {
  it.each(answers)('key %s, IV %s', (key, iv, text, sealed) => {
    const buffer = unhex(text)
    des('encrypt', unhex(key), unhex(iv), buffer)
    expect(hex(buffer)).toBe(sealed)
    des('decrypt', unhex(key), unhex(iv), buffer)
    expect(hex(buffer)).toBe(text)
  })

  it('processes content of several chunks', () => {
    const content = sample(8 * 20_001)
    const buffer = new Uint8Array(content)
    des('encrypt', sample(8, 2), sample(8, 3), buffer)
    const key = sample(8, 2)
    const whole = createCipheriv('des-ede3-cbc', Buffer.concat([key, key, key]), sample(8, 3)).setAutoPadding(false)
    expectSame(buffer, whole.update(content))
    des('decrypt', sample(8, 2), sample(8, 3), buffer)
    expectSame(buffer, content)
  })
})

it.skipIf(native === undefined)('native DES and des.js give the same bytes', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  const way = fc.constantFrom('encrypt' as const, 'decrypt' as const)
  fc.assert(
    fc.property(way, bytes(8), bytes(8), fc.uint8Array({ minLength: 8, maxLength: 80 }), (way, key, iv, text) => {
      const [one, other] = [0, 1].map(() => new Uint8Array(text.subarray(0, text.length - (text.length % 8))))
      native!(way, key, iv, one!)
      portable(way, key, iv, other!)
      expect(one).toEqual(other)
    }),
  )
})

// Not in browsers, which keep the modules that they have imported, and have no node:crypto to replace.
describe.runIf('node' in process.versions)('a platform without DES', () => {
  it('gives an error that names the package to install', async () => {
    const without = {
      createCipheriv: () => {
        throw new Error('unsupported')
      },
    }
    expect(nativeIn(without)).toBeUndefined()
    const wrong = {
      createCipheriv: () => ({
        setAutoPadding: () => undefined,
        update: (chunk: Uint8Array) => chunk.slice(),
        final: () => undefined,
      }),
    }
    expect(nativeIn(wrong)).toBeUndefined()
    const portableIn = async (module: () => object) => {
      vi.doMock('des.js', module)
      try {
        return await portableDes()
      } finally {
        vi.doUnmock('des.js')
      }
    }
    const missing = () => {
      throw new Error('Cannot find package')
    }
    const error = await failure(() => portableIn(missing), 'unsupported')
    expect(error.message).toContain('install it')
    // A des.js that computes something else counts as missing.
    class Copying {
      update = (data: Uint8Array) => [...data]
      final = () => []
    }
    const broken = { default: { DES: {}, CBC: { instantiate: () => Copying } } }
    await failure(() => portableIn(() => broken), 'unsupported')
    await failure(() => portableIn(() => ({ default: {} })), 'unsupported')
    expect(error.detail).toEqual({ object: 'DES-56', package: 'des.js' })
    const [found] = [await findDes()]
    const block = unhex(answers[0][2])
    found('encrypt', unhex(answers[0][0]), unhex(answers[0][1]), block)
    expect(hex(block)).toBe(answers[0][3])
  })
})

/** From NIST SP 800-67, with parity bits as printed there. */
const WEAK = `
  0101010101010101 FEFEFEFEFEFEFEFE E0E0E0E0F1F1F1F1 1F1F1F1F0E0E0E0E
  011F011F010E010E 1F011F010E010E01 01E001E001F101F1 E001E001F101F101
  01FE01FE01FE01FE FE01FE01FE01FE01 1FE01FE00EF10EF1 E01FE01FF10EF10E
  1FFE1FFE0EFE0EFE FE1FFE1FFE0EFE0E E0FEE0FEF1FEF1FE FEE0FEE0FEF1FEF1`
  .trim()
  .split(/\s+/)

describe('a weak key', () => {
  it('is one of 16 different keys', () => expect(new Set(WEAK).size).toBe(16))

  it.each(WEAK)('%s is found with any parity bits', (text) => {
    const key = unhex(text)
    expect(isWeakDesKey(key)).toBe(true)
    expect(isWeakDesKey(key.map((byte) => byte ^ 1))).toBe(true)
    // A key is weak or semi-weak if one of the 16 undoes its encryption by encrypting again.
    const block = sample(8)
    fastest('encrypt', key, new Uint8Array(8), block)
    const undone = WEAK.some((other) => {
      const again = new Uint8Array(block)
      fastest('encrypt', unhex(other), new Uint8Array(8), again)
      return hex(again) === hex(sample(8))
    })
    expect(undone).toBe(true)
    for (let index = 0; index < 8; index++) {
      expect(isWeakDesKey(key.map((byte, at) => (at === index ? byte ^ 2 : byte)))).toBe(false)
    }
  })

  it('is never derived: the next candidate is used', () => {
    const key = new SecretKey('client', sample(16))
    const tried: number[] = []
    const giving = (candidate: (counter: number) => string): Backend => ({
      ...backends[0]!,
      // The counter is the last field of the context, before the length.
      hkdf(_hash, _ikm, _salt, info) {
        const counter = info.at(-3)!
        tried.push(counter)
        return unhex(candidate(counter))
      },
    })
    const derive = (candidate: (counter: number) => string) => {
      useBackend(giving(candidate))
      try {
        return deriveDesKey(key)
      } finally {
        useBackend(undefined)
      }
    }
    const derived = derive((counter) => (counter < 16 ? WEAK[counter]! : '0123456789abcdef'))
    expect(tried).toEqual(Array.from({ length: 17 }, (_, counter) => counter))
    expect(withBytes(derived, hex)).toBe('0123456789abcdef')
    expect(() => derive(() => WEAK[0]!)).toThrow(RangeError)
  })
})
