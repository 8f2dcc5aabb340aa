// Runs the public test vectors (Wycheproof and CCTV) through the primitives of every backend. VECTORS names the
// folder that holds wycheproof/ and cctv/. A file that is missing, unknown or without cases is a failure.
import { portableBackend } from '../platforms.ts'
import { backends, hex, unhex, withRandomness } from '../fixtures.ts'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { afterAll, describe, expect, it } from 'vitest'
import { type Backend, type HashName } from '../../src/primitives/backend.ts'
import { isSignatureOf } from '../../src/primitives/signature.ts'

const folder = process.env['VECTORS'] ?? ''
if (folder === '') throw new Error('VECTORS is not set: set it to the folder of the public test vectors')

interface Wycheproof {
  numberOfTests: number
  testGroups: (Record<string, unknown> & { tests: Test[] })[]
}
interface Test {
  tcId: number
  result: 'valid' | 'invalid' | 'acceptable'
  comment: string
  flags: string[]
  [field: string]: unknown
}
type Fields = Record<string, string> & {
  flags: string[]
  group: Record<string, unknown>
  number: (name: string) => number
}

/** Returns true if one case holds, and false if the primitive refuses it or gives another result. */
type Check = (backend: Backend, test: Fields) => Promise<boolean> | boolean

/** A fault in this library. It must not pass as the refusal of an invalid case. */
class Disagreement extends Error {}

const same = (bytes: Uint8Array | undefined, expected: string | undefined) =>
  bytes !== undefined && hex(bytes) === expected
const field = (test: Fields, name: string) => unhex(test[name] ?? '')

const hmac =
  (hash: HashName): Check =>
  (backend, test) => {
    const tag = backend.hmac(hash, field(test, 'key'), [field(test, 'msg')])
    return same(tag.subarray(0, (test.group['tagSize'] as number) / 8), test['tag'])
  }
const hkdf =
  (hash: 'sha256' | 'sha512'): Check =>
  (backend, test) =>
    same(
      backend.hkdf(hash, field(test, 'ikm'), field(test, 'salt'), field(test, 'info'), test.number('size')),
      test['okm'],
    )

const wycheproof: Record<string, Check> = {
  'aes_cbc_pkcs5_test.json': async (backend, test) => {
    const [key, iv, ct] = [field(test, 'key'), field(test, 'iv'), field(test, 'ct')]
    const opened = await backend.cbcDecrypt(key, iv, ct)
    return same(opened, test['msg']) && same(await backend.cbcEncrypt(key, iv, field(test, 'msg')), test['ct'])
  },
  'aes_gcm_test.json': async (backend, test) => {
    const [key, iv, aad] = [field(test, 'key'), field(test, 'iv'), field(test, 'aad')]
    const sealed = unhex(`${test['ct'] ?? ''}${test['tag'] ?? ''}`)
    const [short, long] = [backend.gcmOpen(key, iv, aad, sealed), await backend.gcmOpenContent(key, iv, aad, sealed)]
    if ((short && hex(short)) !== (long && hex(long))) throw new Disagreement(`${backend.name}: short and long differ`)
    if (!same(short, test['msg'])) return false
    const buffer = unhex(`${test['msg'] ?? ''}${'00'.repeat(16)}`)
    await backend.gcmSealContent(key, iv, aad, buffer)
    return same(backend.gcmSeal(key, iv, aad, field(test, 'msg')), hex(sealed)) && same(buffer, hex(sealed))
  },
  'ed25519_test.json': (_, test) => {
    const { pk } = test.group['publicKey'] as { pk: string }
    return isSignatureOf(unhex(pk), field(test, 'msg'), field(test, 'sig'))
  },
  'hkdf_sha256_test.json': hkdf('sha256'),
  'hkdf_sha512_test.json': hkdf('sha512'),
  'hmac_sha256_test.json': hmac('sha256'),
  'hmac_sha512_test.json': hmac('sha512'),
  'mlkem_1024_encaps_test.json': (backend, test) => {
    const recipient = backend.mlKem1024.encapsulator(field(test, 'ek'))
    // Native code takes no randomness from outside, but must refuse the same keys.
    recipient.encapsulate()
    const portable = portableBackend.mlKem1024.encapsulator(field(test, 'ek'))
    const sent = withRandomness([field(test, 'm')], () => portable.encapsulate())
    return same(sent.ciphertext, test['c']) && same(sent.shared, test['K'])
  },
  'mlkem_1024_keygen_seed_test.json': (backend, test) =>
    same(backend.mlKem1024.decapsulator(field(test, 'seed')).publicKey, test['ek']),
  'mlkem_1024_test.json': (backend, test) =>
    same(backend.mlKem1024.decapsulator(field(test, 'seed')).decapsulate(field(test, 'c')), test['K']),
  // Only for the portable backend: this library never accepts expanded keys, so this checks the code that the
  // portable backend calls.
  'mlkem_1024_semi_expanded_decaps_test.json': (_, test) =>
    same(ml_kem1024.decapsulate(field(test, 'c'), field(test, 'dk')), test['K']),
  'pbkdf2_hmacsha512_test.json': async (backend, test) => {
    const [iterations, length] = [test.number('iterationCount'), test.number('dkLen')]
    return same(
      await backend.pbkdf2Sha512(field(test, 'password'), field(test, 'salt'), iterations, length, {}),
      test['dk'],
    )
  },
  'x25519_test.json': (backend, test) =>
    same(backend.x25519.decapsulator(field(test, 'private')).decapsulate(field(test, 'public')), test['shared']),
}

/** Valid cases that the library refuses on purpose, and how many of them each file has. */
const refusedOnPurpose: Record<string, { cases: number; is: (test: Test) => boolean }> = {
  // IVs shorter than 8 bytes, which nobody should use.
  'aes_gcm_test.json': { cases: 24, is: ({ flags, iv }) => flags.includes('SmallIv') && String(iv).length < 16 },
  'x25519_test.json': { cases: 31, is: ({ flags }) => flags.includes('ZeroSharedSecret') },
}

const portableOnly = new Set(['mlkem_1024_semi_expanded_decaps_test.json'])

const report: Record<string, { valid: number; invalid: number; 'refused on purpose': number }> = {}
afterAll(() => console.table(report))

/** The library has no HMAC over SHA-3. */
const UNUSED = ['hmac_sha3_256_test.json']

describe('Wycheproof', () => {
  it('has exactly the files that this test knows', () => {
    expect(readdirSync(join(folder, 'wycheproof')).sort()).toEqual([...Object.keys(wycheproof), ...UNUSED].sort())
  })

  const runs = Object.entries(wycheproof).flatMap(([name, check]) =>
    backends
      .filter((backend) => !portableOnly.has(name) || backend.name === 'portable')
      .map((backend) => ({ name, check, backend })),
  )
  it.each(runs)('$name on $backend.name', { timeout: 300_000 }, async ({ name, check, backend }) => {
    const file = JSON.parse(readFileSync(join(folder, 'wycheproof', name), 'utf8')) as Wycheproof
    const count = { valid: 0, invalid: 0, 'refused on purpose': 0 }
    const wrong: string[] = []
    for (const { tests, ...group } of file.testGroups) {
      for (const test of tests) {
        const fields = { ...test, group, number: (key: string) => test[key] as number } as unknown as Fields
        let holds = false
        try {
          holds = await check(backend, fields)
        } catch {
          // Refused.
        }
        const onPurpose = test.result !== 'invalid' && refusedOnPurpose[name]?.is(test) === true
        if (onPurpose) count['refused on purpose']++
        else if (test.result === 'invalid') count.invalid++
        else count.valid++
        if (holds !== (test.result !== 'invalid' && !onPurpose)) wrong.push(`${test.tcId} ${test.comment}`)
      }
    }
    report[`${name}, ${backend.name}`] = count
    expect(wrong).toEqual([])
    expect(count['refused on purpose']).toBe(refusedOnPurpose[name]?.cases ?? 0)
    expect(count.valid + count.invalid + count['refused on purpose']).toBe(file.numberOfTests)
    expect(file.numberOfTests).toBeGreaterThan(0)
  })
})

describe('CCTV', () => {
  const fieldsOf = (name: string) => {
    const text = readFileSync(join(folder, 'cctv', name), 'utf8')
    return (field: string) => unhex(new RegExp(`^${field} = ([0-9a-f]+)$`, 'm').exec(text)![1]!)
  }

  it('has exactly the files that this test knows', () => {
    const files = ['ML-KEM-1024-modulus.txt.gz', 'ML-KEM-1024-strcmp.txt', 'ML-KEM-1024-unluckysample.txt']
    expect(readdirSync(join(folder, 'cctv')).sort()).toEqual(files)
  })

  it.each(backends)('modulus: $name refuses every key', (backend) => {
    const path = join(folder, 'cctv', 'ML-KEM-1024-modulus.txt.gz')
    const keys = gunzipSync(readFileSync(path)).toString().trim().split('\n')
    expect(keys).toHaveLength(1040)
    for (const key of keys) expect(() => backend.mlKem1024.encapsulator(unhex(key)).encapsulate()).toThrow()
    report[`modulus, ${backend.name}`] = { valid: 0, invalid: keys.length, 'refused on purpose': 0 }
  })

  it('strcmp: an implicit rejection that a careless comparison misses', () => {
    const field = fieldsOf('ML-KEM-1024-strcmp.txt')
    expect(ml_kem1024.decapsulate(field('c'), field('dk'))).toEqual(field('K'))
    report['strcmp, portable'] = { valid: 1, invalid: 0, 'refused on purpose': 0 }
  })

  // Made for the draft of FIPS 203, whose key generation differs from the standard. Encapsulation and decapsulation
  // are the same.
  it('unluckysample: encapsulation in portable code, and decapsulation', () => {
    const field = fieldsOf('ML-KEM-1024-unluckysample.txt')
    const sent = withRandomness([field('m')], () => portableBackend.mlKem1024.encapsulator(field('ek')).encapsulate())
    expect(sent).toEqual({ ciphertext: field('c'), shared: field('K') })
    expect(ml_kem1024.decapsulate(field('c'), field('dk'))).toEqual(field('K'))
    report['unluckysample, portable'] = { valid: 1, invalid: 0, 'refused on purpose': 0 }
  })
})
