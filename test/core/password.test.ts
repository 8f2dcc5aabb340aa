import { deriveLogin } from '../../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { assertReadableCosts, assertWritableCosts, hashPassword } from '../../src/core/password.ts'
import { ALICE, backends, CHEAP, failure, PASSWORD, sample, withBackend } from '../fixtures.ts'

const GIB = 1_048_576
const salt = sample(32)

describe('Argon2 costs', () => {
  it.each([
    [1, 8, 1],
    [64, 65_536, 1],
    [4, GIB, 16],
    [3, 65_536, 4],
  ])('t %i, m %i, p %i are accepted when reading', (iterations, memoryKiB, lanes) => {
    expect(() => assertReadableCosts({ iterations, memoryKiB, lanes })).not.toThrow()
  })

  it.each([
    [0, 65_536, 4],
    [65, 65_536, 4],
    [3, GIB + 1, 4],
    [5, GIB, 4],
    [3, 65_536, 0],
    [3, 65_536, 17],
    [3, 31, 4],
    [3, 65_536.5, 4],
    [Number.NaN, 65_536, 4],
  ])('t %d, m %d, p %d are refused when reading', async (iterations, memoryKiB, lanes) => {
    const error = await failure(() => assertReadableCosts({ iterations, memoryKiB, lanes }), 'limit-exceeded')
    expect(error.detail).toHaveProperty('memoryKiB')
  })

  it('are refused when writing if they are too low', async () => {
    expect(() => assertWritableCosts(CHEAP)).not.toThrow()
    await failure(() => assertWritableCosts({ ...CHEAP, iterations: 1 }), 'limit-exceeded')
    await failure(() => assertWritableCosts({ ...CHEAP, memoryKiB: 19_455 }), 'limit-exceeded')
  })
})

describe.each(backends)('hashing a password on $name', (backend) => {
  it('reports progress', async () => {
    const fractions: number[] = []
    await withBackend(backend, () => hashPassword('p', salt, CHEAP, { onProgress: (f) => fractions.push(f) }, 32))
    expect(fractions.at(-1)).toBe(1)
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
  })

  it('stops at the signal, before and during the hash', async () => {
    const before = AbortSignal.abort()
    await failure(() => withBackend(backend, () => hashPassword('p', salt, CHEAP, { signal: before }, 32)), 'aborted')
    const controller = new AbortController()
    const slow = { iterations: 8, memoryKiB: 65_536, lanes: 1 }
    setTimeout(() => controller.abort(), 20)
    const hashing = () => withBackend(backend, () => hashPassword('p', salt, slow, { signal: controller.signal }, 32))
    await failure(hashing, 'aborted')
  })

  it('throws aborted, for any abort reason, even if the first progress callback aborts', async () => {
    const controller = new AbortController()
    const seen: number[] = []
    const onProgress = (fraction: number) => {
      seen.push(fraction)
      controller.abort(new Error('the user left'))
    }
    const login = () => deriveLogin(PASSWORD, ALICE, { signal: controller.signal, onProgress })
    await withBackend(backend, () => failure(login, 'aborted'))
    expect(seen).toEqual([0])
  })

  it('throws the error of the progress callback', async () => {
    const broken = new Error('broken')
    const wait = {
      onProgress: () => {
        throw broken
      },
    }
    await expect(withBackend(backend, () => hashPassword('p', salt, CHEAP, wait, 32))).rejects.toBe(broken)
  })

  it('refuses an empty password, one that is not well-formed Unicode, and one that is not a string', async () => {
    await failure(() => hashPassword('', salt, CHEAP, {}, 32), 'invalid-text')
    await failure(() => hashPassword('\ud800', salt, CHEAP, {}, 32), 'invalid-text')
    await expect(hashPassword(undefined as unknown as string, salt, CHEAP, {}, 32)).rejects.toThrow(TypeError)
  })
})
