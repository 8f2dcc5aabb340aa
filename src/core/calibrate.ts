// Costs of Argon2id for the device at hand (RFC 9106 §4): as much memory as there may be, then as many passes as there is time for.
import { randomBytes } from '../primitives/random.ts'
import { wipe } from './bytes.ts'
import {
  type Argon2Costs,
  DEFAULT_ARGON2_COSTS,
  type HashOptions,
  hashPassword,
  MAX_MEMORY_KIB,
  MIN_ITERATIONS,
  MIN_MEMORY_KIB,
  mostIterations,
} from './password.ts'

const { lanes } = DEFAULT_ARGON2_COSTS

const DEFAULT_CEILING_KIB = 262_144

/**
 * More passes over less memory protect less than what they cost (RFC 9106 recommends 3 for the smaller one of its two
 * choices).
 */
const WANTED_ITERATIONS = 3

/** How often memory is taken back when it turned out to be slower than the sample. */
const TRIES = 4

/**
 * Costs with which one Argon2id hash takes about as long as wanted on this device, within the limits of the format: 4
 * lanes, at least 19,456 KiB and 2 iterations, even where that takes longer. Give them as `costs` when a keyset is created.
 * A device that unlocks it later spends the same memory and work, in a time of its own.
 * @param targetMs what one hash may take, in milliseconds; calibrating takes two or three times that
 * @param options `memoryKiB`: the most memory, 262,144 (256 MiB) unless said; `argon2`: who will compute it
 * @throws KeystrataError `aborted`
 * @throws RangeError for a time that is not above 0, and for memory outside 19,456 KiB–1 GiB
 * @throws TypeError for an `argon2` that is none
 * @example
 * ```ts
 * import { calibrateArgon2, createKeyset } from 'keystrata'
 *
 * const costs = await calibrateArgon2(500) // half a second on this device
 * using keyset = await createKeyset('correct horse battery staple', { costs })
 * console.log(costs.lanes, keyset.version) // 4 1
 * ```
 */
export async function calibrateArgon2(
  targetMs: number,
  options: HashOptions & { memoryKiB?: number } = {},
): Promise<Argon2Costs> {
  const { memoryKiB: ceiling = DEFAULT_CEILING_KIB, argon2, signal, onProgress } = options
  if (!(Number.isFinite(targetMs) && targetMs > 0)) throw new RangeError('the time must be above 0 ms')
  if (!Number.isSafeInteger(ceiling) || ceiling < MIN_MEMORY_KIB || ceiling > MAX_MEMORY_KIB) {
    throw new RangeError(`memory must be ${MIN_MEMORY_KIB} to ${MAX_MEMORY_KIB} KiB`)
  }
  const hashing: HashOptions = { argon2, signal }
  const measure = (costs: Argon2Costs): Promise<number> => timeOf(costs, hashing)
  // The first hash checks the function, and warms the machine up.
  await measure({ iterations: 1, memoryKiB: MIN_MEMORY_KIB, lanes })
  onProgress?.(1 / 4)
  const sample = await measure({ iterations: 1, memoryKiB: MIN_MEMORY_KIB, lanes })
  let memoryKiB = withinMemory((MIN_MEMORY_KIB * targetMs) / (sample * WANTED_ITERATIONS), ceiling)
  let pass = sample
  for (let tries = 1; tries <= TRIES; tries++) {
    pass = await measure({ iterations: 1, memoryKiB, lanes })
    onProgress?.(1 / 4 + (tries / TRIES) * (3 / 4))
    if (pass * MIN_ITERATIONS <= targetMs || memoryKiB === MIN_MEMORY_KIB) break
    const less = withinMemory((memoryKiB * targetMs) / (pass * WANTED_ITERATIONS), memoryKiB)
    // What it should take, where nobody measures it any more.
    pass *= less / memoryKiB
    memoryKiB = less
  }
  onProgress?.(1)
  const iterations = Math.min(Math.max(Math.floor(targetMs / pass), MIN_ITERATIONS), mostIterations(memoryKiB))
  return { iterations, memoryKiB, lanes }
}

/** In whole MiB, as far as floor and ceiling allow. */
function withinMemory(memoryKiB: number, ceiling: number): number {
  return Math.max(1024 * Math.floor(Math.min(memoryKiB, ceiling) / 1024), MIN_MEMORY_KIB)
}

async function timeOf(costs: Argon2Costs, options: HashOptions): Promise<number> {
  const started = performance.now()
  wipe(await hashPassword('calibration', randomBytes(32), costs, options, 32))
  // Some clocks are coarse.
  return Math.max(performance.now() - started, 0.1)
}
