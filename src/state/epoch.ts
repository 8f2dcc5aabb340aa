// The records of one epoch of a log (SPEC §7.4): reading them, finding one by its number, and deciding which are damaged.
// A record is damaged if its bytes are, if its owner did not make it, or if it stands where it does not belong.
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { sha256 } from '../primitives/hash.ts'
import type { CheckedStore } from './checked.ts'
import {
  type Close,
  type FormerEpoch,
  isIn,
  leftOutBy,
  nextBehind,
  type NumberRange,
  readClose,
  readSealOff,
  type SealOff,
} from './marker.ts'
import { versionsOf } from './read-ahead.ts'
import type { RecordKeys } from './record.ts'
import { NO_HASH, NO_ID, type ParsedRecord, parseRecord, type Position, positionText } from './record-layout.ts'

/** Where an epoch begins, and whose it is. */
export interface Epoch {
  readonly epoch: number
  /** The sequence of the close that ends the copies; 0 in epoch 0. */
  readonly start: number
  /** The highest number that the copies and the close account for; 0 in epoch 0. */
  readonly base: number
  /** Whose records it holds. Undefined for epoch 0 before it was read. */
  readonly ownerId: Uint8Array | undefined
}

/** What the close of an epoch says of the epochs before it, or why it is damaged. */
type Former =
  | { readonly former: readonly FormerEpoch[]; readonly damage?: undefined }
  | { readonly former?: undefined; readonly damage: KeystrataError }

/** The end of a log: its current epoch, and the newest version there; 0 if the log is empty. */
export interface End {
  readonly epoch: Epoch
  readonly version: number
  /** The newest record, unless it is damaged. */
  readonly record: ParsedRecord | undefined
  readonly bytes: Uint8Array | undefined
}

/** One version of an epoch: a record, or why there is none. */
export type Step =
  | { readonly version: number; readonly record: ParsedRecord; readonly error?: undefined }
  | {
      readonly version: number
      readonly record?: undefined
      readonly error: KeystrataError
      readonly isGone: boolean
    }

/** The objects that hold the records of one log. */
export class EpochRecords {
  readonly store: CheckedStore
  readonly logId: Bytes
  readonly #keys: () => RecordKeys

  constructor(store: CheckedStore, logId: Bytes, keys: () => RecordKeys) {
    this.store = store
    this.logId = logId
    this.#keys = keys
  }

  get keys(): RecordKeys {
    return this.#keys()
  }

  nameOf(epoch: number): string {
    return `log/${toHex(this.logId)}/${epoch}`
  }

  /**
   * Checks that a record may stand at this version.
   * @throws KeystrataError why it counts as damaged
   */
  recordAt(epoch: Epoch, version: number, bytes: Uint8Array): ParsedRecord {
    const record = parseRecord(bytes, this.logId)
    // Checked first: a definition does not have the keys that verify what an adopted source has signed.
    if (!this.#fitsOwner(epoch, record)) throw authenticationFailed()
    this.keys.verify(record)
    const isPlaced = record.epoch === epoch.epoch && record.sequence === version && fitsNumber(epoch, record)
    if (!isPlaced) throw authenticationFailed()
    if (record.kind === 'seal-off') this.sealOffIn(record)
    if (version === epoch.start) readClose(this.keys.markerContent(record))
    return record
  }

  #fitsOwner({ ownerId }: Epoch, { header, kind }: ParsedRecord): boolean {
    if (ownerId === undefined || equalBytes(header.ownerId, ownerId)) return true
    // An epoch is ended by its owner, or by an owner that has adopted its keyset.
    return kind === 'seal-off' && this.keys.isAdopted(ownerId)
  }

  sealOffIn(record: ParsedRecord): SealOff {
    return readSealOff(this.keys.markerContent(record), record.epoch)
  }

  /** Returns the epoch that a seal-off leads to. */
  behind(record: ParsedRecord): Epoch {
    const { epoch, sequence } = this.sealOffIn(record)
    return { epoch, start: sequence, base: record.number, ownerId: record.header.ownerId }
  }

  /** Returns a record, or undefined if it is damaged. */
  readable(epoch: Epoch, version: number, bytes: Uint8Array | undefined): ParsedRecord | undefined {
    if (bytes === undefined) return undefined
    try {
      return this.recordAt(epoch, version, bytes)
    } catch (error) {
      if (isDamage(error)) return undefined
      throw error
    }
  }

  /** Reads a record. Returns undefined if it is damaged, or not there. */
  async readableAt(epoch: Epoch, version: number): Promise<ParsedRecord | undefined> {
    return this.readable(epoch, version, await this.versionAt(epoch, version))
  }

  versionAt({ epoch }: Epoch, version: number): Promise<Uint8Array | undefined> {
    return this.store.readVersion(this.nameOf(epoch), version)
  }

  /** Returns what a close says, or undefined for any other record. */
  closeIn(record: ParsedRecord): Close | undefined {
    if (record.kind !== 'close') return undefined
    try {
      return readClose(this.keys.markerContent(record))
    } catch (error) {
      if (isDamage(error)) return undefined
      throw error
    }
  }

  /** Reads versions of an epoch in order. It ends behind a seal-off, and behind a version that is gone. */
  async *walk(epoch: Epoch, first: number, last: number): AsyncGenerator<Step> {
    for await (const { version, bytes } of versionsOf(this.store, this.nameOf(epoch.epoch), first, last)) {
      const step = bytes === undefined ? await this.#lost(epoch, version) : this.#step(epoch, version, bytes)
      yield step
      if (step.record?.kind === 'seal-off' || (step.record === undefined && step.isGone)) return
    }
  }

  async #lost(epoch: Epoch, version: number): Promise<Step> {
    return { version, error: notThere(), isGone: (await this.versionAt(epoch, 1)) === undefined }
  }

  #step(epoch: Epoch, version: number, bytes: Uint8Array): Step {
    try {
      return { version, record: this.recordAt(epoch, version, bytes) }
    } catch (error) {
      if (isDamage(error)) return { version, error, isGone: false }
      throw error
    }
  }

  /**
   * Finds a position in the epoch at the end of the log.
   * @returns the version of the record; or if the position was left out, that of the first record behind it
   * @throws KeystrataError `rollback` if the log ends before it
   * @throws KeystrataError `forked` if another record has its number
   * @throws KeystrataError as the damaged record, if it, or the close that accounts for it, cannot be read
   */
  async locate(end: End, position: Position): Promise<{ version: number; isLeftOut: boolean }> {
    this.assertReaches(end, position)
    const { epoch } = end
    const { number } = position
    if (number > epoch.base) {
      const version = versionOf(epoch, number)
      assertSame(await this.verifiedAt(epoch, version, number), position)
      return { version, isLeftOut: false }
    }
    const version = await this.firstFrom(epoch, number)
    const record = version > epoch.start ? undefined : await this.readableAt(epoch, version)
    if (record?.number === number) {
      assertSame(record, position)
      return { version, isLeftOut: false }
    }
    const { former, damage } = await this.formerIn(epoch)
    if (damage !== undefined) throw damage
    if (former.some(({ leftOut }) => isIn(leftOut, number))) return { version, isLeftOut: true }
    // Every number is that of a copy, or left out. So its copy is damaged, and stands in front of this version.
    for (let before = version - 1; before >= 1; before--)
      if ((await this.verifiedAt(epoch, before, number)).kind === 'content') break
    throw forked(position)
  }

  /**
   * Checks that a position is in the log.
   * @param mayBeDamaged whether the record may be there and damaged, so that its id cannot be compared
   * @returns whether it was left out
   * @throws KeystrataError as {@link EpochRecords.locate}
   */
  async assertHas(end: End, position: Position, mayBeDamaged: boolean): Promise<boolean> {
    try {
      return (await this.locate(end, position)).isLeftOut
    } catch (error) {
      // Only the errors of damaged records say where they are.
      if (mayBeDamaged && error instanceof KeystrataError && error.detail['version'] !== undefined) return false
      throw error
    }
  }

  /** @throws KeystrataError `rollback` if the log ends before this position */
  assertReaches({ epoch, version }: End, position: Position): void {
    const last = numberAt(epoch, version)
    if (position.number <= last) return
    const message = `this log ends at record ${last}, before ${positionText(position)}: it is older, or was cut off`
    throw new KeystrataError('rollback', message, {
      object: 'log',
      atLeast: positionText(position),
      last,
      log: toHex(this.logId),
    })
  }

  /**
   * Returns the newest content that can be read, or undefined if there is none.
   * @throws KeystrataError `missing` if the epoch was dropped meanwhile
   */
  async lastContent({ epoch, version, record }: End): Promise<ParsedRecord | undefined> {
    if (record?.kind === 'content') return record
    for (let before = version - 1; before >= 1; before--) {
      const found = await this.readableAt(epoch, before)
      if (found?.kind === 'content') return found
    }
    if (version > 0) await this.#assertThere(epoch)
    return undefined
  }

  /** @throws KeystrataError `missing` if the first version of an epoch is gone */
  async #assertThere(epoch: Epoch): Promise<void> {
    if ((await this.versionAt(epoch, 1)) !== undefined) return
    throw this.damaged(epoch, 1, { number: 1, id: NO_ID }, notThere())
  }

  /** Reads a record that must be there. If it is damaged, the error says where. */
  async verifiedAt(epoch: Epoch, version: number, number: number): Promise<ParsedRecord> {
    const bytes = await this.versionAt(epoch, version)
    const position = { number, id: NO_ID }
    if (bytes === undefined) throw this.damaged(epoch, version, position, notThere())
    try {
      return this.recordAt(epoch, version, bytes)
    } catch (error) {
      throw isDamage(error) ? this.damaged(epoch, version, position, error) : error
    }
  }

  /** Returns the error for a damaged record. It has the code of the damage, and says where the record is. */
  damaged({ epoch }: Epoch, version: number, position: Position, error: KeystrataError): KeystrataError {
    const text = positionText(position)
    const message = `record ${text} of this log (epoch ${epoch}, version ${version}) is damaged: ${error.message}`
    return new KeystrataError(error.code, message, { position: text, epoch, version, log: toHex(this.logId) })
  }

  /** Returns the epochs before this one, as its close has them, or why the close is damaged. */
  async formerIn(epoch: Epoch): Promise<Former> {
    if (epoch.start === 0) return { former: [] }
    const bytes = await this.versionAt(epoch, epoch.start)
    try {
      if (bytes === undefined) throw notThere()
      const closing = this.recordAt(epoch, epoch.start, bytes)
      return { former: readClose(this.keys.markerContent(closing)).former }
    } catch (error) {
      if (!isDamage(error)) throw error
      return { damage: this.damaged(epoch, epoch.start, closePosition(epoch.base), error) }
    }
  }

  /** Returns the epochs before this one, as its close has them. Returns undefined if that is damaged. */
  async closedBy(epoch: Epoch): Promise<readonly FormerEpoch[] | undefined> {
    return (await this.formerIn(epoch)).former
  }

  /** Returns the numbers that the close leaves out, in ascending order. Returns undefined if it is damaged. */
  async numbersLeftOut(epoch: Epoch): Promise<readonly NumberRange[] | undefined> {
    const former = await this.closedBy(epoch)
    return former && leftOutBy(former)
  }

  /** Returns the version of the first copy with this number or a higher one, or the version behind all copies. */
  async firstFrom(epoch: Epoch, number: number): Promise<number> {
    let best = epoch.start + 1
    let [low, high] = [1, epoch.start]
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const found = await this.firstContent(epoch, middle, high)
      if (found === undefined) {
        high = middle - 1
      } else if (found.number >= number) {
        best = found.sequence
        high = middle - 1
      } else {
        low = found.sequence + 1
      }
    }
    return best
  }

  /**
   * Returns the version behind the last record with this number or a lower one. As many damaged versions as numbers are
   * missing there are behind it too.
   */
  async firstBehind(epoch: Epoch, number: number): Promise<number> {
    if (number >= epoch.base) return versionOf(epoch, number) + 1
    if (number === 0) return 1
    const next = await this.firstFrom(epoch, number + 1)
    let first = Math.min(next, epoch.start)
    let missing = number
    let gap: { end: number; leftOut: readonly NumberRange[] } | undefined
    for (let before = first - 1; before >= 1; before--) {
      const record = await this.readableAt(epoch, before)
      if (record?.kind === 'content') break
      if (record !== undefined) continue
      gap ??= await this.#gapBefore(epoch, next)
      missing = nextBehind(missing, gap.leftOut)
      if (missing >= gap.end) break
      first = before
    }
    return first
  }

  /** Returns the number where the next copy stands, and the numbers that were left out. */
  async #gapBefore(epoch: Epoch, next: number): Promise<{ end: number; leftOut: readonly NumberRange[] }> {
    const record = next > epoch.start ? undefined : await this.readableAt(epoch, next)
    return { end: record?.number ?? epoch.base + 1, leftOut: (await this.numbersLeftOut(epoch)) ?? [] }
  }

  /** Returns the hash of the version before this one, or undefined if there is nothing to compare with. */
  async hashBefore(epoch: Epoch, version: number): Promise<Uint8Array | undefined> {
    if (version === 1) return NO_HASH
    const record = await this.readableAt(epoch, version - 1)
    return record && sha256(record.encoded.bytes)
  }

  /** Returns the first content that can be read between two versions. */
  async firstContent(epoch: Epoch, first: number, last: number): Promise<ParsedRecord | undefined> {
    for (let version = first; version <= last; version++) {
      const record = await this.readableAt(epoch, version)
      if (record?.kind === 'content') return record
    }
    return undefined
  }
}

/** The position of a damaged close: the highest number that it accounts for, or 1 if that is 0, without an id. */
export const closePosition = (highest: number): Position => ({ number: Math.max(highest, 1), id: NO_ID })

/** Positions in the order to look for them in: what is missing at the end of a log is reported first. */
export const highestFirst = (positions: readonly (Position | undefined)[]): Position[] =>
  positions.filter((each) => each !== undefined).sort((a, b) => b.number - a.number)

/** An epoch of which only the number is known. Numbers of its records cannot be checked. */
export const anywhereIn = (epoch: number): Epoch => ({
  epoch,
  start: Number.MAX_SAFE_INTEGER,
  base: Number.MAX_SAFE_INTEGER,
  ownerId: undefined,
})

/** The version of a number behind the base of its epoch. */
export const versionOf = ({ start, base }: Epoch, number: number): number => start + number - base

/** The number of a version behind the start of its epoch: each version takes one, even if it is damaged. */
export const numberAt = ({ start, base }: Epoch, version: number): number => base + version - start

const notThere = (): KeystrataError =>
  new KeystrataError('missing', 'the store has no such record', { object: 'record' })

function fitsNumber(epoch: Epoch, { kind, sequence, number }: ParsedRecord): boolean {
  if (sequence < epoch.start) return number <= epoch.base
  // Nothing else may stand here: whatever replaces the close would let the copies before it be replaced too.
  if (sequence === epoch.start) return kind === 'close' && number === epoch.base
  // A close ends the copies, so none stands behind them.
  if (kind === 'close') return false
  // The owner who ends an epoch may leave out numbers that nobody has used.
  if (kind === 'seal-off') return number >= numberAt(epoch, sequence) - 1
  return number === numberAt(epoch, sequence)
}

function assertSame({ kind, id }: ParsedRecord, position: Position): void {
  if (kind !== 'content' || !equalBytes(id, position.id)) throw forked(position)
}

const forked = (position: Position): KeystrataError => {
  const text = positionText(position)
  const message = `another record has the number of ${text}: this is another log, or another branch of it`
  return new KeystrataError('forked', message, { object: 'log', position: text })
}

/** Returns whether an error is about one record, and not about the handle, or the keys that a definition lacks. */
export function isDamage(error: unknown): error is KeystrataError {
  return error instanceof KeystrataError && error.code !== 'disposed' && error.code !== 'policy'
}
