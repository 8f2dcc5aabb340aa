// A vitest runner that loads the tests once. Then runner.mjs asks over a channel for one run after the other, each
// with another mutant switched on. If every mutant loaded the library and its tests again, loading would take most of
// the time.
import { BroadcastChannel } from 'node:worker_threads'
import { collectTests } from '@vitest/runner'
import {
  type EvaluatedModules,
  type RunnerTask as Task,
  type RunnerTestCase as Test,
  type RunnerTestSuite as Suite,
  TestRunner,
} from 'vitest'
import { files, modules, tests } from './all.ts'

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
  readonly milliseconds: number
  readonly failure?: string
}

/** One test to run. With `then`: one test file to load with the mutant switched on, and the tests to run after that. */
interface Chosen {
  readonly id: string
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
}

// Kept here because tests replace the clock.
const { setTimeout, clearTimeout } = globalThis
const now = performance.now.bind(performance)
/** Returns the time that a test may take, from the time that it took without a mutant. */
const limitOf = (milliseconds: number): number => 3000 + 10 * milliseconds

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

const testsOf = (tasks: readonly Task[]): Test[] =>
  tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task.tasks) : task.mode === 'run' ? [task] : []))

const LOADING = 'loading '
const LATE = 'late'

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export default class RunnerInThread extends TestRunner {
  private readonly channel: BroadcastChannel = new BroadcastChannel('mutation')
  private tests: Map<string, Test> = new Map()
  private open: Suite[] = []

  private readonly loadings: TestRun[] = []

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
    for (const path of files)
      this.loadings.push(await this.timed(LOADING + path, path, 60_000, true, () => this.load(path)))
    const broken = this.loadings.flatMap(({ failure }) => failure ?? [])
    if (broken.length > 0) throw new Error(broken.join('\n'))
    this.channel.postMessage('loaded')
    for (;;) {
      const command = commands.shift()
      if (command === undefined) await new Promise<void>((resolve) => (wake = resolve))
      else if (command.isLast) return
      else this.channel.postMessage(await this.answer(command))
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
  }

  /** Loads a test file again, with the test modules that it imports. The source stays loaded. */
  private async reload(path: string): Promise<void> {
    const { evaluatedModules } = (this as unknown as { readonly workerState: WorkerState }).workerState
    for (const [id, node] of evaluatedModules.idToModuleMap)
      if (id.startsWith(tests) && !id.startsWith(import.meta.dirname)) evaluatedModules.invalidateModule(node)
    await this.load(path)
  }

  private async answer({ mutant, hitLimit, tests }: Command): Promise<Answer> {
    const namespace = globalThis.__stryker__!
    if (tests === undefined) {
      const runs = [...this.loadings]
      for (const id of this.tests.keys()) runs.push(await this.run({ id, milliseconds: 60_000 }, true))
      await this.close(0)
      return { runs, hits: 0, isDoubtful: false, isSpoiled: false, coverage: namespace.mutantCoverage }
    }
    Object.assign(namespace, { hitLimit, hitCount: 0 })
    const runs: TestRun[] = []
    let failed: Chosen | undefined
    for (const chosen of tests) {
      namespace.activeMutant = mutant
      runs.push(await this.run(chosen, false))
      if (runs.at(-1)!.failure !== undefined) failed = chosen
      if (failed !== undefined || chosen.then !== undefined) await this.close(0)
      namespace.activeMutant = undefined
      if (failed !== undefined) break
      if (chosen.then !== undefined) await this.reload(this.pathOf(chosen.id))
    }
    namespace.activeMutant = mutant
    await this.close(0)
    const hits = namespace.hitCount ?? 0
    Object.assign(namespace, { activeMutant: undefined, hitLimit: undefined })
    const answer = { runs, hits, isDoubtful: false, isSpoiled: false }
    if (failed === undefined) return answer
    // The file is still being loaded, and its tests would mix with those of the next one.
    if (failed.then !== undefined && runs.at(-1)!.failure === LATE) return { ...answer, isSpoiled: true }
    if (await this.passes(failed)) return answer
    const isReloaded = await this.reload(this.pathOf(failed.id)).then(
      () => true,
      () => false,
    )
    return { ...answer, isDoubtful: true, isSpoiled: !isReloaded || !(await this.passes(failed)) }
  }

  private pathOf(id: string): string {
    return id.startsWith(LOADING) ? id.slice(LOADING.length) : this.tests.get(id)!.file.filepath
  }

  private async passes({ id, then }: Chosen): Promise<boolean> {
    const { failure } = await this.run({ id, milliseconds: 1000, ...(then && { then }) }, false)
    await this.close(0)
    return failure === undefined
  }

  private async run({ id, milliseconds, then }: Chosen, isCounted: boolean): Promise<TestRun> {
    const limit = limitOf(milliseconds)
    const path = this.pathOf(id)
    if (then === undefined) {
      const test = this.tests.get(id)!
      const name = [...suitesOf(test), test].map((each) => each.name).join(' > ')
      return { ...(await this.timed(id, path, limit, isCounted, () => this.attempt(test))), name }
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
    let failure: string | undefined
    globalThis.__stryker__!.currentTestId = isCounted ? id : undefined
    try {
      await within(limit, work())
    } catch (error) {
      failure = messageOf(error)
    }
    globalThis.__stryker__!.currentTestId = undefined
    return { id, name: id, path, milliseconds: now() - start, ...(failure !== undefined && { failure }) }
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

  private async close(depth: number): Promise<void> {
    while (this.open.length > depth) {
      const suite = this.open.pop()!
      for (const hook of TestRunner.getSuiteHooks(suite).afterAll.toReversed()) await hook(suite)
    }
  }
}
