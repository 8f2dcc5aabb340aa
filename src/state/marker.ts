// What the two markers of a log say (SPEC §7.4). A close ends the copies at the beginning of an epoch, and accounts for
// every number before it. A seal-off ends an epoch, and names the one that follows.
import { bytes, type Codec, decode, encode, list, struct, uint32, uint64, version, within } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import type { Bytes } from '../core/bytes.ts'
import type { Position } from './record-layout.ts'

/** Numbers from the first to the last, both included. */
export interface NumberRange {
  readonly first: number
  readonly last: number
}

/** An epoch that was resealed. */
export interface FormerEpoch {
  readonly epoch: number
  /** How many versions it had before its seal-off. */
  readonly count: number
  /** The last content record that was taken over; zeros if none was. */
  readonly last: Position
  /** The numbers that were left out. */
  readonly leftOut: readonly NumberRange[]
}

export interface Close {
  /** All epochs before this one, the oldest first. */
  readonly former: readonly FormerEpoch[]
  /** The last content record of this epoch; zeros if there is none. */
  readonly last: Position
}

export interface SealOff {
  /** The epoch that follows. */
  readonly epoch: number
  /** The sequence of the close in that epoch. */
  readonly sequence: number
}

/** The most ranges that fit into one record. A longer list would take more memory than its bytes. */
const MAX_RANGES = 4_000_000

const position: Codec<Position> = struct({ number: uint64, id: bytes(16) })

const close: Codec<Close> = struct({
  former: list(
    struct<FormerEpoch>({
      epoch: uint32,
      count: uint64,
      last: position,
      leftOut: list(struct<NumberRange>({ first: version, last: version }), MAX_RANGES, uint32),
    }),
  ),
  last: position,
})

const sealOff: Codec<SealOff> = struct({
  epoch: within(uint32, 1, 0xffff_ffff),
  sequence: version,
})

export const encodeClose = (value: Close): Bytes => encode(close, value)
export const encodeSealOff = (value: SealOff): Bytes => encode(sealOff, value)

/** @throws KeystrataError `malformed`, also if the ranges of an epoch overlap, or do not ascend */
export function readClose(content: Uint8Array): Close {
  const value = decode(close, content, 'close')
  if (value.former.every(({ leftOut }) => ascend(leftOut))) return value
  throw new KeystrataError('malformed', 'the numbers that this close leaves out are not in order', { object: 'close' })
}

const ascend = (ranges: readonly NumberRange[]): boolean =>
  ranges.every(({ first, last }, index) => first > (ranges[index - 1]?.last ?? 0) && first <= last)

/**
 * Reads a seal-off of an epoch.
 * @throws KeystrataError `malformed`, also if it does not lead to a higher epoch
 */
export function readSealOff(content: Uint8Array, own: number): SealOff {
  const value = decode(sealOff, content, 'seal-off')
  if (value.epoch > own) return value
  throw new KeystrataError('malformed', 'this seal-off does not lead to a higher epoch', {
    object: 'record',
    epoch: value.epoch,
  })
}

export const isIn = (ranges: readonly NumberRange[], number: number): boolean =>
  ranges.some(({ first, last }) => first <= number && number <= last)

/** Returns all numbers that former epochs have left out, in ascending order. No two ranges touch or overlap. */
export function leftOutBy(former: readonly FormerEpoch[]): NumberRange[] {
  const ranges: { first: number; last: number }[] = []
  for (const { first, last } of former.flatMap(({ leftOut }) => leftOut).sort((a, b) => a.first - b.first)) {
    const before = ranges.at(-1)
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last)
    else ranges.push({ first, last })
  }
  return ranges
}

/** Returns the first number behind this one that is in none of the ranges, which {@link leftOutBy} returned. */
export function nextBehind(number: number, ranges: readonly NumberRange[]): number {
  const next = number + 1
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ranges[middle]?.last ?? 0) < next) low = middle + 1
    else high = middle
  }
  const range = ranges[low]
  return range !== undefined && range.first <= next ? range.last + 1 : next
}

/** Returns what is in the first ranges, and not in the others. Both are in ascending order, without overlaps. */
export function without(ranges: readonly NumberRange[], others: readonly NumberRange[]): NumberRange[] {
  const left: NumberRange[] = []
  let at = 0
  for (const { first, last } of ranges) {
    let next = first
    for (let other = others[at]; other !== undefined && other.first <= last; other = others[++at]) {
      if (other.first > next) left.push({ first: next, last: other.first - 1 })
      next = Math.max(next, other.last + 1)
      // It may reach into the next range.
      if (other.last >= last) break
    }
    if (next <= last) left.push({ first: next, last })
  }
  return left
}
