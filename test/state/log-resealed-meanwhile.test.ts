// An owner reseals a log, and drops the old epoch, right after a reader has found the end of the log.
import { describe, expect, it } from 'vitest'
import { SecretKey } from '../../src/core/secret.ts'
import { openLog } from '../../src/index.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { all } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'

const vault = new OpenedVault(new Uint8Array(16), new SecretKey('data', new Uint8Array(32).fill(1)))
const content = (byte: number) => new Uint8Array([byte])

/** Returns a log that an owner has resealed once, and will reseal again after the nth read of its epoch. */
async function resealedAfter(reads: number) {
  const store = memoryStateStore()
  const owner = openLog(store, 'x', vault)
  const positions: string[] = []
  for (let byte = 0; byte < 6; byte++) positions.push(await owner.append(content(byte)))
  const atLeast = positions[3]!
  const [, , , , first, second] = positions
  await owner.reseal({ atLeast, leaveOut: [first!] })
  let left = reads
  const resealOnce = async () => {
    if (left-- === 0) await owner.reseal({ atLeast, leaveOut: [second!] })
  }
  const watched: StateStore = {
    ...store,
    async read(name) {
      const found = await store.read(name)
      if (name.endsWith('/1')) await resealOnce()
      return found
    },
    async readVersion(name, version) {
      const found = await store.readVersion(name, version)
      if (name.endsWith('/1')) await resealOnce()
      return found
    },
    write: (name, version, bytes) => store.write(name, version, bytes),
    drop: (name, below) => store.drop(name, below),
  }
  delete watched.readVersions
  return { log: openLog(watched, 'x', vault), atLeast, kept: positions.slice(0, 4) }
}

describe.each(Array.from({ length: 20 }, (_, reads) => reads))('a reseal after read %i of the epoch', (reads) => {
  withoutPauses()

  it('hides nothing from a reader', async () => {
    const { log, kept } = await resealedAfter(reads)
    const found = (await all(log.read())).map(({ position }) => position)
    expect(found.filter((position) => kept.includes(position))).toEqual(kept)
  })

  it('hides nothing from a reader that knows a position', async () => {
    const { log, atLeast, kept } = await resealedAfter(reads)
    const found = (await all(log.read({ after: kept[1]!, atLeast }))).map(({ position }) => position)
    expect(found.filter((position) => kept.includes(position))).toEqual(kept.slice(2))
  })

  it('does not hide the last record', async () => {
    const { log } = await resealedAfter(reads)
    expect((await log.last())?.content[0]).toBeGreaterThanOrEqual(3)
  })

  it('does not hide the last record from a reader that knows a position', async () => {
    const { log, atLeast } = await resealedAfter(reads)
    expect((await log.last({ atLeast }))?.content[0]).toBeGreaterThanOrEqual(3)
  })
})
