// The process that is searched, and the one that lists what to search for. Both draw the same random bytes, so both
// make the same keys; only the second one writes them down. node --expose-gc <this> <kind> [<snapshot>]
import { readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeHeapSnapshot } from 'node:v8'
import { kinds } from './kinds.ts'
import type { Secret } from './needles.ts'

type Record = (role: string, bytes: Uint8Array) => void

const [kind = '', snapshot] = process.argv.slice(2)
const state = Uint32Array.from(`keystrata ${kind}`.padEnd(16), (character) => character.charCodeAt(0)).slice(0, 4)
for (const character of kind) state[3] = Math.imul(state[3]! ^ character.charCodeAt(0), 0x01000193)

/** Random bytes that every run repeats (xorshift128; Marsaglia 2003). They are written straight into the array. */
function repeat(bytes: Uint8Array): Uint8Array {
  for (let index = 0; index < bytes.length; index++) {
    let mixed = state[3]!
    mixed ^= mixed << 11
    mixed ^= mixed >>> 8
    state.copyWithin(1, 0, 3)
    state[0] = mixed ^ state[1]! ^ (state[1]! >>> 19)
    bytes[index] = state[0] >>> 13
  }
  return bytes
}

const secrets: Secret[] = []
const record: Record = (role, bytes) => {
  const site = (new Error().stack ?? '')
    .split('\n')
    .find((line) => line.includes('src/') && !/SecretKey|Function\.(take|adopt)|record/.test(line))
  secrets.push({ role, hex: Buffer.from(bytes).toString('hex'), site: site?.trim() ?? '' })
}

Object.defineProperty(globalThis.crypto, 'getRandomValues', {
  value(bytes: Uint8Array) {
    repeat(bytes)
    if (snapshot === undefined && new Error().stack?.includes('encapsulate') === true) record('ephemeral', bytes)
    return bytes
  },
})
if (snapshot === undefined) Object.assign(globalThis, { recordKey: record })

await kinds[kind]!()

if (snapshot === undefined) {
  writeSync(1, JSON.stringify(secrets))
} else {
  for (let collections = 0; collections < 6; collections++) {
    await sleep(20)
    globalThis.gc!()
  }
  writeSync(1, 'ready')
  readSync(0, new Uint8Array(1))
  writeHeapSnapshot(snapshot)
  writeSync(1, 'done')
  readSync(0, new Uint8Array(1))
}
process.exit()
