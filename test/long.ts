// What npm test leaves out, so that it takes less than three minutes. npm run test:long runs it, and CI runs both. A run
// that names files, such as `npm test -- test/crash`, leaves out nothing.

interface Long {
  readonly files: string
  readonly reason: string
}

export const LONG: readonly Long[] = [
  { files: 'test/attacks/{04,21,25}-*.test.ts', reason: 'tries many orders, and searches whole stores' },
  { files: 'test/crash/**', reason: 'kills processes again and again' },
  { files: 'test/docs/**', reason: 'compiles and runs the code of the guides' },
  { files: 'test/docstrings.test.ts', reason: 'compiles and runs the examples of the docstrings' },
  { files: 'test/examples/**', reason: 'runs the programs of the examples, with servers' },
  { files: 'test/failing-primitive.test.ts', reason: 'lets every call of a primitive fail' },
  { files: 'test/fuzz/**', reason: 'gives many random bytes to each reader' },
  { files: 'test/models/**', reason: 'tries many orders of calls and faults' },
  { files: 'test/pool/starting.test.ts', reason: 'starts programs by the command line of Node' },
  { files: 'test/properties/**', reason: 'tries random histories of many machines' },
  { files: 'test/realms.test.ts', reason: 'calls everything from another realm' },
  { files: 'test/server/credential.test.ts', reason: 'hashes many passwords' },
  { files: 'test/server/hash-*.test.ts', reason: 'starts threads and programs of a server' },
  { files: 'test/stores/folder-orders.test.ts', reason: 'tries many orders of calls' },
  { files: 'test/stores/{postgres,s3}.test.ts', reason: 'starts servers' },
  { files: 'test/vault/{rotation,stored-profile}.test.ts', reason: 'stops a device at each call, beside many others' },
  { files: 'test/vectors/second-reader.test.ts', reason: 'reads every vector again, with readers that are slow' },
  { files: 'test/wiping.test.ts', reason: 'searches the memory of every operation for keys' },
]
