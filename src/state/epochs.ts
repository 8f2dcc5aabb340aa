// Finding the current epoch of a log (SPEC §19.4). From epoch 0 one follows seal-offs to an epoch without one. A pointer
// saves reads, and is never relied on: an epoch that it names must follow from a seal-off, or, where that is damaged, from
// a close.
import { type Bytes, equalBytes, toHex, u32 } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { sha256 } from '../primitives/hash.ts'
import type { CheckedStore } from './checked.ts'
import { pauseBeforeRetry } from './compare-and-set.ts'
import { anywhereIn, type End, type Epoch, EpochRecords, isDamage } from './epoch.ts'
import type { Close, FormerEpoch } from './marker.ts'
import { versionsOf } from './read-ahead.ts'
import type { RecordKeys } from './record.ts'
import { NO_ID, type ParsedRecord, parseRecord, wellFormed } from './record-layout.ts'
import { READS, repeatedly, writeSettled } from './settle.ts'
import type { StoredObject } from './store.ts'

const FIRST: Epoch = { epoch: 0, start: 0, base: 0, ownerId: undefined }

/** How many versions to look at for the owner of epoch 0, if the first ones are damaged. */
const FIRST_VERSIONS = 32

/** How many damaged versions at the end of an epoch may hide a seal-off. */
const DAMAGED_VERSIONS = 32

/** How many epochs below the one that the pointer names may have been given up. */
const EPOCHS_GIVEN_UP = 4

/** How often to begin again when an epoch ends while it is read. */
const RESTARTS = 16

/** All epochs of one log. */
export class Epochs extends EpochRecords {
  readonly #pointer: string
  /** The last end that was found. An epoch that was once current is reached by everybody. */
  #known: { readonly epoch: Epoch; readonly version: number; readonly hash: Uint8Array } | undefined
  /** The highest epoch that the pointer is known to name. */
  #pointed = 0

  constructor(store: CheckedStore, logId: Bytes, keys: () => RecordKeys) {
    super(store, logId, keys)
    this.#pointer = `log/${toHex(logId)}`
  }

  /** Remembers the newest version that this wrote, or read and verified. */
  remember(epoch: Epoch, version: number, bytes: Uint8Array): void {
    this.#known = { epoch, version, hash: sha256(bytes) }
  }

  /**
   * Finds the end of the log.
   * @param from an epoch that the log has reached
   * @throws KeystrataError `policy` if the log belongs to somebody else
   * @throws KeystrataError `missing` if the store lost the current epoch
   * @throws KeystrataError `authentication-failed` if a seal-off is damaged and nothing tells where the log goes on
   */
  async find(from?: Epoch): Promise<End> {
    let epoch = from ?? this.#known?.epoch ?? (await this.#pointedEpoch())
    for (let restarts = 0; ;) {
      const found = await this.#endOf(epoch)
      if (found === undefined) {
        if (++restarts > RESTARTS) throw this.#lost(epoch)
        await pauseBeforeRetry(restarts, 1)
      } else if ('next' in found) {
        epoch = found.next
      } else {
        if (found.bytes !== undefined) {
          this.remember(found.epoch, found.record === undefined ? 0 : found.version, found.bytes)
        }
        return found
      }
    }
  }

  /** Returns the end of an epoch, or the epoch that follows. Returns undefined if a read was late. */
  async #endOf(epoch: Epoch): Promise<End | { next: Epoch } | undefined> {
    const newest = await this.#newestOf(epoch)
    if (newest === undefined) return { epoch, version: 0, record: undefined, bytes: undefined }
    const { version, bytes } = newest
    const record = this.#isKnown(epoch, newest) ? parseRecord(bytes, this.logId) : this.readable(epoch, version, bytes)
    if (record?.kind === 'seal-off' && (await this.#mayEnd(epoch, record))) return { next: this.behind(record) }
    const isNext =
      record !== undefined && this.#known?.epoch.epoch === epoch.epoch && version <= this.#known.version + 1
    const first = version === 1 ? bytes : isNext ? undefined : await this.versionAt(epoch, 1)
    if (first === undefined && !isNext) {
      const over = await this.#overAt(epoch, version)
      if (over !== 'going on') return over
    }
    const owned = await this.#withOwner(epoch, version, first)
    const placed = owned === epoch ? record : this.readable(owned, version, bytes)
    const next = placed === undefined ? await this.#behindDamage(owned, version) : undefined
    const sealedOff = next ?? (isNext ? undefined : await this.#sealedBefore(owned, version))
    if (sealedOff !== undefined) return { next: sealedOff }
    return { epoch: owned, version, record: placed, bytes }
  }

  /** Returns whether this is the record that was verified before. */
  #isKnown(epoch: Epoch, { version, bytes }: StoredObject): boolean {
    const known = this.#known
    return known?.epoch === epoch && known.version === version && equalBytes(known.hash, sha256(bytes))
  }

  /** Looks for a seal-off among the damaged versions at the end of an epoch, or right before them. */
  async #behindDamage(epoch: Epoch, newest: number): Promise<Epoch | undefined> {
    let first = newest
    while (first > 1 && first > newest - DAMAGED_VERSIONS) {
      const record = await this.readableAt(epoch, first - 1)
      if (record?.kind === 'seal-off') return this.behind(record)
      if (record !== undefined) break
      first--
    }
    return this.#closedBehind(epoch, first, newest)
  }

  /**
   * Looks for a seal-off in front of the newest version. Nobody appends behind one, except to make others follow; and if
   * nothing was dropped, only the closes of later epochs tell where it is.
   */
  async #sealedBefore(epoch: Epoch, newest: number): Promise<Epoch | undefined> {
    for (let next = epoch.epoch + 1; (await this.store.read(this.nameOf(next))) !== undefined; next++) {
      const closed = await this.#lastClose(next)
      const named = closed?.close.former.find((each) => each.epoch === epoch.epoch)
      if (named === undefined || named.count + 1 >= newest) continue
      const record = await this.readableAt(epoch, named.count + 1)
      if (record?.kind === 'seal-off' && (await this.#mayEnd(epoch, record))) return this.behind(record)
    }
    return undefined
  }

  /** Returns whether a seal-off may end an epoch. Only of epoch 0 the owner may not be known yet. */
  async #mayEnd(epoch: Epoch, { header, sequence }: ParsedRecord): Promise<boolean> {
    if (epoch.ownerId !== undefined || equalBytes(header.ownerId, this.keys.ownerId)) return true
    const { ownerId } = await this.#withOwner(epoch, sequence - 1, await this.versionAt(epoch, 1))
    return ownerId === undefined || this.keys.isAdopted(ownerId)
  }

  /** Reads the newest version of an epoch. One that a seal-off names has its copies: if it has not, the read was late. */
  async #newestOf(epoch: Epoch): Promise<StoredObject | undefined> {
    const started = Date.now()
    for (let read = 1; ; read++) {
      const newest = await this.store.read(this.nameOf(epoch.epoch))
      if ((newest?.version ?? 0) >= epoch.start) return newest
      if (read === READS) throw this.#lost(epoch)
      await pauseBeforeRetry(read, (Date.now() - started) / read)
    }
  }

  #lost({ epoch }: Epoch): KeystrataError {
    const log = toHex(this.logId)
    return new KeystrataError('missing', `the store lost records of epoch ${epoch}, where this log goes on`, {
      log,
      epoch,
    })
  }

  /**
   * Looks for the end of an epoch whose first version is gone. If it was resealed, its lowest remaining version is the
   * seal-off. What stands behind that does not count.
   * @throws KeystrataError `policy` if the seal-off is of another owner, who has adopted this one: nobody reads what would
   *   be appended here
   */
  async #overAt(epoch: Epoch, newest: number): Promise<{ next: Epoch } | 'going on' | undefined> {
    let [low, high] = [2, newest]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if ((await this.versionAt(epoch, middle)) === undefined) low = middle + 1
      else high = middle
    }
    const bytes = await this.versionAt(epoch, low)
    if (bytes === undefined) return undefined
    const record = this.readable(epoch, low, bytes)
    if (record?.kind === 'seal-off') return { next: this.behind(record) }
    const next = record === undefined ? await this.#closedBehind(epoch, low, low) : undefined
    if (next !== undefined) return { next }
    const foreign = record === undefined ? wellFormed(bytes, this.logId) : undefined
    if (foreign?.kind === 'seal-off' && this.#isForeign(foreign.header.ownerId)) throw this.#ownedByOther()
    return 'going on'
  }

  /**
   * Finds the owner of epoch 0: that of its first record, or if that is damaged, of the first one that is not.
   * @throws KeystrataError `policy` if the log belongs to somebody else
   */
  async #withOwner(epoch: Epoch, newest: number, first: Uint8Array | undefined): Promise<Epoch> {
    if (epoch.ownerId !== undefined) return epoch
    let isForeign = false
    for (let version = 1; version <= Math.min(newest, FIRST_VERSIONS); version++) {
      try {
        const bytes = version === 1 ? first : await this.versionAt(epoch, version)
        if (bytes === undefined) continue
        const { header, kind } = this.recordAt(epoch, version, bytes)
        if (kind !== 'seal-off') return { ...epoch, ownerId: header.ownerId }
      } catch (error) {
        if (!isDamage(error)) throw error
        isForeign ||= error.code === 'key-not-found'
      }
    }
    // The owner of a record further on is only known if it can be read. Nobody appends to an epoch of somebody else.
    if (!isForeign) return epoch
    throw this.#ownedByOther()
  }

  #isForeign(ownerId: Uint8Array): boolean {
    return !equalBytes(ownerId, this.keys.ownerId) && !this.keys.isAdopted(ownerId)
  }

  #ownedByOther(): KeystrataError {
    const message = 'this log belongs to another owner: check the store and its prefix, or adopt the owner first'
    return new KeystrataError('policy', message, { rule: 'log-owner', log: toHex(this.logId) })
  }

  /** Returns the epoch that the pointer names, if it is one that the log has reached. Otherwise returns epoch 0. */
  async #pointedEpoch(): Promise<Epoch> {
    const epoch = await this.#readPointer()
    if (epoch === 0) return FIRST
    for (let former = epoch - 1; former >= Math.max(0, epoch - EPOCHS_GIVEN_UP); former--) {
      const newest = await this.store.read(this.nameOf(former))
      const record = newest && this.readable(anywhereIn(former), newest.version, newest.bytes)
      if (record?.kind !== 'seal-off' || this.sealOffIn(record).epoch !== epoch) continue
      // Whether somebody else may end that epoch is found on the way from epoch 0.
      return equalBytes(record.header.ownerId, this.keys.ownerId) ? this.behind(record) : FIRST
    }
    return (await this.#closedEpoch(epoch)) ?? FIRST
  }

  async #readPointer(): Promise<number> {
    return pointerIn(await this.store.read(this.#pointer))
  }

  /** Returns an epoch if its close says that the log has reached it, and the seal-off before it does not say otherwise. */
  async #closedEpoch(epoch: number): Promise<Epoch | undefined> {
    const closed = await this.#lastClose(epoch)
    const former = closed?.close.former.at(-1)
    if (former === undefined || closed?.epoch === undefined) return undefined
    const bytes = await this.versionAt(anywhereIn(former.epoch), former.count + 1)
    // Without a seal-off, an owner is still at work, or was stopped.
    if (bytes === undefined) return undefined
    const before = this.readable(anywhereIn(former.epoch), former.count + 1, bytes)
    if (before === undefined) return closed.epoch
    return before.kind === 'seal-off' && this.sealOffIn(before).epoch === epoch ? this.behind(before) : undefined
  }

  /** Reads an epoch to its end, and returns its last close. */
  async #lastClose(epoch: number): Promise<{ epoch: Epoch; close: Close } | undefined> {
    const name = this.nameOf(epoch)
    const newest = await this.store.read(name)
    let last: { epoch: Epoch; close: Close } | undefined
    for await (const { version, bytes } of versionsOf(this.store, name, 1, newest?.version ?? 0)) {
      const record = this.readable(anywhereIn(epoch), version, bytes)
      const close = record?.kind === 'close' ? this.closeIn(record) : undefined
      if (record === undefined || close === undefined) continue
      last = { epoch: { epoch, start: version, base: record.number, ownerId: record.header.ownerId }, close }
    }
    return last
  }

  /**
   * Returns the epoch that follows, if one of these damaged versions was a seal-off. The close in that epoch says so.
   * @throws KeystrataError `authentication-failed` if there are several
   */
  async #closedBehind({ epoch }: Epoch, first: number, last: number): Promise<Epoch | undefined> {
    const found: Epoch[] = []
    let later: Epoch | undefined
    for (let next = epoch + 1; (await this.store.read(this.nameOf(next))) !== undefined; next++) {
      const closed = await this.#lastClose(next)
      if (closed === undefined) continue
      const { former } = closed.close
      const named = former.find((each) => each.epoch === epoch)
      const sealOff = named === undefined ? 0 : named.count + 1
      if (sealOff < first || last < sealOff) continue
      if (named === former.at(-1)) found.push(closed.epoch)
      // The epoch that followed may have been resealed since, and its close dropped.
      else later ??= await this.#enteredFrom(former.at(-1), next)
    }
    if (found.length === 0) return later
    if (found.length === 1) return found[0]
    const pointed = await this.#readPointer()
    const chosen = found.find((each) => each.epoch === pointed)
    if (chosen !== undefined) return chosen
    const message = `version ${first} of epoch ${epoch} is damaged, and several epochs may follow it: restore it`
    throw new KeystrataError('authentication-failed', message, { log: toHex(this.logId), epoch, version: first })
  }

  /** Returns an epoch if the seal-off of the one before it names it. */
  async #enteredFrom(former: FormerEpoch | undefined, next: number): Promise<Epoch | undefined> {
    if (former === undefined) return undefined
    const record = await this.readableAt(anywhereIn(former.epoch), former.count + 1)
    return record?.kind === 'seal-off' && this.sealOffIn(record).epoch === next ? this.behind(record) : undefined
  }

  /** Returns whether the log was resealed since its end was found: then what was looked for may have been dropped. */
  async isOver({ epoch, version }: End): Promise<boolean> {
    if (version === 0 || (await this.versionAt(epoch, 1)) !== undefined) return false
    return (await this.find()).epoch.epoch !== epoch.epoch
  }

  /** Raises the pointer to an epoch. Others may have raised it higher. */
  async raisePointer(epoch: number): Promise<void> {
    for (let tries = 1; this.#pointed < epoch && tries <= READS; tries++) {
      const stored = await this.store.read(this.#pointer)
      const pointed = pointerIn(stored)
      if (pointed >= epoch) {
        this.#pointed = pointed
      } else if (
        (await writeSettled(this.store, this.#pointer, (stored?.version ?? 0) + 1, u32(epoch))) === 'written'
      ) {
        this.#pointed = epoch
      }
    }
  }

  /**
   * Returns the epochs before this one. The close has them. If that is damaged, only seal-offs are left, which do not say
   * what was left out.
   */
  async formerOf({ epoch, start, base, ownerId }: Epoch): Promise<readonly FormerEpoch[]> {
    if (start === 0) return []
    const closing = await this.readableAt({ epoch, start, base, ownerId }, start)
    const close = closing && this.closeIn(closing)
    if (close !== undefined) return close.former
    const former: FormerEpoch[] = []
    for (let each = 0; each < epoch; each++) {
      const newest = await this.store.read(this.nameOf(each))
      const record = newest && this.readable(anywhereIn(each), newest.version, newest.bytes)
      if (record?.kind !== 'seal-off') continue
      former.push({ epoch: each, count: record.sequence - 1, last: { number: 0, id: NO_ID }, leftOut: [] })
    }
    return former
  }
}

/** Returns the epoch that a pointer names, or 0 if it is damaged or there is none. */
function pointerIn(stored: StoredObject | undefined): number {
  if (stored?.bytes.length !== 4) return 0
  const { buffer, byteOffset } = stored.bytes
  return new DataView(buffer, byteOffset).getUint32(0)
}

/** Reads again, with pauses, while the log seems to be older than it is, or another branch: a read may have been late. */
export const settledly = <T>(read: () => Promise<T>): Promise<T> => repeatedly(read, mayBeLate)

// A record that is missing may have been dropped since, because an owner has resealed the log.
const mayBeLate = (error: unknown): boolean =>
  error instanceof KeystrataError &&
  (error.code === 'rollback' ||
    error.code === 'forked' ||
    (error.code === 'missing' && error.detail['version'] !== undefined))
