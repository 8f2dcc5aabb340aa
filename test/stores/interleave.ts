// Runs several programs in one process, one call to the file system at a time, in a random order that a seed decides.
// A program can be "killed" before any call: then it never goes on. So a test reaches orders that real processes meet
// once in years.
import { AsyncLocalStorage } from 'node:async_hooks'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** The calls that wait for their turn. What happens inside an open file needs no turn of its own. */
const CALLS = ['link', 'lstat', 'mkdir', 'open', 'readdir', 'rename', 'rmdir', 'stat', 'unlink'] as const
type Call = (...given: unknown[]) => Promise<unknown>

interface Program {
  /** The calls that wait. */
  readonly waiting: (() => void)[]
  state: 'running' | 'finished' | 'killed'
}

const current: AsyncLocalStorage<Program> = new AsyncLocalStorage()
let wake: () => void = () => undefined

/** Makes the calls of programs wait for their turn while `test` runs. Other calls are not affected. */
export async function withTurns<T>(test: () => Promise<T>): Promise<T> {
  const functions = fs as unknown as Record<string, Call>
  const real = Object.fromEntries(CALLS.map((name) => [name, functions[name]!]))
  for (const name of CALLS) {
    functions[name] = async (...given) => {
      const program = current.getStore()
      if (program !== undefined) {
        await new Promise<void>((resolve) => {
          program.waiting.push(resolve)
          wake()
        })
      }
      return real[name]!(...given)
    }
  }
  syncBuiltinESMExports()
  try {
    return await test()
  } finally {
    Object.assign(functions, real)
    syncBuiltinESMExports()
  }
}

/** Replaces a function of the file system while `test` runs. */
export async function withCall<T>(name: (typeof CALLS)[number], call: Call, test: () => Promise<T>): Promise<T> {
  const functions = fs as unknown as Record<string, Call>
  const real = functions[name]!
  functions[name] = call
  syncBuiltinESMExports()
  try {
    return await test()
  } finally {
    functions[name] = real
    syncBuiltinESMExports()
  }
}

/** Returns a function that returns random numbers below a limit. The same seed gives the same numbers. */
export function randomOf(seed: number): (limit: number) => number {
  let state = seed | 0
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

/**
 * Runs programs until each has finished or was killed.
 * @param kills one of how many turns kills a program; 0 for none. The last one that is left is never killed
 * @throws what a program throws
 */
export async function interleave(
  programs: readonly (() => Promise<void>)[],
  random: (limit: number) => number,
  kills: number,
): Promise<void> {
  const errors: unknown[] = []
  const all = programs.map((program): Program => {
    const started: Program = { waiting: [], state: 'running' }
    void current
      .run(started, program)
      .catch((error: unknown) => void errors.push(error))
      .finally(() => {
        started.state = 'finished'
        wake()
      })
    return started
  })
  const running = () => all.filter(({ state }) => state === 'running')
  for (;;) {
    // Everyone who is not waiting for a turn computes, or pauses before a retry.
    while (running().some(({ waiting }) => waiting.length === 0)) {
      await new Promise<void>((resolve) => (wake = resolve))
    }
    if (errors.length > 0) throw errors[0]
    const candidates = running()
    const chosen = candidates[random(candidates.length)]
    if (chosen === undefined) return
    if (kills > 0 && candidates.length > 1 && random(kills) === 0) chosen.state = 'killed'
    else chosen.waiting.splice(random(chosen.waiting.length), 1)[0]!()
  }
}

/** One call of a store, as its caller saw it. */
export interface Step<S> {
  readonly what: string
  readonly began: number
  /** Infinity if the caller was killed before it got an answer. */
  ended: number
  /**
   * Returns the states that this step may leave, if it takes effect in a state and has the answer that it has. Returns
   * none if that is impossible.
   */
  effects: (state: S) => readonly S[]
}

/**
 * Returns whether there is an order of the steps that explains all answers and the end, and in which no step comes
 * before one that had ended when it began. A step that got no answer may have had no effect.
 */
export function isLinearizable<S>(steps: readonly Step<S>[], state: S, isEnd: (state: S) => boolean): boolean {
  const answered = steps.filter(({ ended }) => ended !== Number.POSITIVE_INFINITY)
  if (answered.length === 0 && isEnd(state)) return true
  const earliestEnd = Math.min(...steps.map(({ ended }) => ended))
  return steps.some((step) => {
    if (step.began > earliestEnd) return false
    const rest = steps.filter((other) => other !== step)
    return step.effects(state).some((next) => isLinearizable(rest, next, isEnd))
  })
}
