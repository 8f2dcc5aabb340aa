// How cost grows: with the size of a block, with the number of shares that it is sealed for, with the number of envelopes.
import { type Keyset, openWriter } from '../src/index.ts'
import { strict as assert } from 'node:assert'
import { timeEach } from './measure.ts'

export interface RecipientRow {
  /** Shares that the block is sealed for, beside its owner. */
  shares: number
  microseconds: number
}

const COUNTS = [0, 1, 2, 4, 8, 16, 32, 64]

export async function benchRecipients(keyset: Keyset, rounds: number): Promise<RecipientRow[]> {
  let reader = keyset
  while (openWriter(reader.export('host')).shares.length < 64) reader = reader.createShare().keyset
  const writer = openWriter(reader.export('host'), { encryption: 'hybrid' })
  const content = new Uint8Array(4096).fill(9)
  const { shared } = await writer.seal(content, { shares: writer.shares })
  assert.equal(shared?.size, 64)
  const works = COUNTS.map((count) => () => writer.seal(content, { shares: writer.shares.slice(0, count) }))
  const times = await timeEach(works, rounds)
  return COUNTS.map((shares, index) => ({ shares, microseconds: Math.round(1000 * times[index]!) }))
}

/**
 * The power of n with which cost grows from one point to another: 1 where it is linear.
 * @param points by growing n; what a cost of 0 things takes is left out of all of them
 */
export function exponent(points: readonly { n: number; cost: number }[], from: number, to: number): number {
  const fixed = points.find(({ n }) => n === 0)?.cost ?? 0
  const at = (wanted: number) => points.find(({ n }) => n === wanted)!.cost - fixed
  return Math.round((100 * Math.log(at(to) / at(from))) / Math.log(to / from)) / 100
}
