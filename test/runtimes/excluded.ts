// Which files of the suite do not run where, and why. Whatever is not named here runs on every runtime.

interface Exclusion {
  readonly file: string
  readonly reason: string
}

const chromium = [
  {
    file: 'test/conformance/**',
    reason: 'reads the public vectors from a folder; runs on Node, on the same three backends',
  },
  { file: 'test/crash/**', reason: 'kills child processes that write to a disk' },
  { file: 'test/examples/**', reason: 'the examples are programs for Node: files, a command line, a database' },
  { file: 'test/attacks/04-storage-reader.test.ts', reason: 'scans a repository that an example wrote to a disk' },
  { file: 'test/layers.test.ts', reason: 'reads the source itself' },
  { file: 'test/readme.test.ts', reason: 'compiles the code of README.md by the compiler of TypeScript' },
  { file: 'test/docstrings.test.ts', reason: 'compiles the examples of docstrings by the compiler of TypeScript' },
  { file: 'test/primitives/probing.test.ts', reason: 'takes parts of node:crypto away' },
]

export const EXCLUDED: Readonly<Record<string, readonly Exclusion[]>> = { chromium: chromium }
