// npm run mutation (run.ts): changes the source in thousands of ways, one at a time, and counts the changes (mutants)
// that no test notices. The report of each room is coverage/mutation/ROOM.html.
//
// Not mutated: files that only export; errors.ts, because its texts are for people; indexeddb.ts, because only
// browsers have IndexedDB; and the code that shares work among threads. The runner switches mutants on in one thread,
// where the workers of pools run too (same-thread.ts), and most mutants in that code would only wait forever.
// Left out: tests that start servers. Those of test/stores/bucket.test.ts and pglite.test.ts reach the same lines.
// Ignored: error texts and names of roles (ignore.mjs), because callers switch on codes; and mutants that act while a
// module is loaded, because each would need its own process.
//
// These mutants survive:
// - Another way to the same answer: a check before another check that gives the same error (the commitment before the
//   tag, `instanceof` before a private field, the type of a key before its hash, the length of a name before its
//   form), a `case` that falls through to the same value, a cache, one more loop step over nothing, and the defaults
//   `?? ''` and `?? 0` for values that the types do not exclude.
// - Only memory and time change: bounds checked before something is allocated or normalised, a second hash that
//   nobody reads, a buffer that is copied although its room could be used, the batches of a pool, the number of tries and
//   the lengths of pauses.
// - Two devices at once, and stores whose answers are wrong at that moment (vault/rotation.ts, vault/stored-vault.ts).
//   test/crash, attacks/21 and properties/rotation cover them, of which a mutation run has time for only a part.
// - The choice of a backend (primitives, legacy/des.ts). It is made once, while the tests are loaded, and every
//   backend gives the same bytes. probing.test.ts and backends.test.ts test it without mutants.
// - Wiping of a primitive's temporary values that no key object holds (primitives/portable.ts,
//   primitives/node-kem.ts, legacy/des.ts).
// - Checks of the library's own work, which fail only if a package is wrong (assertCombine in recovery/split.ts).
// - A read that is tried again, and older versions that the next change drops (recovery/slots.ts,
//   recovery/recover.ts).
// - Code for another runtime: the scheduler of browsers, a JWK without its public half, an Argon2 that gets no
//   memory.
import { availableParallelism, loadavg } from 'node:os'

/** Where the results are. */
export const FOLDER = 'coverage/mutation'
/** The lowest mutation score, in percent, that is enough. */
export const SCORE = 92
/** Tests that cost more than this are left out. */
export const SLOWEST_MS = 2000
export const NOT_MUTATED = [
  ...['index', 'vault', 'client', 'device', 'server', 'pool', 'recovery', 'fleet', 'legacy', 'stores'],
  ...['core/errors', 'core/threads', 'stores/indexeddb'],
  ...['pool/worker', 'pool/pool', 'pool/member', 'pool/pooled-block', 'pool/work'],
  ...['server/hash-queue', 'server/hash-thread'],
].map((name) => `src/${name}.ts`)

const { MUTATION_ROOM: room = 'all', MUTATION_PATIENCE: patience = '1' } = process.env
const busy = Math.max(1, loadavg()[0] / availableParallelism())

export default {
  plugins: ['./test/mutation/ignore.mjs', './test/mutation/runner.mjs'],
  testRunner: 'kept-vitest',
  mutate: ['src/**/*.ts', ...NOT_MUTATED.map((file) => `!${file}`)],
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  ignorers: ['texts of errors'],
  ignorePatterns: ['.stryker-tmp', 'bench', 'api', 'docs', 'dist', 'coverage', 'examples/*/dist'],
  incremental: true,
  incrementalFile: `${FOLDER}/${room}.json`,
  reporters: ['progress-append-only', 'clear-text', 'html'],
  htmlReporter: { fileName: `${FOLDER}/${room}.html` },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  allowConsoleColors: false,
  tempDirName: `.stryker-tmp/${room}`,
  // run.ts runs one room for each processor.
  concurrency: 1,
  dryRunTimeoutMinutes: 60,
  // A mutant runs against at most eight seconds of tests (runner.mjs), however many there are. A mutant that only ran
  // out of time on a busy machine would count as detected.
  timeoutMS: 30_000 * busy * Number(patience),
  timeoutFactor: 0,
  thresholds: { high: 95, low: SCORE, break: null },
}
