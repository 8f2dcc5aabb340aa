// Chooses Argon2id costs for this device (RFC 9106 §4): as much memory as is allowed, then as many passes as the time
// allows.
import { randomBytes } from '../primitives/random.ts'
import { wipe } from './bytes.ts'
import { optionsFrom } from './options.ts'
import {
  type Argon2Costs,
  DEFAULT_ARGON2_COSTS,
  HASH_OPTIONS,
  type HashOptions,
  hashPassword,
  MAX_MEMORY_KIB,
  MIN_ITERATIONS,
  MIN_MEMORY_KIB,
  mostIterations,
} from './password.ts'

const DEFAULT_CEILING_KIB = 262_144

/**
 * The number of passes to aim for. More passes over less memory would protect less for the same time (RFC 9106
 * recommends 3 for the smaller of its two choices).
 */
const WANTED_ITERATIONS = 3

/** How often to measure with less memory, if memory turns out to be slower than the sample suggests. */
const TRIES = 4

/**
 * Returns costs that make one Argon2id hash take about `targetMs` on this device. They stay within the limits of the
 * format: 4 lanes, and at least 19,456 KiB and 2 iterations, even if that takes longer. Pass them as `costs` when you
 * create a keyset. A device that unlocks the keyset later uses the same memory and does the same work, at its own
 * speed.
 * @param targetMs how long one hash may take, in milliseconds; calibrating takes two or three times as long
 * @param options `memoryKiB`: the most memory to use, 262,144 (256 MiB) by default; `argon2`: the function that will
 *   compute the hash
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws RangeError if `targetMs` is not above 0, or `memoryKiB` is outside 19,456 KiB–1 GiB
 * @throws TypeError if `argon2` does not compute Argon2id
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { calibrateArgon2, createKeyset } from 'keystrata'
 *
 * const costs = await calibrateArgon2(500) // half a second on this device
 * using keyset = await createKeyset('correct horse battery staple', { costs })
 * console.log(costs.lanes, keyset.retired) // 4 0
 * ```
 */
export async function calibrateArgon2(
  targetMs: number,
  options?: HashOptions & { memoryKiB?: number | undefined },
): Promise<Argon2Costs> {
  const {
    memoryKiB: ceiling = DEFAULT_CEILING_KIB,
    argon2,
    signal,
    onProgress,
  } = optionsFrom(options, { ...HASH_OPTIONS, memoryKiB: 'optional' }, 'calibrateArgon2')
  if (!(Number.isFinite(targetMs) && targetMs > 0)) throw new RangeError('targetMs must be above 0')
  if (!Number.isSafeInteger(ceiling) || ceiling < MIN_MEMORY_KIB || ceiling > MAX_MEMORY_KIB) {
    throw new RangeError(`memoryKiB must be ${MIN_MEMORY_KIB} to ${MAX_MEMORY_KIB}`)
  }
  const hashing: HashOptions = { argon2, signal }
  const measure = (costs: Argon2Costs): Promise<number> => timeOf(costs, hashing)
  const { lanes } = DEFAULT_ARGON2_COSTS
  // The first hash checks the function and warms up the machine.
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
    // The expected time with less memory, in case it is not measured again.
    pass *= less / memoryKiB
    memoryKiB = less
  }
  onProgress?.(1)
  const iterations = Math.min(Math.max(Math.floor(targetMs / pass), MIN_ITERATIONS), mostIterations(memoryKiB))
  return { iterations, memoryKiB, lanes }
}

/** Limits memory to the floor and the ceiling, and rounds it down to whole MiB if they allow it. */
function withinMemory(memoryKiB: number, ceiling: number): number {
  return Math.max(1024 * Math.floor(Math.min(memoryKiB, ceiling) / 1024), MIN_MEMORY_KIB)
}

async function timeOf(costs: Argon2Costs, options: HashOptions): Promise<number> {
  const started = performance.now()
  wipe(await hashPassword('calibration', randomBytes(32), costs, options, 32))
  // A coarse clock may measure 0.
  return Math.max(performance.now() - started, 0.1)
}
