// npm run mutation [-- --mutate 'src/keys/*.ts']: changes the source in thousands of ways, one at a time, and counts the changes that no
// test notices. The report is coverage/mutation.html.
//
// Not mutated: the files that only export; errors.ts, whose texts are for people; what shares work among threads: the runner
// switches changes on in one thread (the workers of pools work in that one too, same-thread.ts), and most changes there show as
// something that waits for ever.
// Left out: texts of errors and names of roles (ignore.mjs), because callers switch on codes; changes that act while a module is loaded, because each would
// need a process of its own.
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
