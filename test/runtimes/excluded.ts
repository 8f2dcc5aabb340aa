// The test files that a runtime leaves out, and why. A file that is not listed here runs on every runtime.

interface Exclusion {
  readonly file: string
  readonly reason: string
}

const browsers = [
  {
    file: 'test/conformance/**',
    reason: 'reads the public vectors from a folder, and runs on Node with the same three backends',
  },
  { file: 'test/crash/**', reason: 'kills child processes that write to a disk' },
  { file: 'test/soak/**', reason: 'reads journals that processes write to a disk' },
  { file: 'test/examples/**', reason: 'the examples are programs for Node, with files, a command line and a database' },
  { file: 'test/attacks/04-storage-reader.test.ts', reason: 'scans a repository that an example wrote to a disk' },
  { file: 'test/layers.test.ts', reason: 'reads the source files' },
  { file: 'test/every-{error,option}.test.ts', reason: 'reads the source files' },
  { file: 'test/core/missing-memory.test.ts', reason: 'limits the memory of a child process' },
  { file: 'test/realms.test.ts', reason: 'makes another realm with node:vm' },
  { file: 'test/pool/starting.test.ts', reason: 'starts programs by the command line of Node' },
  { file: 'test/readme.test.ts', reason: 'compiles the code of README.md with the TypeScript compiler' },
  { file: 'test/docs/*.test.ts', reason: 'compiles the code of the guides with the TypeScript compiler' },
  { file: 'test/docstrings.test.ts', reason: 'compiles the examples in docstrings with the TypeScript compiler' },
  { file: 'test/fuzz/**', reason: 'Node 20 fuzzes the same parsers, and CI does so for a minute more' },
  { file: 'test/documents.test.ts', reason: 'reads the documents' },
  { file: 'test/stores/restore-by-spec.test.ts', reason: 'a browser has no folders for this adapter' },
  { file: 'test/spec-appendix.test.ts', reason: 'reads the source files with the TypeScript compiler' },
  { file: 'test/exhaustive.test.ts', reason: 'compiles changed source with the TypeScript compiler' },
  { file: 'test/primitives/probing.test.ts', reason: 'removes parts of node:crypto' },
  { file: 'test/primitives/node-hkdf.test.ts', reason: 'needs the hashes of node:crypto' },
  { file: 'test/models/**', reason: 'the explorer schedules with setImmediate, and measures processor time' },
  { file: 'test/surface.test.ts', reason: 'imports every entry, the adapter for folders too' },
  { file: 'test/stores/{folder,folder-orders}.test.ts', reason: 'a browser has no folders for this adapter' },
  { file: 'test/stores/{postgres,s3}.test.ts', reason: 'starts a server, and programs that write to it' },
  { file: 'test/stores/pglite.test.ts', reason: 'runs a database, as a program does on a server' },
  { file: 'test/stores/bucket.test.ts', reason: 'answers the SDK by streams of node:stream' },
  { file: 'test/stores/{http,serve}.test.ts', reason: 'starts a server of node:http' },
  { file: 'test/server/hash-{queue,process}.test.ts', reason: 'starts threads and programs of a server' },
  { file: 'test/server/bcrypt-native.test.ts', reason: 'loads native packages' },
]

/** What a runtime leaves out that is no browser. Node's usual test run skips it visibly. */
const outsideBrowsers = [{ file: 'test/stores/indexeddb.test.ts', reason: 'needs IndexedDB, which only browsers have' }]

/** What needs a server that is no part of JavaScript. It behaves the same for every runtime. */
const servers = [
  { file: 'test/stores/{postgres,s3}.test.ts', reason: 'starts a server, which the usual run on Node 20 has tested' },
  { file: 'test/stores/pglite.test.ts', reason: 'runs a database, which the usual run on Node 20 has tested' },
  {
    file: 'test/examples/{storage-processes,fleet,fleet-*}.test.ts',
    reason: 'starts a server, which the usual run on Node 20 has tested',
  },
]

const programs = [
  { file: 'test/pool/starting.test.ts', reason: 'starts programs by the command line of Node' },
  { file: 'test/stores/folder.test.ts', reason: 'starts programs by the command line of Node' },
  {
    file: 'test/server/hash-process.test.ts',
    reason: 'starts programs by the command line of Node, and counts threads',
  },
]

/** What does not run the library. */
const withoutLibrary = [
  { file: 'test/mutation/**', reason: 'reads the source files, which the usual run on Node 20 has done' },
  {
    file: 'test/vectors/second-reader.test.ts',
    reason: 'runs only the readers written from SPEC.md, which the usual run on Node 20 has tested',
  },
]

export const EXCLUDED: Readonly<Record<string, readonly Exclusion[]>> = {
  chromium: [...browsers, ...withoutLibrary],
  firefox: [...browsers, ...withoutLibrary],
  ...Object.fromEntries(
    ['node22', 'node24', 'node26'].map((name) => [name, [...outsideBrowsers, ...servers, ...withoutLibrary]]),
  ),
  ...Object.fromEntries(
    ['bun', 'deno'].map((name) => [name, [...outsideBrowsers, ...servers, ...programs, ...withoutLibrary]]),
  ),
}
