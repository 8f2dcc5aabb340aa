// Where a log goes on when the seal-off of an epoch cannot simply be read: because it is damaged, because somebody has
// written behind it, or because the epoch before it was dropped (SPEC §7.4). The close of a later epoch says which epoch
// it follows. But an owner may have been stopped between the close and the seal-off. So a damaged version only counts as a
// seal-off if something shows that the log has reached the later epoch.
import { equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { anywhereIn, type Epoch, type EpochRecords, versionOf } from './epoch.ts'
import type { Close, FormerEpoch } from './marker.ts'
import { versionsOf } from './read-ahead.ts'
import type { ParsedRecord } from './record-layout.ts'
import type { StoredObject } from './store.ts'

/** How many damaged versions at the end of an epoch may hide a seal-off. */
const DAMAGED_VERSIONS = 32

/** How many versions behind the last one that was verified are looked through, instead of the later epochs. */
const FEW_VERSIONS = 32

/** An epoch with a close. */
interface ClosedEpoch {
  readonly epoch: Epoch
  /** The last close. */
  readonly close: Close
  /** Whether something follows the close. Nobody writes there before the seal-off. */
  readonly isContinued: boolean
}

/** An epoch that may follow a damaged seal-off. */
interface Candidate {
  readonly epoch: Epoch
  /** Whether it is certain that the log has reached it. */
  readonly isReached: boolean
}

export class Successors {
  readonly #records: EpochRecords
  readonly #readPointer: () => Promise<number>

  constructor(records: EpochRecords, readPointer: () => Promise<number>) {
    this.#records = records
    this.#readPointer = readPointer
  }

  /**
   * Looks for a seal-off among the damaged versions at the end of an epoch, or right before them. Its first version is
   * still there.
   * @param isOwner whether an owner asks, who goes on in the epoch if nobody can tell: everything is in it
   * @throws KeystrataError `authentication-failed` if the log goes on elsewhere, and nothing tells where
   */
  async behindDamage(epoch: Epoch, newest: number, isOwner: boolean): Promise<Epoch | undefined> {
    let first = newest
    while (first > 1 && first > newest - DAMAGED_VERSIONS) {
      const record = await this.#records.readableAt(epoch, first - 1)
      if (record?.kind === 'seal-off') return this.#records.behind(record)
      if (record !== undefined) break
      first--
    }
    const candidates = await this.#candidates(epoch, first, newest)
    const reached = candidates.filter(({ isReached }) => isReached)
    if (reached.length === 1) return reached[0]?.epoch
    const pointed = await this.#readPointer()
    const lowest = Math.min(...candidates.map((each) => each.epoch.epoch))
    // Nobody raises the pointer before the seal-off. Then an owner was stopped before it, and everything is in this epoch.
    if (candidates.length === 0 || pointed < lowest) return undefined
    const chosen = candidates.length === 1 ? candidates[0] : candidates.find((each) => each.epoch.epoch === pointed)
    if (chosen !== undefined) return chosen.epoch
    if (isOwner) return undefined
    throw this.undecided(epoch, first)
  }

  /** Returns the epoch that follows a damaged seal-off, below which everything was dropped, if anything tells which. */
  async behindDropped(epoch: Epoch, version: number): Promise<Epoch | undefined> {
    const candidates = await this.#candidates(epoch, version, version)
    const reached = candidates.filter(({ isReached }) => isReached)
    const [found, ...others] = reached.length > 0 ? reached : candidates
    if (found !== undefined && others.length === 0) return found.epoch
    const pointed = await this.#readPointer()
    return candidates.find((each) => each.epoch.epoch === pointed)?.epoch
  }

  /** Returns the error for a damaged version that may have been a seal-off. */
  undecided({ epoch }: Epoch, version: number): KeystrataError {
    const message =
      `version ${version} of epoch ${epoch} is damaged, and nothing proves where this log goes on: ` +
      'restore that version, or let the owner reseal the log'
    const log = toHex(this.#records.logId)
    return new KeystrataError('authentication-failed', message, { log, epoch, version })
  }

  /** Returns the epochs whose closes say that one of these damaged versions is the seal-off of the epoch before them. */
  async #candidates(epoch: Epoch, first: number, last: number): Promise<Candidate[]> {
    const found: Candidate[] = []
    let later: Candidate | undefined
    for await (const { next, version } of this.#above(epoch.epoch)) {
      const closed = await this.#lastClose(next, version)
      if (closed === undefined || !this.#mayFollow(epoch, closed.epoch)) continue
      const { former } = closed.close
      const named = former.find((each) => each.epoch === epoch.epoch)
      if (named === undefined || named.count + 1 < first || last < named.count + 1) continue
      if (named === former.at(-1)) found.push({ epoch: closed.epoch, isReached: closed.isContinued })
      // The epoch that followed may have been resealed since, and its close dropped.
      else later ??= await this.#entered(former.at(-1), next)
    }
    return found.length > 0 || later === undefined ? found : [later]
  }

  /** An epoch is ended by its owner, or by an owner that has adopted its keyset. */
  #mayFollow({ ownerId: before }: Epoch, { ownerId }: Epoch): boolean {
    const { keys } = this.#records
    return ownerId !== undefined && (!keys.isAdopted(ownerId) || before === undefined || keys.isAdopted(before))
  }

  /** Yields all epochs above one, each with its newest version. They are used without gaps. */
  async *#above(epoch: number): AsyncGenerator<StoredObject & { readonly next: number }> {
    for (let next = epoch + 1; ; next++) {
      const newest = await this.#records.store.read(this.#records.nameOf(next))
      if (newest === undefined) return
      yield { next, ...newest }
    }
  }

  /** Returns an epoch if the seal-off of the one before it names it. */
  async #entered(former: FormerEpoch | undefined, next: number): Promise<Candidate | undefined> {
    if (former === undefined) return undefined
    const record = await this.#records.readableAt(anywhereIn(former.epoch), former.count + 1)
    if (record?.kind !== 'seal-off' || this.#records.sealOffIn(record).epoch !== next) return undefined
    return { epoch: this.#records.behind(record), isReached: true }
  }

  /** Reads an epoch to its end, and returns its last close. */
  async #lastClose(epoch: number, newest: number): Promise<ClosedEpoch | undefined> {
    const records = this.#records
    let last: ClosedEpoch | undefined
    for await (const { version, bytes } of versionsOf(records.store, records.nameOf(epoch), 1, newest)) {
      const record = records.readable(anywhereIn(epoch), version, bytes)
      if (record === undefined) continue
      const close = records.closeIn(record)
      if (close !== undefined) {
        const { number: base, header } = record
        last = { epoch: { epoch, start: version, base, ownerId: header.ownerId }, close, isContinued: false }
      } else if (last !== undefined && (record.kind === 'seal-off' || record.number > last.epoch.base)) {
        last = { ...last, isContinued: true }
      }
    }
    return last
  }

  /**
   * Looks for a seal-off in front of the newest version. Nobody appends behind one by mistake, but where nothing was
   * dropped, others may have written there so that hosts go on in this epoch.
   * @param verified a version up to which there is no seal-off; 0 if that is not known
   */
  async hiddenIn(epoch: Epoch, newest: number, verified: number): Promise<Epoch | undefined> {
    if (verified > 0 && newest - verified <= FEW_VERSIONS) return this.#sealOffFrom(epoch, verified + 1, newest)
    for await (const { next, version, bytes } of this.#above(epoch.epoch)) {
      const record = this.#records.readable(anywhereIn(next), version, bytes)
      const count = record && this.#records.closeIn(record)?.former.at(-1)?.count
      if (count !== undefined) {
        const found = await this.#sealOffFrom(epoch, count + 1, count + 2)
        if (found !== undefined) return found
      } else if (record?.kind !== 'content' || !(await this.#isCopy(record, epoch))) {
        // What stands at its end is neither a close nor a copy, so the log may have reached it.
        return this.#sealOffFrom(epoch, Math.max(epoch.start, verified) + 1, newest)
      }
    }
    return undefined
  }

  /** Returns whether a record of a later epoch is a copy: then an owner is at work, or was stopped. */
  async #isCopy({ number, id }: ParsedRecord, epoch: Epoch): Promise<boolean> {
    const isTail = number > epoch.base
    const version = isTail ? versionOf(epoch, number) : await this.#records.firstFrom(epoch, number)
    const record = await this.#records.readableAt(epoch, version)
    return record?.kind === 'content' && record.number === number && equalBytes(record.id, id)
  }

  async #sealOffFrom(epoch: Epoch, first: number, end: number): Promise<Epoch | undefined> {
    const records = this.#records
    for await (const { version, bytes } of versionsOf(records.store, records.nameOf(epoch.epoch), first, end - 1)) {
      const record = records.readable(epoch, version, bytes)
      if (record?.kind === 'seal-off') return records.behind(record)
    }
    return undefined
  }
}
