// The `argon2` option, which lets a product supply its own Argon2id, and the calibration of costs for a device.
import {
  type Argon2,
  type Argon2Costs,
  calibrateArgon2,
  createKeyset,
  openWriter,
  unlockKeyset,
} from '../../src/index.ts'
import { deriveClient } from '../../src/client.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { argon2id as nobleArgon2id } from '@noble/hashes/argon2.js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { useBackend } from '../../src/primitives/choice.ts'
import { CHEAP, expectSame, failure, PASSWORD, quick, sample } from '../fixtures.ts'

afterEach(() => {
  useBackend(undefined)
  vi.restoreAllMocks()
})

interface Asked {
  password: string
  costs: Argon2Costs
  length: number
}
/** Returns a correct Argon2id that records its calls in `asked`. `spoil` changes its result. */
function argon2Of(asked: Asked[] = [], spoil: (hash: Uint8Array, asked: Asked) => unknown = (hash) => hash): Argon2 {
  return async (password, salt, costs, length) => {
    const call = { password: Buffer.from(password).toString(), costs, length }
    asked.push(call)
    const { iterations: t, memoryKiB: m, lanes: p } = costs
    return spoil(nobleArgon2id(password, salt, { t, m, p, dkLen: length, version: 0x13 }), call) as Uint8Array
  }
}

describe('the argon2 option', () => {
  it('replaces the library’s own Argon2id, gets the same costs, and gives the same keyset', async () => {
    useBackend({ ...quick, argon2id: () => Promise.reject(new Error('the library’s own Argon2id was called')) })
    const asked: Asked[] = []
    const argon2 = argon2Of(asked)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP, argon2 })
    expect(asked.filter(({ password }) => password === PASSWORD)).toEqual([
      { password: PASSWORD, costs: CHEAP, length: 32 },
    ])
    const stored = keyset.export('storage')
    await unlockKeyset(stored, PASSWORD, { argon2 })
    const changed = await keyset.changePassword('next', { argon2 })
    useBackend(undefined)
    expect((await unlockKeyset(stored, PASSWORD)).id).toBe(keyset.id)
    expect((await unlockKeyset(changed.export('storage'), 'next')).id).toBe(keyset.id)
    await failure(() => unlockKeyset(stored, 'wrong', { argon2 }), 'wrong-password')
  })

  it('works for clients too, for every key size', async () => {
    useBackend({ ...quick, argon2id: () => Promise.reject(new Error('the library’s own Argon2id was called')) })
    const asked: Asked[] = []
    // This function lowers the format's fixed costs, which take seconds. It still passes the library's check.
    const honest = argon2Of()
    const cheap: Argon2 = (password, salt, costs, length) => {
      asked.push({ password: Buffer.from(password).toString(), costs, length })
      return honest(
        password,
        salt,
        costs.memoryKiB === 65_536 ? { ...costs, iterations: 1, memoryKiB: 32 } : costs,
        length,
      )
    }
    const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
    const keys = { privateKey: { type: 'AES-192', text: 'x' }, accountKey: { type: 'AES-128', text: 'y' } } as const
    const client = await deriveClient({ ...names, ...keys, argon2: cheap })
    await client.withAccountKey({ type: 'AES-256', text: 'z' }, { argon2: cheap })
    await deriveLegacyClient({ ...names, privateKey: { type: 'DES-56', text: 'x' }, argon2: cheap })
    const costs = { iterations: 3, memoryKiB: 65_536, lanes: 4 }
    expect(asked.filter((call) => call.costs.memoryKiB === 65_536)).toEqual([
      { password: 'x', costs, length: 24 },
      { password: 'y', costs, length: 16 },
      { password: 'z', costs, length: 32 },
      { password: 'x', costs, length: 16 },
    ])
  })

  it('is checked once, before it sees a password', async () => {
    const asked: Asked[] = []
    const argon2 = argon2Of(asked)
    for (let time = 0; time < 2; time++) await createKeyset(PASSWORD, { costs: CHEAP, argon2 })
    expect(asked.map(({ password }) => password)).toEqual(['password', 'password', PASSWORD, PASSWORD])
  })

  it.each([
    ['returns wrong bytes', (hash: Uint8Array) => hash.map((byte) => byte ^ 1)],
    [
      'truncates a longer hash',
      (_hash: Uint8Array, { length }: Asked) =>
        nobleArgon2id('password', 'somesalt', { t: 2, m: 256, p: 4, dkLen: 64, version: 0x13 }).subarray(0, length),
    ],
    ['returns too few bytes', (hash: Uint8Array) => hash.subarray(1)],
    ['returns hex', (hash: Uint8Array) => Buffer.from(hash).toString('hex')],
    ['returns nothing', () => undefined],
    [
      'is right only for two lanes',
      (hash: Uint8Array, { costs, length }: Asked) =>
        costs.lanes === 2
          ? hash
          : nobleArgon2id('password', 'somesalt', { t: 2, m: 256, p: 1, dkLen: length, version: 0x13 }),
    ],
  ])('is refused if it %s, and never sees a password', async (_, spoil) => {
    const asked: Asked[] = []
    const making = createKeyset(PASSWORD, { costs: CHEAP, argon2: argon2Of(asked, spoil) })
    await expect(making).rejects.toBeInstanceOf(TypeError)
    expect(asked.every(({ password }) => password === 'password')).toBe(true)
  })

  it('is refused if it is not a function, throws, or goes wrong after the check', async () => {
    await expect(createKeyset(PASSWORD, { costs: CHEAP, argon2: 5 as never })).rejects.toBeInstanceOf(TypeError)
    const full = argon2Of([], (hash, { password }) => {
      if (password === PASSWORD) throw new Error('out of memory')
      return hash
    })
    await expect(createKeyset(PASSWORD, { costs: CHEAP, argon2: full })).rejects.toThrow('out of memory')
    const short = argon2Of([], (hash, { password }) => (password === PASSWORD ? hash.subarray(1) : hash))
    await expect(createKeyset(PASSWORD, { costs: CHEAP, argon2: short })).rejects.toBeInstanceOf(TypeError)
  })

  it('is checked again after a failed check, because its module may not have been loaded yet', async () => {
    let isLoaded = false
    const honest = argon2Of()
    const late: Argon2 = (...input) => (isLoaded ? honest(...input) : Promise.reject(new Error('not loaded')))
    await expect(createKeyset(PASSWORD, { costs: CHEAP, argon2: late })).rejects.toThrow('not loaded')
    isLoaded = true
    await createKeyset(PASSWORD, { costs: CHEAP, argon2: late })
  })

  it('gets copies, and its result is wiped', async () => {
    const kept: Uint8Array[] = []
    const argon2: Argon2 = async (password, salt, costs, length) => {
      const hash = await argon2Of()(password, salt, costs, length)
      kept.push(password, hash)
      salt.fill(0)
      return hash
    }
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP, argon2 })
    const own = await unlockKeyset(keyset.export('storage'), PASSWORD)
    expectSame(await own.open(await openWriter(keyset.export('host')).seal(sample(5))), sample(5))
    for (const bytes of kept.slice(-2)) expect(bytes.every((byte) => byte === 0)).toBe(true)
  })

  it('reports progress at the beginning and the end', async () => {
    const fractions: number[] = []
    const onProgress = (fraction: number) => fractions.push(fraction)
    await createKeyset(PASSWORD, { costs: CHEAP, argon2: argon2Of(), onProgress })
    expect(fractions).toEqual([0, 1])
  })

  it('is not waited for after the signal was aborted', async () => {
    const controller = new AbortController()
    const hanging: Argon2 = (password, salt, costs, length) => {
      if (Buffer.from(password).toString() !== PASSWORD) return argon2Of()(password, salt, costs, length)
      controller.abort()
      return new Promise(() => undefined)
    }
    const { signal } = controller
    await failure(() => createKeyset(PASSWORD, { costs: CHEAP, argon2: hanging, signal }), 'aborted')
  })
})

describe('calibrateArgon2', () => {
  /** Returns a fake device with its own clock, on which one pass over a MiB takes `msPerMiB` milliseconds. */
  function device(msPerMiB: number, slowdown: (memoryKiB: number) => number = () => 1) {
    let now = 0
    const asked: Argon2Costs[] = []
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    useBackend({
      ...quick,
      async argon2id(_password, _salt, costs, length) {
        asked.push({ ...costs })
        now += (costs.iterations * costs.memoryKiB * msPerMiB * slowdown(costs.memoryKiB)) / 1024
        return new Uint8Array(length)
      },
    })
    return asked
  }
  const timeOf = ({ iterations, memoryKiB }: Argon2Costs, msPerMiB: number) =>
    (iterations * memoryKiB * msPerMiB) / 1024

  it.each([
    [0.5, 1000, 262_144],
    [2, 1000, 262_144],
    [4, 500, 65_536],
    [0.01, 5000, 1_048_576],
    [1, 200, 65_536],
  ])(
    'at %d ms per MiB, with a target of %d ms and at most %d KiB: takes about that long',
    async (msPerMiB, target, memoryKiB) => {
      device(msPerMiB)
      const costs = await calibrateArgon2(target, { memoryKiB })
      expect(costs.memoryKiB).toBeLessThanOrEqual(memoryKiB)
      expect(costs.memoryKiB).toBeGreaterThanOrEqual(19_456)
      expect(costs.iterations).toBeGreaterThanOrEqual(2)
      const time = timeOf(costs, msPerMiB)
      const isAtLimit = costs.iterations === 64 || costs.iterations * costs.memoryKiB > 4 * 1_048_576 - costs.memoryKiB
      expect(time, JSON.stringify(costs)).toBeLessThanOrEqual(target)
      if (!isAtLimit) expect(time, JSON.stringify(costs)).toBeGreaterThan(target * 0.6)
    },
  )

  it('never goes below the minimum or above the limits', async () => {
    device(100)
    expect(await calibrateArgon2(1)).toEqual({ iterations: 2, memoryKiB: 19_456, lanes: 4 })
    device(0.0001)
    const costs = await calibrateArgon2(1e6, { memoryKiB: 1_048_576 })
    expect(costs).toEqual({ iterations: 4, memoryKiB: 1_048_576, lanes: 4 })
    expect((await calibrateArgon2(1e6, { memoryKiB: 19_456 })).iterations).toBe(64)
  })

  it('uses less memory if more memory is slower', async () => {
    const asked = device(1, (memoryKiB) => (memoryKiB > 65_536 ? 5 : 1))
    const costs = await calibrateArgon2(500)
    expect(costs.memoryKiB).toBeLessThan(170_000)
    expect(timeOf(costs, 1) * (costs.memoryKiB > 65_536 ? 5 : 1)).toBeLessThanOrEqual(500)
    expect(asked.length).toBeLessThan(8)
  })

  /** Returns a fake device on which every pass takes `pass` milliseconds, except one over the least memory. */
  const stubborn = (msPerMiB: number, pass: number) =>
    device(msPerMiB, (memoryKiB) => (memoryKiB === 19_456 ? 1 : (pass * 1024) / (memoryKiB * msPerMiB)))
  const memoryOf = (asked: readonly Argon2Costs[]) => asked.map(({ memoryKiB }) => memoryKiB)

  it('measures the memory that a sample suggests, and stops if the time is as expected', async () => {
    const asked = device(4)
    expect(await calibrateArgon2(500)).toEqual({ iterations: 3, memoryKiB: 41_984, lanes: 4 })
    expect(memoryOf(asked)).toEqual([19_456, 19_456, 41_984])
    expect(asked.every(({ iterations, lanes }) => iterations === 1 && lanes === 4)).toBe(true)
  })

  it('accepts two passes that take exactly the target time', async () => {
    const asked = stubborn(1, 500)
    expect(await calibrateArgon2(1000)).toEqual({ iterations: 2, memoryKiB: 262_144, lanes: 4 })
    expect(memoryOf(asked)).toEqual([19_456, 19_456, 262_144])
  })

  it('reduces memory four times, by the time of the last pass', async () => {
    const asked = stubborn(0.3, 900)
    const fractions: number[] = []
    const options = { memoryKiB: 1_048_576, onProgress: (fraction: number) => fractions.push(fraction) }
    expect(await calibrateArgon2(1000, options)).toEqual({ iterations: 2, memoryKiB: 19_456, lanes: 4 })
    expect(memoryOf(asked)).toEqual([19_456, 19_456, 1_048_576, 388_096, 143_360, 52_224])
    expect(fractions).toEqual([0.25, 0.4375, 0.625, 0.8125, 1, 1])
  })

  it('uses the expected time of the last amount of memory, which it does not measure', async () => {
    const asked = stubborn(0.3, 600)
    expect(await calibrateArgon2(1000, { memoryKiB: 1_048_576 })).toEqual({
      iterations: 3,
      memoryKiB: 99_328,
      lanes: 4,
    })
    expect(memoryOf(asked).slice(2)).toEqual([1_048_576, 581_632, 322_560, 179_200])
  })

  it('measures the least memory only once after the sample, even if it is slow', async () => {
    const asked = device(100)
    await calibrateArgon2(1)
    expect(memoryOf(asked)).toEqual([19_456, 19_456, 19_456])
  })

  it('returns costs that a keyset accepts, reports progress, and stops at a signal', async () => {
    const fractions: number[] = []
    device(1)
    const costs = await calibrateArgon2(300, { onProgress: (fraction) => fractions.push(fraction) })
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    expect(fractions.at(-1)).toBe(1)
    await createKeyset(PASSWORD, { costs })
    await failure(() => calibrateArgon2(300, { signal: AbortSignal.abort() }), 'aborted')
    const asked: Asked[] = []
    await calibrateArgon2(1, { argon2: argon2Of(asked), memoryKiB: 19_456 })
    expect(asked).toHaveLength(5)
  })

  it('refuses invalid times, invalid memory, and a wrong argon2', async () => {
    for (const target of [0, -1, NaN, Infinity])
      await expect(calibrateArgon2(target)).rejects.toBeInstanceOf(RangeError)
    for (const memoryKiB of [19_455, 1_048_577, 2e4 + 0.5]) {
      await expect(calibrateArgon2(100, { memoryKiB })).rejects.toBeInstanceOf(RangeError)
    }
    await expect(calibrateArgon2(100, { argon2: async () => new Uint8Array(32) })).rejects.toBeInstanceOf(TypeError)
  })
})
