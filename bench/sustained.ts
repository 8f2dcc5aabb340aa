// Sustained runs, as in a backup: block after block, collections included, beside the bare primitives in memory that is
// reused. Ours and theirs take turns in one process, a quarter of a GiB each time.
import { strict as assert } from 'node:assert'
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { PerformanceObserver } from 'node:perf_hooks'
import { type Keyset, openFrom, openWriter, type SealedBlock, sealInto } from '../src/index.ts'
import type { Blocks } from '../src/stores.ts'
import { contentOf } from './bare.ts'
import { median } from './measure.ts'

export interface SustainedRow {
  work: 'seal' | 'open'
  /** The size of a block's content. */
  bytes: number
  /** How many bytes went through each side. */
  total: number
  /** The time for one block in ours and in the bare primitives: medians of the turns. */
  milliseconds: number
  bareMilliseconds: number
  /** The bare time divided by ours: the median of the turns. */
  ratio: number
  /** The part of our time that the garbage collector took, in percent. */
  collections: number
  bareCollections: number
}

const TURN_BYTES = 256 * 1024 * 1024

/** A store that keeps nothing: it measures the stream alone. */
function sink(): Blocks & { last: SealedBlock | undefined } {
  const blocks = {
    copiesBytes: true,
    last: undefined as SealedBlock | undefined,
    has: async () => false,
    put: async (block: SealedBlock) => {
      blocks.last = block
      return true
    },
  }
  return blocks as unknown as ReturnType<typeof sink>
}

/** A store that gives one block, each time in memory of its own, as a file system does. */
const source = (block: SealedBlock): Pick<Blocks, 'get'> & { copiesBytes: true } => ({
  copiesBytes: true,
  get: async () => ({ ...block, ciphertext: new Uint8Array(block.ciphertext) }),
})

/** How many milliseconds the garbage collector has taken in this thread. */
function watchCollections(): { milliseconds: () => Promise<number>; end: () => void } {
  let total = 0
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) total += duration
  })
  observer.observe({ entryTypes: ['gc'] })
  const milliseconds = async () => {
    // The runtime reports them a little later.
    await new Promise((resolve) => setTimeout(resolve, 20))
    return total
  }
  return { milliseconds, end: () => observer.disconnect() }
}

const CHUNK = 128 * 1024
const [KEY, IV, AAD] = [new Uint8Array(32).fill(1), new Uint8Array(12), new Uint8Array(32)]

/** The hash and the cipher of one block, written into one buffer that is reused. Returns the tag. */
function bareSeal(content: Uint8Array, buffer: Uint8Array): Buffer {
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

/** The other way round. */
function bareOpen(sealed: Uint8Array, tag: Buffer, buffer: Uint8Array): void {
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

export async function benchSustained(keyset: Keyset, bytes: number, total: number): Promise<SustainedRow[]> {
  const writer = openWriter(keyset.export('host'), { encryption: 'hybrid' })
  const content = contentOf(bytes)
  const count = Math.max(1, Math.round(TURN_BYTES / bytes))
  async function* contents() {
    for (let made = 0; made < count; made++) yield content
  }
  const block = await writer.seal(content)
  const blocks = sink()
  const sealed = async () => {
    let seen = 0
    for await (const { size } of sealInto(blocks, writer, contents())) seen += size
    assert.equal(seen, count * bytes)
  }
  const buffer = new Uint8Array(bytes)
  const tag = bareSeal(content, buffer)
  const kept = new Uint8Array(buffer)
  const bare = async () => {
    for (let made = 0; made < count; made++) bareSeal(content, buffer)
  }
  await sealed()
  assert.equal(Buffer.compare(await keyset.open(block), content), 0, 'the opened block has the sealed content')

  const refs = Array.from({ length: count }, () => block.label)
  const stored = source(block)
  const opened = async () => {
    let seen = 0
    for await (const { length } of openFrom(stored, keyset, refs)) seen += length
    assert.equal(seen, count * bytes)
  }
  const bareOpened = async () => {
    for (let made = 0; made < count; made++) bareOpen(kept, tag, buffer)
  }
  const rows = [
    await row('seal', bytes, total, count, sealed, bare),
    await row('open', bytes, total, count, opened, bareOpened),
  ]
  writer.dispose()
  return rows
}

async function row(
  work: SustainedRow['work'],
  bytes: number,
  total: number,
  count: number,
  ours: () => Promise<void>,
  bare: () => Promise<void>,
): Promise<SustainedRow> {
  const collections = watchCollections()
  const timed = async (run: () => Promise<void>) => {
    const before = await collections.milliseconds()
    const start = performance.now()
    await run()
    const taken = performance.now() - start
    return { taken, collected: (await collections.milliseconds()) - before }
  }
  await ours()
  await bare()
  const turns: { ours: Awaited<ReturnType<typeof timed>>; bare: Awaited<ReturnType<typeof timed>> }[] = []
  for (let turn = 0; turn < Math.max(3, Math.round(total / TURN_BYTES)); turn++) {
    turns.push(turn % 2 === 0 ? { ours: await timed(ours), bare: await timed(bare) } : await bareFirst(timed, ours, bare))
  }
  collections.end()
  const part = (side: 'ours' | 'bare') =>
    Number(
      (
        (100 * turns.reduce((sum, each) => sum + each[side].collected, 0)) /
        turns.reduce((sum, each) => sum + each[side].taken, 0)
      ).toFixed(1),
    )
  return {
    work,
    bytes,
    total: turns.length * count * bytes,
    milliseconds: Number((median(turns.map((each) => each.ours.taken)) / count).toFixed(3)),
    bareMilliseconds: Number((median(turns.map((each) => each.bare.taken)) / count).toFixed(3)),
    ratio: Math.round(100 * median(turns.map((each) => each.bare.taken / each.ours.taken))) / 100,
    collections: part('ours'),
    bareCollections: part('bare'),
  }
}

async function bareFirst<T>(
  timed: (run: () => Promise<void>) => Promise<T>,
  ours: () => Promise<void>,
  bare: () => Promise<void>,
): Promise<{ ours: T; bare: T }> {
  const second = await timed(bare)
  return { ours: await timed(ours), bare: second }
}
