// The versions of an epoch in order (SPEC §7.4): whether each follows the one before it, and what a damaged one was. Behind
// the start each version takes one number, and before it the copies and the close account for every number up to the base.
import { equalBytes } from '../core/bytes.ts'
import { authenticationFailed, type KeystrataError } from '../core/errors.ts'
import { sha256 } from '../primitives/hash.ts'
import { closePosition, type Epoch, type EpochRecords, numberAt, type Step } from './epoch.ts'
import { leftOutBy, nextBehind, type NumberRange } from './marker.ts'
import { NO_ID, NOWHERE, type ParsedRecord, type Position } from './record-layout.ts'

/** A version that is not a whole marker: content, or why it is damaged. */
export type Placed =
  | { readonly position: Position; readonly record: ParsedRecord; readonly error?: undefined }
  | {
      /**
       * Of a close that can be read, the position of the copy before it. Of one that cannot, the highest number that it
       * accounts for, or that of the copy before it if nothing says more, without an id.
       */
      readonly position: Position
      readonly record?: undefined
      readonly error: KeystrataError
    }

/** Takes the versions of one epoch in order. */
export class Chain {
  readonly #records: EpochRecords
  readonly #epoch: Epoch
  #position: Position
  /** The hash of the version before the next one, or undefined if there is nothing to compare with. */
  #hash: Uint8Array | undefined
  #leftOut: Promise<readonly NumberRange[] | undefined> | undefined
  /** The next copy that can be read, and the damaged versions before it. */
  #ahead: { readonly from: number; readonly to: number; readonly record: ParsedRecord | undefined } | undefined

  private constructor(records: EpochRecords, epoch: Epoch, position: Position, hash: Uint8Array | undefined) {
    this.#records = records
    this.#epoch = epoch
    this.#position = position
    this.#hash = hash
  }

  /** Begins at a version. The content before it has this position. */
  static async at(records: EpochRecords, epoch: Epoch, version: number, position: Position): Promise<Chain> {
    return new Chain(records, epoch, position, await records.hashBefore(epoch, version))
  }

  /** Begins behind a record that was read. */
  static behind(records: EpochRecords, epoch: Epoch, record: ParsedRecord): Chain {
    return new Chain(records, epoch, record, sha256(record.encoded.bytes))
  }

  /** The position of the last content, which may be damaged. */
  get position(): Position {
    return this.#position
  }

  /** Takes the next version. Returns undefined for a marker that is whole. */
  async next(step: Step): Promise<Placed | undefined> {
    const { version, record } = step
    const isWhole = record !== undefined && this.#isChained(record) && (await this.#fits(record))
    // Behind a damaged record, nothing can be compared.
    this.#hash = isWhole ? sha256(record.encoded.bytes) : undefined
    if (isWhole && record.kind !== 'content') return undefined
    if (isWhole) {
      this.#position = { number: record.number, id: record.id }
      return { position: this.#position, record }
    }
    const error = step.error ?? authenticationFailed()
    const number = await this.#numberOfDamaged(version)
    if (number === undefined) return { position: this.#positionOfClose(version, record), error }
    const isItself = record?.kind === 'content' && record.number === number
    this.#position = { number, id: isItself ? record.id : NO_ID }
    return { position: this.#position, error }
  }

  #isChained({ isAfterDamage, previous }: ParsedRecord): boolean {
    return this.#hash === undefined || isAfterDamage || equalBytes(previous, this.#hash)
  }

  /** Returns whether a number follows. Those between it and the copy before must have been left out. */
  async #fits(record: ParsedRecord): Promise<boolean> {
    const { kind, sequence, number } = record
    const before = this.#position.number
    if (sequence === this.#epoch.start) {
      const leftOut = leftOutBy(this.#records.closeIn(record)?.former ?? [])
      return nextBehind(before, leftOut) > number
    }
    if (kind !== 'content' || sequence > this.#epoch.start || number === before + 1) return true
    if (number <= before) return false
    const leftOut = await this.#numbersLeftOut()
    return leftOut === undefined || number <= nextBehind(before, leftOut)
  }

  /**
   * Returns the number that a damaged version had, or undefined if it was a close: before the start it was content only if
   * a number is missing there. If the close is damaged too, numbers that were left out also seem to be missing.
   */
  async #numberOfDamaged(version: number): Promise<number | undefined> {
    const { start, base } = this.#epoch
    if (version > start) return numberAt(this.#epoch, version)
    if (version === start) return undefined
    const number = nextBehind(this.#position.number, (await this.#numbersLeftOut()) ?? [])
    if (number > base) return undefined
    const copy = await this.#copyBehind(version)
    return copy?.number === number ? undefined : number
  }

  #positionOfClose(version: number, record: ParsedRecord | undefined): Position {
    const { number } = this.#position
    // A whole close that does not follow the copy before it shows that this copy was replaced.
    if (record !== undefined && number > 0) return this.#position
    return closePosition(version === this.#epoch.start ? this.#epoch.base : number)
  }

  /** Returns the numbers that the close leaves out, or undefined if it is damaged. */
  #numbersLeftOut(): Promise<readonly NumberRange[] | undefined> {
    return (this.#leftOut ??= this.#records.numbersLeftOut(this.#epoch))
  }

  async #copyBehind(version: number): Promise<ParsedRecord | undefined> {
    const { start } = this.#epoch
    if (this.#ahead === undefined || version < this.#ahead.from || version >= this.#ahead.to) {
      const record = await this.#records.firstContent(this.#epoch, version + 1, start - 1)
      this.#ahead = { from: version, to: record?.sequence ?? start, record }
    }
    return this.#ahead.record
  }
}

/** Returns everything in an epoch, up to a version and behind a record, that is not a whole marker. */
export async function* placedIn(
  records: EpochRecords,
  epoch: Epoch,
  last: number,
  behind?: ParsedRecord,
): AsyncGenerator<{ readonly placed: Placed; readonly version: number }> {
  const chain = behind ? Chain.behind(records, epoch, behind) : await Chain.at(records, epoch, 1, NOWHERE)
  for await (const step of records.walk(epoch, (behind?.sequence ?? 0) + 1, last)) {
    const placed = await chain.next(step)
    if (placed !== undefined) yield { placed, version: step.version }
  }
}

/**
 * Checks that the versions up to the close are whole, and begin behind this copy, or with the first one.
 * @throws KeystrataError as the damaged version
 */
export async function assertClosed(records: EpochRecords, epoch: Epoch, copy: ParsedRecord | undefined): Promise<void> {
  if ((copy?.sequence ?? 0) >= epoch.start) return
  for await (const { placed, version } of placedIn(records, epoch, epoch.start, copy))
    if (placed.error !== undefined) throw records.damaged(epoch, version, placed.position, placed.error)
}
