// What holds for every input, however it was made: nothing but a KeystrataError comes out, without a cause that could quote
// bytes; an input of n bytes makes no more memory than twice n and 1 MiB beyond what an honest object of its kind makes, what the
// collector takes back at once included: a copy or the content, and the chunks that a cipher leaves; and costs of Argon2id that an
// object asks for are within the limits.
import { KeystrataError } from '../../src/index.ts'
import { type Backend } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { backends } from '../fixtures.ts'
import { memoryInUse, MOST_COPIES } from '../memory.ts'
import type { Target } from './inputs.ts'

const MIB = 1024 * 1024
const CHEAP = { iterations: 1, memoryKiB: 8, lanes: 1 }

/** What security.md and SPEC §1.6 allow; written again, so that a limit that is lost is noticed. */
export function assertAllowedCosts({ iterations, memoryKiB, lanes }: typeof CHEAP): void {
  const holds =
    iterations >= 1 &&
    iterations <= 64 &&
    lanes >= 1 &&
    lanes <= 16 &&
    memoryKiB >= 8 * lanes &&
    memoryKiB <= 1024 * 1024 &&
    iterations * memoryKiB <= 4 * 1024 * 1024
  if (!holds) throw new Error(`Argon2id was asked for ${iterations} passes, ${memoryKiB} KiB, ${lanes} lanes`)
}

/** Argon2id costs next to nothing while a fuzzer runs, and is refused at costs that no object may ask for. */
export function watchArgon2(): void {
  const chosen = backends[0]!
  const watched: Backend = {
    ...chosen,
    async argon2id(password, salt, costs, length, wait) {
      assertAllowedCosts(costs)
      return chosen.argon2id(password, salt, CHEAP, length, wait)
    },
  }
  useBackend(watched)
}

/** What one input led to: that somebody took it, or the code of the last error; and the most memory that one reader made. */
interface Reading {
  readonly outcome: string
  readonly made: number
}

/** Memory is more than it says where the collector came between, and never less. */
async function readBy({ reads }: Target, bytes: Uint8Array): Promise<Reading> {
  let outcome = ''
  let made = 0
  for (const read of reads) {
    const before = memoryInUse()
    const code = await outcomeOf(read, bytes)
    made = Math.max(made, memoryInUse() - before)
    if (outcome !== 'taken') outcome = code
  }
  return { outcome, made }
}

async function outcomeOf(read: Target['reads'][number], bytes: Uint8Array): Promise<string> {
  try {
    await read(bytes)
    return 'taken'
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    if (error.cause !== undefined) throw new Error('a KeystrataError with a cause', { cause: error })
    return error.code
  }
}

const objectOf = ({ around }: Target, input: Uint8Array): Uint8Array => around?.(input) ?? input

const honest: Map<string, number> = new Map()

/** The most that an honest object of the target was ever seen to make: engines collect seldomer as they go on. */
async function honestMemory(target: Target): Promise<number> {
  let most = honest.get(target.name) ?? 0
  for (const seed of target.seeds) {
    const bytes = objectOf(target, seed)
    for (let turn = 0; turn < 3; turn++) most = Math.max(most, (await readBy(target, bytes)).made)
  }
  honest.set(target.name, most)
  return most
}

/** Reads one input and throws for whatever must not happen. Too much memory must be seen again and again: engines make some too. */
export async function checkInput(target: Target, input: Uint8Array): Promise<string> {
  const bytes = objectOf(target, input)
  const copy = new Uint8Array(bytes)
  let most = honest.get(target.name) ?? (await honestMemory(target))
  for (let turn = 0; ; turn++) {
    const { outcome, made } = await readBy(target, bytes)
    if (Buffer.compare(bytes, copy) !== 0) throw new Error('the input was written to')
    if (made <= most + MOST_COPIES * bytes.length + MIB) return outcome
    if (turn === 3) throw new Error(`${bytes.length} bytes of ${target.name}, ${outcome}, made ${made} bytes of memory`)
    most = await honestMemory(target)
  }
}
