// The package finds the file of its own threads, and idle threads do not keep this program running.
import { strict as assert } from 'node:assert'
import { verifyCredential } from 'keystrata/server'
import { memoryStateStore } from 'keystrata/stores'

const threads = []
process.on('worker', (thread) => threads.push(thread))
assert.equal(await verifyCredential(memoryStateStore(), 'A'.repeat(32)), false)
// Only Node reports threads. One that could not start is over, and has no id any more.
const isNode = process.versions.bun === undefined && process.versions.deno === undefined
if (isNode) assert.ok(threads.length > 0 && threads.every(({ threadId }) => threadId > 0), 'no thread has started')
