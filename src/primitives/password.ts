// Password hashing: Argon2id version 0x13 (RFC 9106), within limits that hold before any memory is asked for; PBKDF2
// (RFC 8018) where a product's format says so.
import { type Bytes, wipe } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { encodeText } from '../text.ts'
import { backend, type Wait } from './backend.ts'

export type { Wait } from './backend.ts'

/** What one Argon2id hash costs whoever computes it, and so whoever guesses. */
export interface Argon2Costs {
  /** Passes over the memory: 1–64; at least 2 when writing. */
  iterations: number
  /** Memory in KiB: 8 × lanes to 1,048,576 (1 GiB); at least 19,456 when writing. */
  memoryKiB: number
  /** Lanes, the parallelism p of RFC 9106: 1–16. */
  lanes: number
}

/** RFC 9106 §4, the second recommended choice: 64 MiB, 3 passes, 4 lanes. */
export const DEFAULT_ARGON2_COSTS: Readonly<Argon2Costs> = { iterations: 3, memoryKiB: 65_536, lanes: 4 }

const GIB_IN_KIB = 1_048_576

/**
 * Refuses costs that a stored object must not be able to burn (SPEC §1.6).
 * @throws KeystrataError `limit-exceeded`
 */
export function assertReadableCosts({ iterations, memoryKiB, lanes }: Argon2Costs): void {
  const within =
    [iterations, memoryKiB, lanes].every(Number.isSafeInteger) &&
    iterations >= 1 &&
    iterations <= 64 &&
    lanes >= 1 &&
    lanes <= 16 &&
    memoryKiB >= 8 * lanes &&
    memoryKiB <= GIB_IN_KIB &&
    iterations * memoryKiB <= 4 * GIB_IN_KIB
  if (!within) {
    throw new KeystrataError('limit-exceeded', 'Argon2 costs beyond the limits', { iterations, memoryKiB, lanes })
  }
}

/** Whether costs are dear enough to protect anything. */
export function isWritable({ iterations, memoryKiB }: Argon2Costs): boolean {
  return memoryKiB >= 19_456 && iterations >= 2
}

/**
 * Refuses costs that are too cheap to protect anything (OWASP's floor).
 * @throws KeystrataError `limit-exceeded`
 */
export function assertWritableCosts(costs: Argon2Costs): void {
  assertReadableCosts(costs)
  if (!isWritable(costs)) {
    throw new KeystrataError('limit-exceeded', 'Argon2 costs too low: at least 19456 KiB and 2 iterations', {
      iterations: costs.iterations,
      memoryKiB: costs.memoryKiB,
    })
  }
}

/**
 * Argon2id of a password, 32 bytes unless said otherwise.
 * @throws KeystrataError `limit-exceeded` for an empty password or costs beyond the limits, `aborted` by the signal
 */
export function hashPassword(
  password: string,
  salt: Uint8Array,
  costs: Argon2Costs,
  wait: Wait,
  length = 32,
): Promise<Bytes> {
  return withPassword(password, (bytes) => {
    assertReadableCosts(costs)
    return untilAborted(wait, (watched) => backend().argon2id(bytes, salt, costs, length, watched))
  })
}

/**
 * PBKDF2-HMAC-SHA-512 of a password.
 * @throws KeystrataError `limit-exceeded` for an empty password, `aborted` by the signal
 */
export function stretchPassword(
  password: string,
  salt: Uint8Array,
  { iterations, length }: { iterations: number; length: number },
  wait: Wait,
): Promise<Bytes> {
  return withPassword(password, (bytes) =>
    untilAborted(wait, (watched) => backend().pbkdf2Sha512(bytes, salt, iterations, length, watched)),
  )
}

/** Lends the bytes of a password to `use`, and wipes them when it is done. */
async function withPassword<T>(password: string, use: (bytes: Bytes) => Promise<T>): Promise<T> {
  const bytes = encodeText(password, 'password')
  try {
    if (bytes.length === 0) throw new KeystrataError('limit-exceeded', 'the password is empty')
    return await use(bytes)
  } finally {
    wipe(bytes)
  }
}

/**
 * Waits for a derivation until the signal ends the wait. Native code cannot be stopped: what it still gives is wiped. A
 * callback that throws is heard when there is nothing left to wipe.
 * @throws KeystrataError `aborted`
 */
async function untilAborted({ onProgress, signal }: Wait, derivation: (wait: Wait) => Promise<Bytes>): Promise<Bytes> {
  if (signal?.aborted === true) throw new KeystrataError('aborted')
  const thrown: unknown[] = []
  const report = (fraction: number) => {
    try {
      if (thrown.length === 0) onProgress?.(fraction)
    } catch (error) {
      thrown.push(error)
    }
  }
  const listening = new AbortController()
  const aborted: Promise<never> = new Promise((_, reject) => {
    const stop = () => reject(new KeystrataError('aborted'))
    signal?.addEventListener('abort', stop, { once: true, signal: listening.signal })
  })
  const running = derivation({ onProgress: report, ...(signal !== undefined && { signal }) })
  try {
    const derived = await Promise.race([running, aborted])
    if (thrown.length > 0) throw thrown[0]
    return derived
  } catch (error) {
    running.then(wipe, () => undefined)
    throw error
  } finally {
    listening.abort()
  }
}
