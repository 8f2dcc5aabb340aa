// Password hashing: Argon2id version 0x13 (RFC 9106), with limits that are checked before any memory is allocated, and
// PBKDF2 (RFC 8018) where a format needs it.
import { wiping } from './secret.ts'
import type { Wait } from '../primitives/backend.ts'
import { argon2 as argon2Platform, pbkdf2 } from '../primitives/password-hash.ts'
import { type Bytes, copyOf, toHex, utf8, wipe } from './bytes.ts'
import { KeystrataError, withoutMemory } from './errors.ts'
import { fieldsFrom, type Rules } from './options.ts'
import { isBytes } from './realms.ts'
import { encodeText } from './text.ts'

/**
 * An implementation of Argon2id version 0x13 that the product supplies, for example because it is faster than the
 * portable code.
 * @param password UTF-8. Do not keep or change it: the library wipes it when the call is done
 * @param length the length of the result in bytes
 * @example
 * ```ts
 * import { argon2idAsync } from '@noble/hashes/argon2.js' // or one that is faster: that of hash-wasm, say
 * import type { Argon2 } from 'keystrata'
 *
 * const argon2: Argon2 = (password, salt, { iterations, memoryKiB, lanes }, length) =>
 *   argon2idAsync(password, salt, { t: iterations, m: memoryKiB, p: lanes, dkLen: length })
 * ```
 */
export type Argon2 = (password: Uint8Array, salt: Uint8Array, costs: Argon2Costs, length: number) => Promise<Uint8Array>

/**
 * How to follow the progress of a password hash or cancel it, and which code computes it.
 * @example
 * ```ts
 * import type { HashOptions } from 'keystrata'
 * import { createDeviceKey } from 'keystrata/device'
 *
 * const bar = { percent: 0 } // what a user sees
 * const options: HashOptions = { onProgress: (fraction) => void (bar.percent = 100 * fraction) }
 * const exported = await createDeviceKey().export('a passphrase', options)
 * console.log(bar.percent) // 100
 * ```
 */
export interface HashOptions extends Wait {
  /**
   * Replaces the Argon2id of the platform or of the portable code. It is checked with known answers before its first
   * use.
   */
  argon2?: Argon2 | undefined
}

export const HASH_OPTIONS: Rules<HashOptions> = { onProgress: 'optional', signal: 'optional', argon2: 'optional' }

/**
 * The costs of one Argon2id hash, and so of each guess by an attacker.
 * @example
 * ```ts
 * import { type Argon2Costs, createKeyset } from 'keystrata'
 *
 * const costs: Argon2Costs = { iterations: 4, memoryKiB: 262_144, lanes: 4 } // 256 MiB for every guess
 * using keyset = await createKeyset('correct horse battery staple', { costs })
 * const onHost = keyset.export('host')
 * ```
 */
export interface Argon2Costs {
  /** Passes over the memory: 1–64, and at least 2 for a new hash. */
  iterations: number
  /** Memory in KiB: 8 × lanes to 1,048,576 (1 GiB), at most 4 GiB in all passes, and at least 19,456 for a new hash. */
  memoryKiB: number
  /** Lanes, the parallelism p of RFC 9106: 1–16. */
  lanes: number
}

/**
 * Returns a copy of costs that a caller passed.
 * @throws TypeError if they are not three numbers
 */
export function costsFrom(given: Argon2Costs): Argon2Costs {
  const costs = fieldsFrom(given, { iterations: 'required', memoryKiB: 'required', lanes: 'required' }, 'costs')
  if (Object.values<unknown>({ ...costs }).every((cost) => typeof cost === 'number')) return costs
  throw new TypeError('costs must be three numbers: iterations, memoryKiB, lanes')
}

/** RFC 9106 §4, the second recommended choice: 64 MiB, 3 passes, 4 lanes. */
export const DEFAULT_ARGON2_COSTS: Readonly<Argon2Costs> = { iterations: 3, memoryKiB: 65_536, lanes: 4 }

/** 1 GiB. */
export const MAX_MEMORY_KIB = 1_048_576

const MAX_ITERATIONS = 64

/** The minimum for a new hash (OWASP's recommendation). */
export const MIN_MEMORY_KIB = 19_456

export const MIN_ITERATIONS = 2

/** Returns the most passes that are allowed over this much memory. */
export function mostIterations(memoryKiB: number): number {
  return Math.min(MAX_ITERATIONS, Math.floor((4 * MAX_MEMORY_KIB) / memoryKiB))
}

/**
 * Refuses costs beyond the limits, so that a stored object cannot make a reader spend more (SPEC §1.6).
 * @throws KeystrataError `limit-exceeded`
 */
export function assertReadableCosts({ iterations, memoryKiB, lanes }: Argon2Costs): void {
  const within =
    [iterations, memoryKiB, lanes].every(Number.isSafeInteger) &&
    iterations >= 1 &&
    lanes >= 1 &&
    lanes <= 16 &&
    memoryKiB >= 8 * lanes &&
    memoryKiB <= MAX_MEMORY_KIB &&
    iterations <= mostIterations(memoryKiB)
  if (!within) {
    throw new KeystrataError(
      'limit-exceeded',
      'Argon2 costs are beyond the limits: iterations 1–64, lanes 1–16, memoryKiB from 8 × lanes to 1,048,576, 4 GiB in all passes',
      { iterations, memoryKiB, lanes },
    )
  }
}

/** Returns whether the costs meet the minimum for new hashes. */
export function isWritable({ iterations, memoryKiB }: Argon2Costs): boolean {
  return memoryKiB >= MIN_MEMORY_KIB && iterations >= MIN_ITERATIONS
}

/**
 * Refuses costs below the minimum for new hashes.
 * @throws KeystrataError `limit-exceeded`
 */
export function assertWritableCosts(costs: Argon2Costs): void {
  assertReadableCosts(costs)
  if (!isWritable(costs)) {
    throw new KeystrataError(
      'limit-exceeded',
      `Argon2 costs are too low: use at least ${MIN_MEMORY_KIB} KiB and ${MIN_ITERATIONS} iterations`,
      {
        iterations: costs.iterations,
        memoryKiB: costs.memoryKiB,
      },
    )
  }
}

/**
 * Computes an Argon2id hash.
 * @throws KeystrataError `limit-exceeded` if this device does not have the memory
 */
export async function withinMemory<T>({ memoryKiB }: Argon2Costs, compute: () => Promise<T>): Promise<T> {
  try {
    return await compute()
  } catch (error) {
    throw withoutMemory(error, `a password hash with ${memoryKiB} KiB`, { memoryKiB })
  }
}

/**
 * Hashes a password with Argon2id. The result has `length` bytes.
 * @throws KeystrataError `invalid-text`, `unsupported` as {@link encodeText}
 * @throws KeystrataError `limit-exceeded` if the costs are beyond the limits, or this device does not have the memory
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError if the caller's `argon2` does not compute Argon2id
 */
export function hashPassword(
  password: string,
  salt: Uint8Array,
  costs: Argon2Costs,
  options: HashOptions,
  length: number,
): Promise<Bytes> {
  const { argon2 } = options
  return withPassword(password, (bytes) => {
    assertReadableCosts(costs)
    if (argon2 === undefined) {
      return untilAborted(options, (watched) =>
        withinMemory(costs, () => argon2Platform().argon2id(bytes, salt, costs, length, watched)),
      )
    }
    return untilAborted(options, async ({ onProgress }) => {
      if (typeof argon2 !== 'function') throw new TypeError('argon2 must be a function')
      onProgress?.(0)
      const hash = await withinMemory(costs, () => hashBy(argon2, bytes, salt, costs, length))
      onProgress?.(1)
      return hash
    })
  })
}

/**
 * Known answers for 2 passes over 256 KiB. The first is from the reference implementation's test.c. The second is from
 * OpenSSL: it has more lanes and another length, and is not the beginning of a longer answer.
 */
const KNOWN_ANSWERS = [
  { lanes: 2, answer: '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037' },
  { lanes: 4, answer: '3bbd46bf4acfffc72a7a335003f970547df6aa5a86c571f9' },
] as const

const checked: WeakMap<Argon2, Promise<void>> = /* @__PURE__ */ new WeakMap()

/**
 * Hashes with the product's function, which is checked once: a wrong one would derive keys that no other implementation
 * can derive.
 */
async function hashBy(
  argon2: Argon2,
  password: Uint8Array,
  salt: Uint8Array,
  { iterations, memoryKiB, lanes }: Argon2Costs,
  length: number,
): Promise<Bytes> {
  const given = { iterations, memoryKiB, lanes }
  const check = checked.get(argon2) ?? assertArgon2id(argon2)
  checked.set(argon2, check)
  // Forget a failed check: it may have failed because a module was not loaded yet.
  check.catch(() => checked.delete(argon2))
  await check
  // Pass copies, so that the function cannot change the originals.
  const copies = [copyOf(password), copyOf(salt)] as const
  using _ = wiping(...copies)
  return ownBytesOf(await argon2(...copies, given, length), length)
}

async function assertArgon2id(argon2: Argon2): Promise<void> {
  for (const { lanes, answer } of KNOWN_ANSWERS) {
    const length = answer.length / 2
    const costs = { iterations: 2, memoryKiB: 256, lanes }
    const hash = await argon2(utf8('password'), utf8('somesalt'), costs, length)
    if (toHex(ownBytesOf(hash, length)) !== answer)
      throw new TypeError('argon2 is not Argon2id: it gives a wrong hash for a known input')
  }
}

/** Returns a copy of a hash, and wipes the original. */
function ownBytesOf(hash: Uint8Array, length: number): Bytes {
  if (!isBytes(hash) || hash.length !== length) {
    throw new TypeError(`argon2 must return a Uint8Array of ${length} bytes`)
  }
  const copy = copyOf(hash)
  wipe(hash)
  return copy
}

/**
 * Hashes a password with PBKDF2-HMAC-SHA-512.
 * @throws KeystrataError `invalid-text`, `unsupported` as {@link encodeText}
 * @throws KeystrataError `aborted` if the signal was aborted
 */
export function stretchPassword(
  password: string,
  salt: Uint8Array,
  { iterations, length }: { iterations: number; length: number },
  wait: Wait,
): Promise<Bytes> {
  return withPassword(password, (bytes) =>
    untilAborted(wait, (watched) => pbkdf2().pbkdf2Sha512(bytes, salt, iterations, length, watched)),
  )
}

/** Lends the bytes of a password to `use`, and wipes them when it is done. */
export async function withPassword<T>(password: string, use: (bytes: Bytes) => Promise<T>): Promise<T> {
  const bytes = encodeText(password, 'password')
  using _ = wiping(bytes)
  return await use(bytes)
}

/**
 * Waits for a derivation, or until the signal ends the wait. Native code cannot be stopped, so its result is wiped when
 * it comes. If the progress callback throws, its error is thrown after the derivation has ended, when the result can be
 * wiped.
 * @throws KeystrataError `aborted` if the signal was aborted
 */
async function untilAborted({ onProgress, signal }: Wait, derivation: (wait: Wait) => Promise<Bytes>): Promise<Bytes> {
  const assertWanted = () => {
    if (signal?.aborted === true) throw new KeystrataError('aborted')
  }
  assertWanted()
  const thrown: unknown[] = []
  const report = (fraction: number) => {
    try {
      if (thrown.length === 0 && signal?.aborted !== true) onProgress?.(fraction)
    } catch (error) {
      thrown.push(error)
    }
  }
  let stop = (): void => undefined
  const aborted: Promise<never> = new Promise((_, reject) => {
    stop = () => reject(new KeystrataError('aborted'))
  })
  // Another realm's signal would not take one of this realm that ends the listening.
  signal?.addEventListener('abort', stop)
  const running = derivation({ onProgress: report, signal })
  try {
    const derived = await Promise.race([running, aborted])
    if (thrown.length > 0) throw thrown[0]
    return derived
  } catch (error) {
    running.then(wipe, () => undefined)
    // If the derivation saw the signal first, it failed with the signal's own reason. Throw `aborted` instead.
    assertWanted()
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
