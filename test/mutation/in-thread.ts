// A vitest runner that loads the source once, and each test file when it is first needed. runner.mjs asks over a
// channel for one run after the other, each with another mutant switched on. If every mutant loaded the library and
// its tests again, loading would take most of the time.
import { availableParallelism, loadavg } from 'node:os'
import { inspect } from 'node:util'
import { BroadcastChannel } from 'node:worker_threads'
import { collectTests } from '@vitest/runner'
import {
  type EvaluatedModules,
  type RunnerTask as Task,
  type RunnerTestFile as File,
  type RunnerTestCase as Test,
  type RunnerTestSuite as Suite,
  TestRunner,
} from 'vitest'
import { files, keptOpen, modules, slow, tests } from './all.ts'

/** The code that Stryker inserts into the source reads the active mutant from here, and counts its hits here. */
interface Namespace {
  activeMutant?: string | undefined
  currentTestId?: string | undefined
  hitCount?: number | undefined
  hitLimit?: number | undefined
  mutantCoverage?: unknown
}
declare global {
  var __stryker__: Namespace | undefined
}

/** The part of vitest's state with the loaded modules. */
interface WorkerState {
  readonly evaluatedModules: EvaluatedModules
}

interface TestRun {
  readonly id: string
  readonly name: string
  readonly path: string
  /** The time that passed. Limits follow from it. */
  readonly milliseconds: number
  /** The processor time. It chooses the tests, so that a busy machine does not change the score. */
  readonly processor: number
  readonly failure?: string
}

/** One test to run. With `then`: one test file to load with the mutant switched on, and the tests to run after that. */
interface Chosen {
  readonly id: string
  readonly path: string
  /** The time that it took without a mutant. */
  readonly milliseconds: number
  readonly then?: readonly string[]
}

/** What to run. Without `tests`: all tests. With `tests`: only those, with the mutant switched on, until one fails. */
interface Command {
  readonly mutant?: string
  readonly hitLimit?: number | undefined
  readonly tests?: readonly Chosen[]
  readonly isLast?: boolean
}

interface Answer {
  readonly runs: readonly TestRun[]
  readonly hits: number
  readonly coverage?: unknown
  /** Whether the failed test also fails without the mutant. Then an earlier mutant may have left a bad state. */
  readonly isDoubtful: boolean
  /** Whether mutants left a state that loading the tests again does not clear. Then vitest must be restarted. */
  readonly isSpoiled: boolean
  /** The test file that could not be loaded although no mutant was on, and why. */
  readonly broken?: string
}

// Kept here because tests replace the clock.
const { setTimeout, clearTimeout } = globalThis
const now = performance.now.bind(performance)
/** Returns the time that a test may take, from the time that it took without a mutant. A busy machine gives more. */
const limitOf = (milliseconds: number): number =>
  (3000 + 10 * milliseconds) * Math.max(1, loadavg()[0]! / availableParallelism())

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late: Promise<never> = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(LATE)), milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

const suitesOf = (test: Test): Suite[] => {
  const suites: Suite[] = []
  for (let { suite } = test; suite && suite !== test.file; { suite } = suite) suites.unshift(suite)
  return [test.file, ...suites]
}

const nameOf = (test: Test): string => [...suitesOf(test), test].map(({ name }) => name).join(' > ')

const testsOf = (tasks: readonly Task[]): Test[] =>
  tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task.tasks) : task.mode === 'run' ? [task] : []))

const LOADING = 'loading '
const LATE = 'late'

const messageOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : inspect(error)

export default class RunnerInThread extends TestRunner {
  private readonly channel: BroadcastChannel = new BroadcastChannel('mutation')
  private tests: Map<string, Test> = new Map()
  private readonly loaded: Set<string> = new Set()
  private open: Suite[] = []

  async onBeforeRunFiles(): Promise<void> {
    // The source is loaded first, so that code that runs during its loading is not counted for a test file.
    for (const module of modules) await import(module)
    globalThis.__stryker__ ??= {}
    const commands: Command[] = []
    let wake: (() => void) | undefined
    this.channel.onmessage = ({ data }: { data: unknown }) => {
      commands.push(data as Command)
      wake?.()
    }
    this.channel.postMessage('loaded')
    for (;;) {
      const command = commands.shift()
      if (command === undefined) await new Promise<void>((resolve) => (wake = resolve))
      else if (command.isLast) return
      else this.channel.postMessage(await this.answerOrSay(command))
    }
  }

  private async load(path: string): Promise<void> {
    const loaded = await collectTests([path], this)
    for (const file of loaded) {
      if (file.result?.errors) throw new Error(`${path}: ${file.result.errors.map(messageOf).join('; ')}`)
      // Sets up the state that tests expect from vitest.
      await this.onBeforeRunSuite(file)
    }
    for (const test of testsOf(loaded)) this.tests.set(test.id, test)
    this.loaded.add(path)
  }

  /** Loads a test file again, with the test modules that it imports. The source stays loaded. */
  private async reload(path: string): Promise<void> {
    const { evaluatedModules } = (this as unknown as { readonly workerState: WorkerState }).workerState
    for (const [id, node] of evaluatedModules.idToModuleMap)
      if (id.startsWith(tests) && !id.startsWith(import.meta.dirname)) evaluatedModules.invalidateModule(node)
    await this.load(path)
  }

  /** Runs all tests without a mutant. */
  private async runAll(): Promise<Answer> {
    const runs: TestRun[] = []
    for (const path of files) {
      const loading = await this.timed(LOADING + path, path, 60_000, true, () => this.load(path))
      runs.push(loading)
      if (loading.failure !== undefined) continue
      const own = [...this.tests.values()].filter((test) => test.file.filepath === path && !slow.has(nameOf(test)))
      for (const { id } of own) runs.push(await this.run({ id, path, milliseconds: 60_000 }, true))
      await this.close(0)
    }
    return { runs, hits: 0, isDoubtful: false, isSpoiled: false, coverage: globalThis.__stryker__!.mutantCoverage }
  }

  private async answerOrSay(command: Command): Promise<Answer> {
    try {
      return await this.answer(command)
    } catch (error) {
      // Only what runs without a mutant throws: the state is spoiled.
      Object.assign(globalThis.__stryker__!, { activeMutant: undefined, hitLimit: undefined })
      return { runs: [], hits: 0, isDoubtful: true, isSpoiled: true, broken: messageOf(error) }
    }
  }

  private async answer({ mutant, hitLimit, tests }: Command): Promise<Answer> {
    const namespace = globalThis.__stryker__!
    if (tests === undefined) return this.runAll()
    Object.assign(namespace, { hitLimit, hitCount: 0 })
    const runs: TestRun[] = []
    let failed: Chosen | undefined
    for (const chosen of tests) {
      if (!this.loaded.has(chosen.path)) await this.load(chosen.path)
      if (keptOpen.has(chosen.path) && chosen.then === undefined) await this.enter(suitesOf(this.tests.get(chosen.id)!))
      namespace.activeMutant = mutant
      runs.push(await this.run(chosen, false))
      if (runs.at(-1)!.failure !== undefined) failed = chosen
      if (failed !== undefined || chosen.then !== undefined) await this.closeAfterMutant()
      namespace.activeMutant = undefined
      if (failed !== undefined) break
      if (chosen.then !== undefined) await this.reload(chosen.path)
    }
    namespace.activeMutant = mutant
    await this.closeAfterMutant()
    const hits = namespace.hitCount ?? 0
    Object.assign(namespace, { activeMutant: undefined, hitLimit: undefined })
    const answer = { runs, hits, isDoubtful: false, isSpoiled: false }
    if (failed === undefined) return answer
    // The file is still being loaded, and its tests would mix with those of the next one.
    if (failed.then !== undefined && runs.at(-1)!.failure === LATE) return { ...answer, isSpoiled: true }
    if (await this.passes(failed)) return answer
    await this.close(0)
    const isReloaded = await this.reload(failed.path).then(
      () => true,
      () => false,
    )
    return { ...answer, isDoubtful: true, isSpoiled: !isReloaded || !(await this.passes(failed)) }
  }

  private async passes(chosen: Chosen): Promise<boolean> {
    const { failure } = await this.run({ ...chosen, milliseconds: 1000 + chosen.milliseconds }, false)
    await this.closeAfterMutant()
    return failure === undefined
  }

  private async run({ id, path, milliseconds, then }: Chosen, isCounted: boolean): Promise<TestRun> {
    const limit = limitOf(milliseconds)
    if (then === undefined) {
      const test = this.tests.get(id)!
      return { ...(await this.timed(id, path, limit, isCounted, () => this.attempt(test))), name: nameOf(test) }
    }
    return this.timed(id, path, limit, isCounted, async () => {
      await this.close(0)
      await this.reload(path)
      for (const each of then) await this.attempt(this.tests.get(each)!)
    })
  }

  private async timed(
    id: string,
    path: string,
    limit: number,
    isCounted: boolean,
    work: () => Promise<void>,
  ): Promise<TestRun> {
    const start = now()
    const before = process.cpuUsage()
    let failure: string | undefined
    globalThis.__stryker__!.currentTestId = isCounted ? id : undefined
    try {
      await within(limit, work())
    } catch (error) {
      failure = messageOf(error)
    }
    globalThis.__stryker__!.currentTestId = undefined
    const { user, system } = process.cpuUsage(before)
    const processor = Math.round((user + system) / 1000)
    const run = { id, name: id, path, milliseconds: Math.round(now() - start), processor }
    return { ...run, ...(failure !== undefined && { failure }) }
  }

  private async attempt(test: Test): Promise<void> {
    await this.enter(suitesOf(test))
    this.onBeforeTryTask(test)
    const cleanups: unknown[] = []
    try {
      for (const suite of this.open)
        for (const hook of TestRunner.getSuiteHooks(suite).beforeEach) cleanups.push(await hook(test.context, suite))
      await TestRunner.getTestFn(test)()
      this.onAfterTryTask(test)
    } finally {
      for (const suite of this.open.toReversed())
        for (const hook of TestRunner.getSuiteHooks(suite).afterEach.toReversed()) await hook(test.context, suite)
      for (const cleanup of cleanups) if (typeof cleanup === 'function') await (cleanup as () => unknown)()
    }
  }

  /** Runs afterAll of the open suites that the next test is not in, and beforeAll of the new ones that it is in. */
  private async enter(suites: readonly Suite[]): Promise<void> {
    let shared = 0
    while (shared < suites.length && this.open[shared] === suites[shared]) shared++
    await this.close(shared)
    for (const suite of suites.slice(shared)) {
      this.open.push(suite)
      for (const hook of TestRunner.getSuiteHooks(suite).beforeAll) await hook(suite)
    }
  }

  /** Runs afterAll of the open suites, except in a file whose database is slow to start. */
  private async closeAfterMutant(): Promise<void> {
    if (this.open[0] === undefined || !keptOpen.has((this.open[0] as File).filepath)) await this.close(0)
  }

  private async close(depth: number): Promise<void> {
    while (this.open.length > depth) {
      const suite = this.open.pop()!
      for (const hook of TestRunner.getSuiteHooks(suite).afterAll.toReversed()) await hook(suite)
    }
  }
}
