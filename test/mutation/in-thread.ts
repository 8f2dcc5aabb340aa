// A runner of vitest that keeps the tests it has loaded: whoever started it asks, over a channel, for one run after the other, each
// with another mutant switched on. Loading the library and its tests anew for each of thousands of mutants would take most of the time.
import { BroadcastChannel } from 'node:worker_threads'
import { type RunnerTask as Task, type RunnerTestCase as Test, type RunnerTestSuite as Suite, TestRunner } from 'vitest'

/** What Stryker puts into the source looks here for the mutant that is on, and counts here. */
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

interface TestRun {
  readonly id: string
  readonly name: string
  readonly file: string
  readonly milliseconds: number
  readonly failure?: string
}

/** Without a mutant all tests run, to the last; with one, those asked for, until one fails. */
interface Command {
  readonly mutant?: string
  readonly hitLimit?: number | undefined
  readonly tests?: readonly { readonly id: string; readonly milliseconds: number }[]
}

interface Answer {
  readonly runs: readonly TestRun[]
  readonly hits: number
  readonly coverage?: unknown
  /** The failed test fails without the mutant too: something that was changed stays. */
  readonly isSpoiled: boolean
}

// Tests replace the clock.
const { setTimeout, clearTimeout } = globalThis
const now = performance.now.bind(performance)
/** What a test may take of what it took without a mutant. */
const limitOf = (milliseconds: number): number => 3000 + 10 * milliseconds

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late: Promise<never> = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('late')), milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

const suitesOf = (test: Test): Suite[] => {
  const suites: Suite[] = []
  for (let suite: Suite | undefined = test.suite; suite; suite = suite.suite) suites.unshift(suite)
  return suites
}

const testsOf = (tasks: readonly Task[]): Test[] =>
  tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task.tasks) : task.mode === 'run' ? [task] : []))

/** What kept files from being loaded. */
const errorsOf = (tasks: readonly Task[]): string[] =>
  tasks.flatMap((task) => [
    ...(task.result?.errors ?? []).map(({ message }) => `${task.name}: ${message}`),
    ...(task.type === 'suite' ? errorsOf(task.tasks) : []),
  ])

const fileOf = (test: Test): string => suitesOf(test)[0]?.name ?? ''

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export default class RunnerInThread extends TestRunner {
  private readonly channel: BroadcastChannel = new BroadcastChannel('mutation')
  private tests: Map<string, Test> = new Map()
  private open: Suite[] = []

  async onBeforeRunFiles(files: readonly Suite[]): Promise<void> {
    const broken = errorsOf(files)
    if (broken.length > 0) throw new Error(broken.join('\n'))
    this.tests = new Map(testsOf(files).map((test) => [test.id, test]))
    // Sets up what tests expect of vitest.
    for (const file of files) await this.onBeforeRunSuite(file)
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
      else this.channel.postMessage(await this.answer(command))
    }
  }

  private async answer({ mutant, hitLimit, tests }: Command): Promise<Answer> {
    const namespace = globalThis.__stryker__!
    Object.assign(namespace, { activeMutant: mutant, hitLimit, hitCount: 0 })
    const chosen = tests ?? Array.from(this.tests.keys(), (id) => ({ id, milliseconds: 60_000 }))
    const runs: TestRun[] = []
    for (const { id, milliseconds } of chosen) {
      runs.push(await this.run(id, limitOf(milliseconds), mutant === undefined))
      if (mutant !== undefined && runs.at(-1)!.failure !== undefined) break
    }
    await this.close(0)
    const hits = namespace.hitCount ?? 0
    Object.assign(namespace, { activeMutant: undefined, hitLimit: undefined })
    const failed = runs.find(({ failure }) => failure !== undefined)
    let isSpoiled = false
    if (mutant !== undefined && failed !== undefined) {
      isSpoiled = (await this.run(failed.id, limitOf(1000), false)).failure !== undefined
      await this.close(0)
    }
    return { runs, hits, isSpoiled, coverage: mutant === undefined ? namespace.mutantCoverage : undefined }
  }

  private async run(id: string, limit: number, isCounted: boolean): Promise<TestRun> {
    const test = this.tests.get(id)!
    const start = now()
    let failure: string | undefined
    globalThis.__stryker__!.currentTestId = isCounted ? id : undefined
    try {
      await within(limit, this.attempt(test))
    } catch (error) {
      failure = messageOf(error)
    }
    globalThis.__stryker__!.currentTestId = undefined
    const result = {
      id,
      name: suitesOf(test)
        .map(({ name }) => name)
        .concat(test.name)
        .join(' > '),
      file: fileOf(test),
    }
    return { ...result, milliseconds: now() - start, ...(failure !== undefined && { failure }) }
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

  /** Leaves suites that the test is not in, and enters those that it is in. */
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
