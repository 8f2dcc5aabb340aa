// Finding the current epoch of a log (SPEC §7.4). From epoch 0 one follows seal-offs to an epoch without one. A pointer
// saves reads, and is never relied on: an epoch that it names must follow from a seal-off.
import { type Bytes, equalBytes, toHex, u32 } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { sha256 } from '../primitives/hash.ts'
import type { CheckedStore } from './checked.ts'
import { pauseBeforeRetry } from './compare-and-set.ts'
import { anywhereIn, type End, type Epoch, EpochRecords, isDamage } from './epoch.ts'
import type { FormerEpoch } from './marker.ts'
import type { RecordKeys } from './record.ts'
import { NO_ID, type ParsedRecord, parseRecord, wellFormed } from './record-layout.ts'
import { READS, repeatedly, writeSettled } from './settle.ts'
import type { StoredObject } from './store.ts'
import { Successors } from './successor.ts'

const FIRST: Epoch = { epoch: 0, start: 0, base: 0, ownerId: undefined }

/** How many versions to look at for the owner of epoch 0, if the first ones are damaged. */
const FIRST_VERSIONS = 32

/** How many epochs below the one that the pointer names may have been given up. */
const EPOCHS_GIVEN_UP = 4

/** How often to begin again when an epoch ends while it is read. */
const RESTARTS = 16

/** How the end of a log is found. */
export interface Search {
  /** An epoch that the log has reached, to begin with. */
  readonly from?: Epoch
  /** Whether something was missing in the end that was found before. Then nothing that is known counts. */
  readonly isDoubted?: boolean
  /** Whether an owner asks, who can go on where nobody else can tell whether an epoch has ended. */
  readonly isOwner?: boolean
}

/** All epochs of one log. */
export class Epochs extends EpochRecords {
  readonly #pointer: string
  readonly #successors: Successors
  /** The last end that was found: an epoch, and a version up to which there is no seal-off. */
  #known: { readonly epoch: Epoch; readonly version: number; readonly hash: Uint8Array } | undefined
  /** The highest epoch that the pointer is known to name. */
  #pointed = 0

  constructor(store: CheckedStore, logId: Bytes, keys: () => RecordKeys) {
    super(store, logId, keys)
    this.#pointer = `log/${toHex(logId)}`
    this.#successors = new Successors(this, () => this.#readPointer())
  }

  /** Remembers the newest version that this wrote, or read and verified. */
  remember(epoch: Epoch, version: number, bytes: Uint8Array): void {
    this.#known = { epoch: { ...epoch, ownerId: epoch.ownerId ?? this.keys.ownerId }, version, hash: sha256(bytes) }
  }

  /**
   * Finds the end of the log.
   * @throws KeystrataError `policy` if the log belongs to another owner
   * @throws KeystrataError `missing` if the store lost the current epoch
   * @throws KeystrataError `authentication-failed` if a seal-off is damaged and nothing proves where the log goes on
   */
  async find(search: Search = {}): Promise<End> {
    let epoch = search.from ?? this.#knownEpoch() ?? (await this.#pointedEpoch())
    for (let restarts = 0; ;) {
      const found = await this.#endOf(epoch, search)
      if (found === undefined) {
        if (++restarts > RESTARTS) throw this.#lost(epoch)
        await pauseBeforeRetry(restarts, 1)
      } else if ('next' in found) {
        epoch = found.next
      } else {
        if (found.record !== undefined && found.bytes !== undefined) {
          this.remember(found.epoch, found.version, found.bytes)
        }
        return found
      }
    }
  }

  /**
   * Returns the epoch that was last found. As long as nothing stands behind its close, nobody else may know that the log
   * has reached it, if the seal-off was damaged since. So it is found anew.
   */
  #knownEpoch(): Epoch | undefined {
    const known = this.#known
    return known === undefined || known.version === known.epoch.start ? undefined : known.epoch
  }

  /** Returns the end of an epoch, or the epoch that follows. Returns undefined if a read was late. */
  async #endOf(
    given: Epoch,
    { isDoubted = false, isOwner = false }: Search,
  ): Promise<End | { next: Epoch } | undefined> {
    const newest = await this.#newestOf(given)
    if (newest === undefined) return { epoch: given, version: 0, record: undefined, bytes: undefined }
    const { version, bytes } = newest
    const epoch = await this.#unlessOwn(given, newest)
    const record = this.#isKnown(epoch, newest) ? parseRecord(bytes, this.logId) : this.readable(epoch, version, bytes)
    if (record?.kind === 'seal-off') return { next: this.behind(record) }
    const verified = !isDoubted && this.#known?.epoch.epoch === epoch.epoch ? this.#known.version : 0
    const isNext = record !== undefined && version <= verified + 1 && verified > 0
    if (isNext) return { epoch: this.#known?.epoch ?? epoch, version, record, bytes }
    const first = await this.versionAt(epoch, 1)
    if (first === undefined) {
      const over = await this.#overAt(epoch, version)
      if (over !== 'going on') return over
    }
    const owned = await this.#withOwner(epoch, version, first)
    const placed = owned === epoch ? record : this.readable(owned, version, bytes)
    if (placed === undefined && (await this.#wasMisread(owned, newest))) return undefined
    const damaged = placed === undefined ? await this.#successors.behindDamage(owned, version, isOwner) : undefined
    // There may be more damaged versions behind the seal-off than were looked through.
    const next = damaged ?? (await this.#successors.hiddenIn(owned, version, verified))
    if (next !== undefined) return { next }
    if (placed === undefined) this.#assertNotSealedByOther(bytes)
    return { epoch: owned, version, record: placed, bytes }
  }

  /** Finds the owner of epoch 0 first, if its newest record is of an adopted source: that decides what counts as damaged. */
  async #unlessOwn(epoch: Epoch, { version, bytes }: StoredObject): Promise<Epoch> {
    if (epoch.ownerId !== undefined) return epoch
    const record = wellFormed(bytes, this.logId)
    if (record === undefined || !this.keys.isAdopted(record.header.ownerId)) return epoch
    return this.#withOwner(epoch, version, await this.versionAt(epoch, 1))
  }

  /** Returns whether this is the record that was verified before. */
  #isKnown({ epoch }: Epoch, { version, bytes }: StoredObject): boolean {
    const known = this.#known
    return known?.epoch.epoch === epoch && known.version === version && equalBytes(known.hash, sha256(bytes))
  }

  /** Reads a damaged version again, with pauses, and returns whether it is another one by now. */
  async #wasMisread({ epoch }: Epoch, { version, bytes }: StoredObject): Promise<boolean> {
    for (let read = 1; read <= 2; read++) {
      await pauseBeforeRetry(read, 1)
      const again = await this.store.read(this.nameOf(epoch))
      if (again?.version !== version || !equalBytes(again.bytes, bytes)) return true
    }
    return false
  }

  /**
   * Checks that a damaged record is not the seal-off of another owner.
   * @throws KeystrataError `policy` if it is. Another owner has adopted this one: nobody reads what is appended here
   */
  #assertNotSealedByOther(bytes: Uint8Array): void {
    const record = wellFormed(bytes, this.logId)
    if (record?.kind === 'seal-off' && this.#isForeign(record.header.ownerId)) throw this.#ownedByOther()
  }

  #isForeign(ownerId: Uint8Array): boolean {
    return !equalBytes(ownerId, this.keys.ownerId) && !this.keys.isAdopted(ownerId)
  }

  #ownedByOther(): KeystrataError {
    const message = 'this log belongs to another owner: check the store and its prefix, and replace an old export'
    return new KeystrataError('policy', message, { rule: 'log-owner', log: toHex(this.logId) })
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
      object: this.nameOf(epoch),
      log,
      epoch,
    })
  }

  /**
   * Looks for the end of an epoch whose first version is gone. If it was resealed, its lowest remaining version is the
   * seal-off. What stands behind that does not count.
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
    // The store lost the first version, and no seal-off is needed for that.
    if (record !== undefined) return 'going on'
    const next = await this.#successors.behindDropped(epoch, low)
    if (next !== undefined) return { next }
    this.#assertNotSealedByOther(bytes)
    throw this.#successors.undecided(epoch, low)
  }

  /**
   * Finds the owner of epoch 0: that of its first record, or if that is damaged, of the first one that is not.
   * @throws KeystrataError `policy` if the log belongs to another owner
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
    if (isForeign) throw this.#ownedByOther()
    return epoch
  }

  /** Returns the epoch that the pointer names, if a seal-off leads to it. Otherwise returns epoch 0. */
  async #pointedEpoch(): Promise<Epoch> {
    const epoch = await this.#readPointer()
    for (let former = epoch - 1; former >= Math.max(0, epoch - EPOCHS_GIVEN_UP); former--) {
      const record = await this.#newestSealOff(former)
      if (record === undefined || this.sealOffIn(record).epoch !== epoch) continue
      // The way from epoch 0 shows whether another owner may end that epoch.
      return equalBytes(record.header.ownerId, this.keys.ownerId) ? this.behind(record) : FIRST
    }
    return FIRST
  }

  /** Returns the newest record of an epoch if it is a seal-off. */
  async #newestSealOff(epoch: number): Promise<ParsedRecord | undefined> {
    const newest = await this.store.read(this.nameOf(epoch))
    const record = newest && this.readable(anywhereIn(epoch), newest.version, newest.bytes)
    return record?.kind === 'seal-off' ? record : undefined
  }

  async #readPointer(): Promise<number> {
    return pointerIn(await this.store.read(this.#pointer))
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
   * Returns the epochs before this one. If the close is damaged, this also returns why, and only seal-offs are left, which
   * do not say what was left out.
   */
  async formerOf(epoch: Epoch): Promise<{ former: readonly FormerEpoch[]; damage?: KeystrataError | undefined }> {
    const { former, damage } = await this.formerIn(epoch)
    return { former: former ?? (await this.#sealedBefore(epoch)), damage }
  }

  async #sealedBefore(epoch: Epoch): Promise<readonly FormerEpoch[]> {
    const former: FormerEpoch[] = []
    for (let each = 0; each < epoch.epoch; each++) {
      const record = await this.#newestSealOff(each)
      if (record === undefined) continue
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

/**
 * Reads again, with pauses, while the log seems to be older than it is, or another branch: a read may have been late. And
 * while a record is missing: its epoch may have been dropped since its end was read.
 */
export function settledly<T>(read: (isDoubted: boolean) => Promise<T>): Promise<T> {
  let reads = 0
  return repeatedly(() => read(reads++ > 0), mayBeLate)
}

function mayBeLate(error: unknown): boolean {
  if (!(error instanceof KeystrataError)) return false
  const { code, detail } = error
  return code === 'rollback' || code === 'forked' || (code === 'missing' && detail['version'] !== undefined)
}
