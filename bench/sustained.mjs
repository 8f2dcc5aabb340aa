// Runs of many blocks, as in a backup, with the built package (dist) in a process of its own: the garbage collector's
// share depends on what else the process holds. Prints JSON. sustained.ts runs it.
//   node bench/sustained.mjs stream BYTES TOTAL-MIB [x25519]  ours beside the bare primitives in memory that is reused
//   node bench/sustained.mjs threads BYTES TOTAL-MIB N        a pool of N threads beside the calling thread
//   node bench/sustained.mjs rekey HEADS N                    the same for rekeying
//   node bench/sustained.mjs memory BYTES TOTAL-MIB N         the memory of one long stream; N threads, 0 for none
import { strict as assert } from 'node:assert'
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { PerformanceObserver } from 'node:perf_hooks'
import { createKeyset, openFrom, openWriter, rekeyBlocks, sealInto } from '../dist/index.js'
import { createPool } from '../dist/pool.js'

const MIB = 1024 * 1024
const CHUNK = 128 * 1024
const TURN_BYTES = 256 * MIB
const [KEY, IV, AAD] = [new Uint8Array(32).fill(1), new Uint8Array(12), new Uint8Array(32)]

const [task, ...numbers] = process.argv.slice(2)
const [first = 0, second = 0, third = 0] = numbers.map(Number)

const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const encryption = numbers.includes('x25519') ? 'x25519' : 'hybrid'
const keyset = await createKeyset('password', { encryption, costs })
const writer = openWriter(keyset.export('host'), { encryption })

const contentOf = (bytes) => new Uint8Array(bytes).map((_, index) => index * 31 + (index >> 8))
const median = (values) => [...values].sort((one, other) => one - other)[values.length >> 1]
const rounded = (value, digits) => Number(value.toFixed(digits))

/** A store that keeps nothing, so that the stream alone is measured. */
const sink = { copiesBytes: true, has: async () => false, put: async () => true }

/** A store that gives one block, each time in memory of its own, as a file system does. */
const source = (block) => ({
  copiesBytes: true,
  get: async () => ({ ...block, ciphertext: new Uint8Array(block.ciphertext) }),
})

async function* repeated(content, count) {
  for (let made = 0; made < count; made++) yield content
}

let collected = 0
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collected += duration
}).observe({ entryTypes: ['gc'] })

/** Runs a piece of work. Returns its milliseconds, and those that the garbage collector took of them. */
async function timed(run) {
  collected = 0
  const start = performance.now()
  await run()
  const taken = performance.now() - start
  // The runtime reports collections a little later.
  await new Promise((resolve) => setTimeout(resolve, 20))
  return { taken, collected }
}

/** Lets two pieces of work take turns. */
async function takeTurns(ours, theirs, turns) {
  await ours()
  await theirs()
  const found = []
  for (let turn = 0; turn < turns; turn++) {
    const [one, other] = turn % 2 === 0 ? [ours, theirs] : [theirs, ours]
    const pair = [await timed(one), await timed(other)]
    found.push(turn % 2 === 0 ? pair : pair.reverse())
  }
  const side = (index) => ({
    milliseconds: median(found.map((pair) => pair[index].taken)),
    collections: rounded(
      (100 * found.reduce((sum, pair) => sum + pair[index].collected, 0)) /
        found.reduce((sum, pair) => sum + pair[index].taken, 0),
      1,
    ),
  })
  return { ours: side(0), theirs: side(1), ratio: rounded(median(found.map(([a, b]) => b.taken / a.taken)), 2) }
}

function bareSeal(content, buffer) {
  const hash = createHash('sha256')
  for (let start = 0; start < content.length; start += CHUNK) hash.update(content.subarray(start, start + CHUNK))
  hash.digest()
  const cipher = createCipheriv('aes-256-gcm', KEY, IV)
  cipher.setAAD(AAD)
  for (let start = 0; start < content.length; start += CHUNK) {
    buffer.set(cipher.update(content.subarray(start, start + CHUNK)), start)
  }
  cipher.final()
  return cipher.getAuthTag()
}

function bareOpen(sealed, tag, buffer) {
  const decipher = createDecipheriv('aes-256-gcm', KEY, IV, { authTagLength: 16 })
  decipher.setAAD(AAD)
  decipher.setAuthTag(tag)
  for (let start = 0; start < sealed.length; start += CHUNK) {
    buffer.set(decipher.update(sealed.subarray(start, start + CHUNK)), start)
  }
  decipher.final()
  const hash = createHash('sha256')
  for (let start = 0; start < buffer.length; start += CHUNK) hash.update(buffer.subarray(start, start + CHUNK))
  hash.digest()
}

const sealing = (to, content, count, options) => async () => {
  let seen = 0
  for await (const { size } of sealInto(sink, to, repeated(content, count), options)) seen += size
  assert.equal(seen, count * content.length)
}

async function stream(bytes, total) {
  const content = contentOf(bytes)
  const count = Math.max(1, Math.round(TURN_BYTES / bytes))
  const turns = Math.max(3, Math.round((total * MIB) / TURN_BYTES))
  const block = await writer.seal(content)
  assert.equal(Buffer.compare(await keyset.open(block), content), 0, 'the opened block has the sealed content')
  const buffer = new Uint8Array(bytes)
  const tag = bareSeal(content, buffer)
  const sealed = new Uint8Array(buffer)
  // Both sides get what they open in new memory.
  const bareOpening = () => bareOpen(new Uint8Array(sealed), tag, buffer)
  const bare = (work) => async () => {
    for (let made = 0; made < count; made++) work()
  }
  const refs = Array.from({ length: count }, () => block.label)
  const opening = async () => {
    let seen = 0
    for await (const { length } of openFrom(source(block), keyset, refs)) seen += length
    assert.equal(seen, count * bytes)
  }
  const rows = {
    seal: await takeTurns(
      sealing(writer, content, count),
      bare(() => bareSeal(content, buffer)),
      turns,
    ),
    open: await takeTurns(opening, bare(bareOpening), turns),
  }
  return Object.entries(rows).map(([work, { ours, theirs, ratio }]) => ({
    work,
    bytes,
    encryption,
    totalMiB: (turns * count * bytes) / MIB,
    milliseconds: rounded(ours.milliseconds / count, 3),
    bareMilliseconds: rounded(theirs.milliseconds / count, 3),
    ratio,
    collections: ours.collections,
    bareCollections: theirs.collections,
  }))
}

async function threads(bytes, total, count) {
  const pool = createPool({ threads: count })
  const content = contentOf(bytes)
  const blocks = Math.max(1, Math.round(TURN_BYTES / bytes))
  const turns = Math.max(3, Math.round((total * MIB) / TURN_BYTES))
  const pooled = pool.writer(writer)
  const block = await pooled.seal(content)
  assert.equal(Buffer.compare(await keyset.open(block), content), 0, 'the opened block has the sealed content')
  const together = sealing(pooled, content, blocks, { ahead: 2 * count })
  const { ratio } = await takeTurns(together, sealing(writer, content, blocks), turns)
  await pool.close()
  return { work: 'seal', bytes, threads: count, totalMiB: (turns * blocks * bytes) / MIB, gain: ratio }
}

async function rekey(heads, count) {
  const pool = createPool({ threads: count })
  const regenerated = keyset.regenerate()
  const few = await Promise.all(Array.from({ length: 100 }, (_, index) => writer.seal(Uint8Array.of(index))))
  const blocks = {
    async *heads() {
      for (let made = 0; made < heads; made++) yield few[made % few.length]
    },
    replaceEnvelope: async () => true,
  }
  const run = (rekeyer) => async () => {
    const { rekeyed, failed } = await rekeyBlocks(blocks, rekeyer)
    assert.deepEqual([rekeyed, failed], [heads, []])
  }
  const { ratio, theirs } = await takeTurns(run(pool.rekeyer(regenerated)), run(regenerated), 7)
  await pool.close()
  regenerated.dispose()
  return {
    work: 'rekey',
    heads,
    threads: count,
    perSecond: Math.round((1000 * heads) / theirs.milliseconds),
    gain: ratio,
  }
}

async function memory(bytes, total, count) {
  const pool = count === 0 ? undefined : createPool({ threads: count })
  const content = contentOf(bytes)
  const to = pool === undefined ? writer : pool.writer(writer)
  const ahead = 4
  await sealing(to, content, 8, { ahead })()
  const before = process.memoryUsage.rss()
  const blocks = Math.round((total * MIB) / bytes)
  const peaks = []
  let peak = 0
  let seen = 0
  for await (const _ of sealInto(sink, to, repeated(content, blocks), { ahead })) {
    peak = Math.max(peak, process.memoryUsage.rss() - before)
    if (++seen % Math.ceil(blocks / 10) === 0 || seen === blocks) {
      peaks.push(Math.round(peak / MIB))
      peak = 0
    }
  }
  await pool?.close()
  return {
    bytes,
    threads: count,
    totalGiB: rounded((blocks * bytes) / 1024 / MIB, 1),
    rssMiB: Math.round(before / MIB),
    allowedMiB: Math.round(((ahead + 2 * count) * bytes) / MIB) + 64,
    grownMiBInEachTenth: peaks,
  }
}

const tasks = {
  stream: () => stream(first, second),
  threads: () => threads(first, second, third),
  rekey: () => rekey(first, second),
  memory: () => memory(first, second, third),
}
if (!Object.hasOwn(tasks, task)) throw new Error(`no task ${task}: use one of ${Object.keys(tasks).join(', ')}`)
console.log(JSON.stringify(await tasks[task]()))
keyset.dispose()
writer.dispose()
