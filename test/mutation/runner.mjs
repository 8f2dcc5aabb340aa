// The Stryker test runner. It starts vitest once, and vitest keeps the tests loaded (in-thread.ts).
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { BroadcastChannel } from 'node:worker_threads'
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin'
import { determineHitLimitReached, DryRunStatus, MutantRunStatus, TestStatus } from '@stryker-mutator/api/test-runner'
import { createVitest } from 'vitest/node'
import { SLOWEST_MS } from './stryker.config.mjs'

/** A test that fails without a mutant is left out, because it may only need real threads. More mean a mistake. */
const MOST_FAILED = 5
/** With --retry (run.ts), each mutant gets a multiple of the time. */
const PATIENCE = Number(process.env.MUTATION_PATIENCE ?? 1)
// The time for each part of a mutant's run: the tests of the mutated file (test/<room>/<file>.test.ts) and its room,
// then the quickest tests of each other file, then test files that are loaded with the mutant on. Most mutants that
// survive take all of it.
const NEAREST_MS = 3000 * PATIENCE
const OTHERS_MS = 3000 * PATIENCE
const LOADING_MS = 2000 * PATIENCE
/** The time for the tests of one file that is loaded with the mutant on. */
const FILE_MS = 500
/** The file with the time that each test took without a mutant. The processes that run mutants read it. */
const DURATIONS = 'durations.json'

/** What a test costs: its processor time. One that waits for a server costs more than that. */
const costOf = ({ milliseconds, processor }) => Math.max(processor, milliseconds / 8)

const byTime = (runs) => runs.toSorted((a, b) => a.cost - b.cost)

function within(runs, most) {
  let sum = 0
  return runs.filter(({ cost }) => {
    if (sum + cost > most) return false
    sum += cost
    return true
  })
}

/** Sorts runs: first the quickest of every file, then the second of every file, and so on. */
function inTurn(runs) {
  const ranks = new Map()
  const ranked = byTime(runs).map((run) => {
    const rank = ranks.get(run.path) ?? 0
    ranks.set(run.path, rank + 1)
    return { run, rank }
  })
  return ranked.sort((a, b) => a.rank - b.rank).map(({ run }) => run)
}

/** Returns how far a test file is from a file of the source: 0 is its own test, 1 a test of its room, 2 another. */
function distance(test, source) {
  const [, room, name] = /src\/(\w+)\/([\w-]+)\.ts$/.exec(source.replaceAll('\\', '/')) ?? []
  const path = test.replaceAll('\\', '/')
  if (path.endsWith(`/test/${room}/${name}.test.ts`)) return 0
  return path.includes(`/test/${room}/`) ? 1 : 2
}

class KeptVitest {
  #vitest
  #channel
  #durations

  capabilities() {
    return { reloadEnvironment: false }
  }

  async init() {
    this.#channel = new BroadcastChannel('mutation')
    const loaded = this.#next()
    this.#vitest = await createVitest('test', {
      config: 'test/mutation/vitest.config.ts',
      watch: false,
      onConsoleLog: () => false,
    })
    // vitest ends by itself only if a file could not be loaded.
    const ended = this.#vitest.start().then(() => {
      throw new Error(
        this.#vitest.state
          .getUnhandledErrors()
          .map(({ message }) => message)
          .join('\n') || 'vitest ended too early',
      )
    })
    await Promise.race([loaded, ended])
    ended.catch(() => undefined)
  }

  #next() {
    return new Promise((resolve) => {
      this.#channel.onmessage = ({ data }) => resolve(data)
    })
  }

  #ask(command) {
    const answer = this.#next()
    this.#channel.postMessage(command)
    return answer
  }

  async dryRun() {
    const { runs, coverage } = await this.#ask({})
    if (runs.length === 0) return { status: DryRunStatus.Error, errorMessage: 'no tests were loaded' }
    writeFileSync(DURATIONS, JSON.stringify(runs))
    // run.ts reads it too.
    const report = process.env.MUTATION_TESTS
    if (report !== undefined) writeFileSync(report, JSON.stringify(runs))
    const failed = runs.filter(({ failure }) => failure !== undefined)
    if (failed.length > MOST_FAILED) {
      const texts = failed.map(({ name, failure }) => `${name}: ${failure}`)
      return { status: DryRunStatus.Error, errorMessage: `too many tests fail:\n${texts.join('\n')}` }
    }
    const tests = runs
      .filter(({ failure }) => failure === undefined)
      .map(({ id, name, path, milliseconds }) => {
        return { id, name, fileName: path, timeSpentMs: milliseconds, status: TestStatus.Success }
      })
    return { status: DryRunStatus.Complete, tests, mutantCoverage: coverage }
  }

  /** Chooses single tests, and then test files to load with the mutant on, each with its quickest tests. */
  #chosen(ids, source) {
    this.#durations ??= existsSync(DURATIONS) ? JSON.parse(readFileSync(DURATIONS, 'utf8')) : []
    const runs = this.#durations
      .filter(({ failure }) => failure === undefined)
      .map((run) => ({ ...run, cost: costOf(run), distance: distance(run.path, source) }))
      .filter(({ cost }) => cost <= SLOWEST_MS)
    const isLoading = ({ id }) => id.startsWith('loading ')
    const tests = runs.filter((run) => !isLoading(run))
    const wanted = ids === undefined ? undefined : new Set(ids)
    const isWanted = ({ id }) => wanted?.has(id) ?? true
    const loadings = runs
      .filter((run) => isLoading(run) && isWanted(run))
      .map((loading) => {
        const then = within(byTime(tests.filter((test) => test.path === loading.path)), FILE_MS)
        const sumOf = (each) => then.reduce((sum, test) => sum + each(test), each(loading))
        return {
          ...loading,
          cost: sumOf((run) => run.cost),
          milliseconds: sumOf((run) => run.milliseconds),
          then: then.map((test) => test.id),
        }
      })
    const met = tests.filter(isWanted)
    const nearest = within(
      [0, 1].flatMap((each) => inTurn(met.filter((run) => run.distance === each))),
      NEAREST_MS,
    )
    const rest = inTurn(met.filter((run) => !nearest.includes(run)))
    const nearestFirst = byTime(loadings).sort((a, b) => a.distance - b.distance)
    return [...nearest, ...within(rest, OTHERS_MS), ...within(nearestFirst, LOADING_MS)]
  }

  async mutantRun({ activeMutant, hitLimit, testFilter }, isAgain = false) {
    const { runs, hits, isDoubtful, isSpoiled, broken } = await this.#ask({
      mutant: activeMutant.id,
      hitLimit,
      tests: this.#chosen(testFilter, activeMutant.fileName),
    })
    if (isSpoiled) await this.#restart()
    if (isDoubtful && !isAgain) return this.mutantRun({ activeMutant, hitLimit, testFilter }, true)
    if (broken !== undefined) return { status: MutantRunStatus.Error, errorMessage: broken }
    const endless = determineHitLimitReached(hits, hitLimit)
    if (endless !== undefined) return { status: MutantRunStatus.Timeout, reason: endless.reason }
    const failed = runs.find(({ failure }) => failure !== undefined)
    if (failed === undefined) return { status: MutantRunStatus.Survived, nrOfTests: runs.length }
    const { id, failure } = failed
    return { status: MutantRunStatus.Killed, killedBy: [id], failureMessage: failure, nrOfTests: runs.length }
  }

  async #restart() {
    await this.dispose()
    await this.init()
  }

  async dispose() {
    this.#channel.postMessage({ isLast: true })
    this.#channel.close()
    await Promise.race([this.#vitest.close(), new Promise((resolve) => setTimeout(resolve, 2000))])
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'kept-vitest', KeptVitest)]
