// npm run mutation [-- --mutate 'src/keys/*.ts']: changes the source in thousands of ways, one at a time, and counts the changes that no
// test notices. The report is coverage/mutation.html.
//
// Not mutated: the files that only export; errors.ts, whose texts are for people; what shares work among threads: the runner
// switches changes on in one thread (the workers of pools work in that one too, same-thread.ts), and most changes there show as
// something that waits for ever.
// Left out: texts of errors and names of roles (ignore.mjs), because callers switch on codes; changes that act while a module is loaded, because each would
// need a process of its own.
//
// What survives, and why:
// - Another way to the same answer: a check in front of one that gives the same error (the commitment in front of the tag, `instanceof` in front of
//   a private field, the type of a key in front of its hash, the length of a name in front of its form), a case of `switch` that falls through to the
//   same value, a cache, the last step of a loop over nothing, `?? ''` and `?? 0` for what the types do not exclude.
// - Memory and time alone: bounds before something is allocated or normalised, a second hash that nobody reads, room that is not taken over, lots of a
//   pool, the fourth try of a rotation.
// - Two devices at once, and stores that lie in the moment (rotation.ts, vault-store.ts): test/crash, attacks/21 and the 60 runs of properties/rotation meet
//   them; here there is time for 6.
// - Who computes (backend-*.ts, des.ts, node-*.ts): it is decided once, while the tests are loaded, and every backend gives the same bytes. probing.test.ts and
//   backends.test.ts watch it without mutants.
// - Wiping of what a primitive needed and no key holds (backend-portable.ts, node-kem.ts, des.ts).
// - What only another runtime has: the scheduler of browsers, a JWK without its public half, memory that Argon2 does not get.
export default {
  plugins: ['./test/mutation/ignore.mjs', './test/mutation/runner.mjs'],
  testRunner: 'kept-vitest',
  mutate: [
    'src/**/*.ts',
    '!src/{index,server,legacy,pool,errors}.ts',
    '!src/pool/{worker,threads,pool,member,pooled-block,work}.ts',
  ],
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  ignorers: ['texts of errors'],
  ignorePatterns: ['bench', 'docs', 'dist', 'coverage', 'examples/browser/dist'],
  incremental: true,
  incrementalFile: 'coverage/mutation-incremental.json',
  reporters: ['progress-append-only', 'clear-text', 'json', 'html'],
  jsonReporter: { fileName: 'coverage/mutation.json' },
  htmlReporter: { fileName: 'coverage/mutation.html' },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  tempDirName: '.stryker-tmp',
  dryRunTimeoutMinutes: 15,
  // A mutant meets no more than sixteen seconds of tests (runner.mjs), however many there are.
  timeoutMS: 24_000,
  timeoutFactor: 0.2,
  thresholds: { high: 95, low: 90, break: 90 },
}
