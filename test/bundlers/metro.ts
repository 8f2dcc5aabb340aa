// Metro with the settings of React Native, and Hermes. Its compiler checks that the syntax is one that a phone runs.
// The bundle itself runs here in V8, in a context that has the language and nothing else but what an app has to provide.
import { strict as assert } from 'node:assert'
import { webcrypto } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { assertRoundTrip, output } from './outcome.ts'

/** What React Native has, and what docs/threads.md says that an app must add: randomness, and TextDecoder before 0.85. */
const PROVIDED = {
  crypto: { getRandomValues: (bytes: Uint8Array) => webcrypto.getRandomValues(bytes) },
  TextEncoder,
  TextDecoder,
  setTimeout,
  clearTimeout,
  console,
}

/** Newer parts of the language, which Hermes does not have and V8 has. */
const NOT_IN_HERMES = `
  delete String.prototype.isWellFormed
  delete String.prototype.toWellFormed
  delete Array.fromAsync
  delete Promise.withResolvers
  delete Object.groupBy
  delete ArrayBuffer.prototype.transfer
  delete globalThis.SharedArrayBuffer
  delete globalThis.WebAssembly
  delete Symbol.dispose
  delete Symbol.asyncDispose`

/** React Native has no threads for JavaScript. Its entry of the pool says so, and has no import.meta. */
const NO_POOL = 'TypeError: React Native has no worker threads: seal and open without a pool'

export async function checkMetro(folder: string): Promise<string[]> {
  await output(folder, process.execPath, ['build.cjs'])
  const hermesc = join(folder, 'node_modules/hermes-compiler/hermesc/linux64-bin/hermesc')
  await output(folder, hermesc, ['-O', '-w', '-emit-binary', '-out', 'bundle.hbc', 'bundle.js'])

  const context = createContext({ ...PROVIDED })
  runInContext(NOT_IN_HERMES, context)
  runInContext(readFileSync(join(folder, 'bundle.js'), 'utf8'), context)
  const { entries, result } = context as { entries: number[]; result: Promise<object> }
  assert.ok(entries.length === 6 && entries.every((count) => count > 0))
  const found = await result
  assertRoundTrip(found)
  assert.deepEqual({ pool: (found as { pool?: unknown }).pool }, { pool: NO_POOL })
  const [bundle, bytecode] = ['bundle.js', 'bundle.hbc'].map((name) => statSync(join(folder, name)).size)
  return [`bundle of ${bundle} bytes, ${bytecode} as bytecode of Hermes; works; a pool is refused`]
}
