// npm run mutation [-- --mutate 'src/keyset/*.ts']: changes the source in thousands of ways, one at a time, and
// counts the changes (mutants) that no test notices. The report is coverage/mutation.html.
//
// Not mutated: files that only export; errors.ts, because its texts are for people; and the code that shares work
// among threads. The runner switches mutants on in one thread, where the workers of pools run too (same-thread.ts),
// and most mutants in that code would only wait forever.
// Ignored: error texts and names of roles (ignore.mjs), because callers switch on codes; and mutants that act while a
// module is loaded, because each would need its own process.
//
// These mutants survive:
// - Another way to the same answer: a check before another check that gives the same error (the commitment before the
//   tag, `instanceof` before a private field, the type of a key before its hash, the length of a name before its
//   form), a `case` that falls through to the same value, a cache, one more loop step over nothing, and the defaults
//   `?? ''` and `?? 0` for values that the types do not exclude.
// - Only memory and time change: bounds checked before something is allocated or normalised, a second hash that
//   nobody reads, a buffer that is copied although its room could be used, the batches of a pool, the fourth try of a
//   rotation.
// - Two devices at once, and stores whose answers are wrong at that moment (vault/rotation.ts, vault/store.ts).
//   test/crash, attacks/21 and the 60 runs of properties/rotation cover them. A mutation run has time for only 6 of
//   those runs.
// - The choice of a backend (primitives, legacy/des.ts). It is made once, while the tests are loaded, and every
//   backend gives the same bytes. probing.test.ts and backends.test.ts test it without mutants.
// - Wiping of a primitive's temporary values that no key object holds (primitives/portable.ts,
//   primitives/node-kem.ts, legacy/des.ts).
// - Code for another runtime: the scheduler of browsers, a JWK without its public half, an Argon2 that gets no
//   memory.
export default {
  plugins: ['./test/mutation/ignore.mjs', './test/mutation/runner.mjs'],
  testRunner: 'kept-vitest',
  mutate: [
    'src/**/*.ts',
    '!src/{index,vault,client,device,server,pool,recovery,fleet,legacy}.ts',
    '!src/core/errors.ts',
    '!src/pool/{worker,pool,member,pooled-block,work}.ts',
    '!src/core/threads.ts',
    '!src/server/hash-{queue,thread}.ts',
  ],
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  ignorers: ['texts of errors'],
  ignorePatterns: ['bench', 'api', 'docs', 'dist', 'coverage', 'examples/*/dist'],
  incremental: true,
  incrementalFile: 'coverage/mutation-incremental.json',
  reporters: ['progress-append-only', 'clear-text', 'json', 'html'],
  jsonReporter: { fileName: 'coverage/mutation.json' },
  htmlReporter: { fileName: 'coverage/mutation.html' },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  tempDirName: '.stryker-tmp',
  dryRunTimeoutMinutes: 15,
  // A mutant runs against at most sixteen seconds of tests (runner.mjs), however many there are.
  timeoutMS: 24_000,
  timeoutFactor: 0.2,
  thresholds: { high: 95, low: 90, break: 90 },
}
