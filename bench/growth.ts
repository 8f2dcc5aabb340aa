// How the cost grows with the size of a block, the number of shares that it is sealed for, and the number of envelopes.
import { type Keyset, openWriter } from '../src/index.ts'
import { strict as assert } from 'node:assert'
import { timeEach } from './measure.ts'

export interface RecipientRow {
  /** The number of shares that the block is sealed for, in addition to its owner. */
  shares: number
  microseconds: number
}

const COUNTS = [0, 1, 2, 4, 8, 16, 32, 64]

export async function benchRecipients(keyset: Keyset, rounds: number): Promise<RecipientRow[]> {
  let reader = keyset
  while (reader.shares.length < 64) reader = reader.createShare().keyset
  const writer = openWriter(reader.export('host'), { encryption: 'hybrid' })
  const content = new Uint8Array(4096).fill(9)
  const { shared } = await writer.seal(content, { shares: writer.shares })
  assert.equal(shared?.size, 64)
  const works = COUNTS.map((count) => () => writer.seal(content, { shares: writer.shares.slice(0, count) }))
  const times = await timeEach(works, rounds)
  return COUNTS.map((shares, index) => ({ shares, microseconds: Math.round(1000 * times[index]!) }))
}

/**
 * Returns the exponent of the growth between two points: the cost grows like n to this power. 1 is linear.
 * @param points the cost for each n. If there is a point for n = 0, its cost is subtracted from the others
 */
export function exponent(points: readonly { n: number; cost: number }[], from: number, to: number): number {
  const fixed = points.find(({ n }) => n === 0)?.cost ?? 0
  const at = (wanted: number) => points.find(({ n }) => n === wanted)!.cost - fixed
  return Math.round((100 * Math.log(at(to) / at(from))) / Math.log(to / from)) / 100
}
