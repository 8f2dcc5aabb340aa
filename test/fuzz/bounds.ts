// The rules that hold for every input, valid or not:
// - A reader throws nothing but a KeystrataError, and that has no `cause`, because a cause could quote bytes. What else
//   a target expects, such as the error of a store, it names itself.
// - For an input of n bytes, a reader allocates at most MOST_COPIES × n bytes and 1 MiB more than for an honest
//   object of the same kind. That is a copy or the content, and the chunks that a cipher leaves. Memory freed at once
//   counts too.
// - The Argon2id costs that an object asks for are within the limits.
import { KeystrataError } from '../../src/index.ts'
import { type Backend } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { backends } from '../fixtures.ts'
import { memoryInUse, MOST_COPIES } from '../memory.ts'
import type { Target } from './inputs.ts'

const MIB = 1024 * 1024
const CHEAP = { iterations: 1, memoryKiB: 8, lanes: 1 }

/** Throws unless SPEC §1.6 allows the costs. The limits are repeated here, to notice if the library loses one. */
export function assertAllowedCosts({ iterations, memoryKiB, lanes }: typeof CHEAP): void {
  const holds =
    iterations >= 1 &&
    iterations <= 64 &&
    lanes >= 1 &&
    lanes <= 16 &&
    memoryKiB >= 8 * lanes &&
    memoryKiB <= 1024 * 1024 &&
    iterations * memoryKiB <= 4 * 1024 * 1024
  if (!holds) throw new Error(`Argon2id was asked for ${iterations} iterations, ${memoryKiB} KiB, ${lanes} lanes`)
}

/** Makes password hashes cheap while a fuzzer runs. Argon2id throws if an object asks for costs above the limits. */
export function watchArgon2(): void {
  const chosen = backends[0]!
  const watched: Backend = {
    ...chosen,
    async argon2id(password, salt, costs, length, wait) {
      assertAllowedCosts(costs)
      return chosen.argon2id(password, salt, CHEAP, length, wait)
    },
    pbkdf2Sha512: (password, salt, _iterations, length, wait) => chosen.pbkdf2Sha512(password, salt, 1, length, wait),
  }
  useBackend(watched)
}

/** The outcome of one input: 'taken' or the last error code, and the most bytes that one reader allocated. */
interface Reading {
  readonly outcome: string
  readonly made: number
}

/** Gives `bytes` to every reader of a target. `made` is too low if the garbage collector runs meanwhile. */
async function readBy(target: Target, bytes: Uint8Array): Promise<Reading> {
  let outcome = ''
  let made = 0
  for (const read of target.reads) {
    const before = memoryInUse()
    const code = await (target.isImpatient === true
      ? withoutPauses(() => outcomeOf(target, read, bytes))
      : outcomeOf(target, read, bytes))
    made = Math.max(made, memoryInUse() - before)
    if (outcome !== 'taken') outcome = code
  }
  return { outcome, made }
}

async function outcomeOf({ names }: Target, read: Target['reads'][number], bytes: Uint8Array): Promise<string> {
  try {
    await read(bytes)
    return 'taken'
  } catch (error) {
    const name = names?.(error)
    if (name !== undefined) return name
    if (!(error instanceof KeystrataError)) throw error
    if (error.cause !== undefined) throw new Error('a KeystrataError has a cause', { cause: error })
    return error.code
  }
}

/** Runs `body` with timers that end at once. */
async function withoutPauses<T>(body: () => Promise<T>): Promise<T> {
  const original = globalThis.setTimeout
  const instant = (callback: () => void) => original(callback, 0)
  globalThis.setTimeout = instant as typeof setTimeout
  try {
    return await body()
  } finally {
    globalThis.setTimeout = original
  }
}

const objectOf = ({ around }: Target, input: Uint8Array): Uint8Array => around?.(input) ?? input

const honest: Map<string, number> = new Map()

/**
 * Returns the most bytes that reading an honest object of the target ever allocated. Each call measures again, because
 * engines collect less often the longer they run.
 */
async function honestMemory(target: Target): Promise<number> {
  let most = honest.get(target.name) ?? 0
  for (const seed of target.seeds) {
    const bytes = objectOf(target, seed)
    for (let turn = 0; turn < 3; turn++) most = Math.max(most, (await readBy(target, bytes)).made)
  }
  honest.set(target.name, most)
  return most
}

/** How many times in a row too much memory must be measured. */
const MEASURES = 20

/**
 * Gives one input to a target's readers and throws if they break a rule. Returns the outcome. Too much memory is
 * measured again, because engines allocate memory of their own, and in a browser other tests run in the same heap.
 */
export async function checkInput(target: Target, input: Uint8Array): Promise<string> {
  const bytes = objectOf(target, input)
  const copy = new Uint8Array(bytes)
  let most = honest.get(target.name) ?? (await honestMemory(target))
  for (let turn = 0; ; turn++) {
    const { outcome, made } = await readBy(target, bytes)
    if (Buffer.compare(bytes, copy) !== 0) throw new Error('a reader has written to its input')
    if (made <= most + (target.copies ?? MOST_COPIES) * bytes.length + (target.slack ?? MIB)) return outcome
    if (turn === MEASURES)
      throw new Error(`${bytes.length} bytes as ${target.name} (${outcome}) made a reader allocate ${made} bytes`)
    await new Promise((resolve) => setTimeout(resolve, turn))
    most = await honestMemory(target)
  }
}
