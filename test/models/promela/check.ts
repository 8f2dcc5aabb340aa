// Lets Spin search all states of the model of a log, log.pml. Nothing here is bitstate hashing: every state is stored, and
// a search that was cut off is an error.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const MODEL = join(import.meta.dirname, 'log.pml')

/** Values of the macros of log.pml. */
export type Macros = Readonly<Record<string, number>>

export interface Configuration {
  readonly name: string
  readonly macros: Macros
}

/** What the model may do, within which bounds. A bound of log.pml that is not named has its default there. */
export const CONFIGURATIONS: readonly Configuration[] = [
  { name: 'a host and an owner', macros: {} },
  { name: 'the same, and a crash', macros: { APPENDS: 2, BEFORE: 2, CRASHES: 1, E: 5, V: 10 } },
  { name: 'two hosts and an owner, a crash', macros: { HOSTS: 2, CRASHES: 1, V: 10 } },
  { name: 'a host and two owners', macros: { OWNERS: 2, E: 7 } },
  { name: 'two owners, a crash', macros: { OWNERS: 2, HOSTS: 0, CRASHES: 1, E: 7 } },
  { name: 'a host and an owner, two lost answers, a crash', macros: { FAULTS: 2, CRASHES: 1, E: 7, V: 10 } },
  { name: 'a host, an owner and a reader, two late reads', macros: { LATE: 2, READERS: 1, E: 6 } },
]

export interface Variant extends Configuration {
  /** The macro that breaks a rule. */
  readonly broken: string
}

const variant = (broken: string, macros: Macros, name: string): Variant => ({ broken, macros, name })

/** Models with a broken rule, each with the bounds in which Spin must find an error. */
export const VARIANTS: readonly Variant[] = [
  variant('NO_LOOK_AFTER_FALSE', { FAULTS: 1, LATE: 1, TRIES: 1, E: 5 }, 'a writer takes false for an answer'),
  variant('NO_LOOK_FOR_ID', { FAULTS: 1, E: 5 }, 'a host appends again without looking for its record'),
  variant('NO_CLOSE', { CRASHES: 1, E: 5 }, 'a close does not say which epochs were before'),
  variant('DROP_SEAL_OFF', {}, 'an old epoch is dropped with its seal-off'),
  variant('DROP_ABOVE', { OWNERS: 2, E: 6 }, 'an owner drops what is above the current epoch'),
  variant('USED_EPOCH', { OWNERS: 2, E: 6 }, 'an owner goes on in the half-made epoch of another one'),
  variant('COPY_BEHIND_SEAL_OFF', { OWNERS: 2, E: 6 }, 'an owner goes on behind the seal-off of another one'),
  variant('OVERWRITE', {}, 'a seal-off is written without compare-and-set'),
  variant('SEAL_WITHOUT_COPY', {}, 'a seal-off goes behind a record that was not copied'),
  variant('EARLY_POINTER', {}, 'the pointer is raised before the seal-off, and relied on'),
  variant('NO_FLOOR', { LATE: 1, READERS: 1 }, 'a reader does not compare with what it has read'),
  variant('OLD_NUMBER', {}, 'a copy gets the number of its version'),
  variant('DROP_BEFORE_POINTER', {}, 'the whole old epoch is dropped before the pointer is raised'),
]

export interface Result {
  readonly errors: number
  readonly states: number
  readonly depth: number
  readonly megabytes: number
  readonly seconds: number
  /** The rule that was broken, as Spin prints it. */
  readonly violation?: string
}

/** How deep a search may be. One that is deeper is an error. */
const DEPTH = 2_000_000
const MEGABYTES = 7000

/**
 * Searches all states of the model.
 * @throws Error if Spin or the compiler fails, or if the search was cut off
 */
export async function search(macros: Macros, broken?: string): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'keystrata-spin-'))
  const started = performance.now()
  try {
    const defined = Object.entries(macros).map(([name, value]) => `-D${name}=${value}`)
    const inFolder = { cwd: folder, maxBuffer: 2 ** 26 }
    await run('spin', [...defined, ...(broken === undefined ? [] : [`-D${broken}`]), '-a', MODEL], inFolder)
    const options = ['-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${MEGABYTES}`]
    // An optimising compiler takes longer than the searches do.
    await run('gcc', ['-O0', ...options, '-o', 'pan', 'pan.c'], inFolder)
    const { stdout } = await run(join(folder, 'pan'), [`-m${DEPTH}`, '-n'], inFolder)
    return { ...parsed(stdout), seconds: (performance.now() - started) / 1000 }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function parsed(text: string): Omit<Result, 'seconds'> {
  const numberIn = (pattern: RegExp) => {
    const found = pattern.exec(text)?.[1]
    if (found === undefined) throw new Error(`Spin printed something unexpected:\n${text}`)
    return Number(found)
  }
  const errors = numberIn(/errors: (\d+)/)
  const isCutOff = /max search depth too small|out of memory|memory limit|Search not completed/.test(text)
  if (errors === 0 && isCutOff) throw new Error(`the search was cut off:\n${text}`)
  const violation = /pan:1: (.*) \(at depth/.exec(text)?.[1]
  return {
    errors,
    states: numberIn(/([\d.e+]+) states, stored/),
    depth: numberIn(/depth reached (\d+)/),
    megabytes: numberIn(/([\d.]+)\s+total actual memory usage/),
    ...(violation !== undefined && { violation }),
  }
}
