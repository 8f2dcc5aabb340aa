// Resealing a log under new keys, beside hosts that append and other owners that reseal (SPEC §7.4). All contents are
// copied into a new epoch, which a close ends. Then a seal-off, written by compare-and-set, ends the old epoch. Nothing
// that matters was changed before that, so this may stop anywhere.
import { type Bytes, equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { wiping } from '../core/secret.ts'
import { sha256 } from '../primitives/hash.ts'
import { assertClosed, Chain, type Placed, placedIn } from './chain.ts'
import { RefusedByStore } from './checked.ts'
import { pauseBeforeRetry } from './compare-and-set.ts'
import { closePosition, type End, type Epoch, highestFirst, numberAt } from './epoch.ts'
import { type Epochs, settledly } from './epochs.ts'
import {
  type Close,
  encodeClose,
  encodeSealOff,
  type FormerEpoch,
  isIn,
  leftOutBy,
  type NumberRange,
  without,
} from './marker.ts'
import { versionsOf } from './read-ahead.ts'
import { openWith, writerOf } from './record.ts'
import {
  NO_HASH,
  NO_ID,
  NOWHERE,
  type ParsedRecord,
  type Position,
  positionText,
  type RecordFields,
  wellFormed,
} from './record-layout.ts'
import { dropSettled, writeSettled } from './settle.ts'

/** How often to begin again, when other machines were quicker. */
const ROUNDS = 12

const MAX_EPOCH = 0xffff_ffff
const MAX_FORMER = 0xffff

/** Returns whether this is the position of a damaged record or close, of which a reader does not know the id. */
const isWithoutId = ({ id }: Position): boolean => equalBytes(id, NO_ID)

export interface ResealOptions {
  readonly atLeast: Position
  readonly upTo: Position | undefined
  readonly leaveOut: readonly Position[]
}

export interface Resealed {
  readonly position: Position
  readonly copied: number
}

/** Seals a log again. See `Log.reseal`. */
export async function resealLog(epochs: Epochs, options: ResealOptions): Promise<Resealed> {
  const { marker, open, write } = epochs.keys
  if (marker === undefined || open === undefined || write === undefined)
    throw new TypeError('these keys cannot reseal a log: pass the keyset, the vault or the scope')
  marker()
  for (let round = 1; round <= ROUNDS; round++) {
    const started = Date.now()
    const resealing = await Resealing.begin(epochs, options)
    const isNeeded = await resealing.isNeeded()
    if (!isNeeded || (await resealing.run())) {
      const { epoch } = await epochs.find()
      await tidy(epochs, epoch)
      const { last } = await settledly(async (isDoubted) => {
        const end = await epochs.find({ isDoubted })
        const content = await epochs.lastContent(end)
        // Otherwise this call has just written what leads to the close.
        if (!isNeeded) await assertClosed(epochs, end.epoch, content)
        return { last: content }
      })
      return { position: last ?? options.atLeast, copied: resealing.copied }
    }
    await pauseBeforeRetry(round, Date.now() - started)
  }
  throw new KeystrataError('conflict', 'other machines resealed this log, or wrote into the new epoch, on every try', {
    object: 'log',
  })
}

/**
 * Raises the pointer, and drops what former epochs hold below their seal-offs, and what was given up between the last of
 * them and the current one. What is above the current epoch is never touched.
 */
async function tidy(epochs: Epochs, current: Epoch): Promise<void> {
  if (current.epoch === 0) return
  await epochs.raisePointer(current.epoch)
  const former = await epochs.closedBy(current)
  if (former === undefined) return
  for (const { epoch, count } of former) await dropBelow(epochs, epoch, count + 1)
  for (let epoch = (former.at(-1)?.epoch ?? current.epoch) + 1; epoch < current.epoch; epoch++) {
    const newest = await epochs.store.read(epochs.nameOf(epoch))
    await dropBelow(epochs, epoch, newest?.version ?? 1)
  }
}

async function dropBelow(epochs: Epochs, epoch: number, version: number): Promise<void> {
  const name = epochs.nameOf(epoch)
  if (version === 1 || (await epochs.store.readVersion(name, 1)) === undefined) return
  try {
    await dropSettled(epochs.store, name, () => Promise.resolve(version))
  } catch (error) {
    // A store that refuses to delete keeps what nobody reads any more.
    if (!(error instanceof RefusedByStore)) throw error
  }
}

/** A new epoch that is being written. Nobody else writes into it, or it is given up. */
interface Target {
  readonly epoch: number
  readonly version: number
  /** The hash of its newest record. */
  readonly previous: Uint8Array
}

type TargetFields = Pick<RecordFields, 'epoch' | 'sequence' | 'previous' | 'isAfterDamage'>

/** One try to reseal a log. */
class Resealing {
  readonly #epochs: Epochs
  readonly #epoch: Epoch
  readonly #former: readonly FormerEpoch[]
  /** Whether the old epoch has its close. Without it, nothing shows that the copies are whole. */
  readonly #isWhole: boolean
  /** The highest number to take over. */
  readonly #upTo: number
  /** The positions to leave out, as texts, by their numbers. */
  readonly #leaveOut: ReadonlyMap<number, ReadonlySet<string>>
  readonly #chain: Chain
  /** The newest version of the old epoch that is known. */
  #newest: number
  /** The last version of the old epoch that was taken over or left out. */
  #handled = 0
  /** The last content that was copied. */
  #last: Position = NOWHERE
  readonly #notCopied: NumberRange[] = []
  #target: Target | undefined
  #copied = 0

  private constructor(
    epochs: Epochs,
    { epoch, version }: End,
    former: readonly FormerEpoch[],
    isWhole: boolean,
    upTo: number,
    leaveOut: readonly Position[],
    chain: Chain,
  ) {
    this.#epochs = epochs
    this.#epoch = epoch
    this.#newest = version
    this.#former = former
    this.#isWhole = isWhole
    this.#upTo = upTo
    const named: Map<number, Set<string>> = new Map()
    for (const position of leaveOut) {
      const { number } = position
      named.set(number, (named.get(number) ?? new Set()).add(positionText(position)))
    }
    this.#leaveOut = named
    this.#chain = chain
  }

  get copied(): number {
    return this.#copied
  }

  /** Finds the end of the log, and the positions in it. */
  static async begin(epochs: Epochs, { atLeast, upTo, leaveOut }: ResealOptions): Promise<Resealing> {
    return settledly(async (isDoubted) => {
      const end = await epochs.find({ isDoubted, isOwner: true })
      const close = positionText(closePosition(end.epoch.base))
      const isConfirmed = leaveOut.some((position) => positionText(position) === close)
      const assertHas = hasOrReports(epochs, end)
      for (const position of highestFirst([atLeast, upTo]))
        await assertHas(position, isConfirmed || leaveOut.some(({ number }) => number === position.number))
      for (const position of highestFirst(leaveOut)) {
        if (isWithoutId(position)) epochs.assertReaches(end, position)
        else await assertHas(position, true)
      }
      const { former, damage } = await epochs.formerOf(end.epoch)
      if (damage !== undefined && !isConfirmed) throw damage
      const isOwn = end.epoch.ownerId !== undefined && equalBytes(end.epoch.ownerId, epochs.keys.ownerId)
      const isDone = upTo === undefined || (isOwn && isCut(upTo.number, former))
      const isWhole = damage === undefined
      if (!isDone && isOwn) assertUncut(upTo, former, isWhole ? 0 : end.epoch.base)
      const chain = await Chain.at(epochs, end.epoch, 1, NOWHERE)
      return new Resealing(epochs, end, former, isWhole, isDone ? Infinity : upTo.number, leaveOut, chain)
    })
  }

  /** Returns whether something is to be sealed again, or to be left out. */
  async isNeeded(): Promise<boolean> {
    const { keys, store, nameOf, logId } = this.#context
    const { ownerId, epoch } = this.#epoch
    const isOwn = ownerId === undefined || equalBytes(ownerId, keys.ownerId)
    if (!this.#isWhole || !isOwn || this.#highestAt(this.#newest) > this.#upTo || (await this.#leavesOut())) return true
    for await (const { bytes } of versionsOf(store, nameOf(epoch), 1, this.#newest)) {
      // If another owner has dropped this epoch meanwhile, that is seen when it is copied.
      if (bytes === undefined && (await store.readVersion(nameOf(epoch), 1)) === undefined) return true
      const record = bytes && wellFormed(bytes, logId)
      if (record?.kind === 'content' && !keys.isCurrent(record)) return true
    }
    return false
  }

  /** Returns whether something is there that is to be left out, or is damaged and has its number. */
  async #leavesOut(): Promise<boolean> {
    if (this.#leaveOut.size === 0) return false
    for await (const { placed, version } of placedIn(this.#epochs, this.#epoch, this.#newest))
      if (this.#isLeftOut(placed, version) || (placed.error && this.#leaveOut.has(placed.position.number))) return true
    return false
  }

  get #context() {
    const { keys, store, logId } = this.#epochs
    return { keys, store, logId, nameOf: (epoch: number) => this.#epochs.nameOf(epoch) }
  }

  /**
   * The highest number that the new epoch accounts for. If there is nothing behind `upTo`, one number is left out that
   * nobody has used. So a later call with the same `upTo` sees that this was done.
   */
  get #base(): number {
    const highest = this.#highestAt(this.#handled)
    return this.#upTo === Infinity ? highest : Math.max(highest, this.#upTo + 1)
  }

  /** Returns the highest number up to a version of the old epoch. */
  #highestAt(version: number): number {
    return version > this.#epoch.start ? numberAt(this.#epoch, version) : this.#epoch.base
  }

  /** Returns false if another owner was quicker, or somebody wrote into the new epoch. */
  async run(): Promise<boolean> {
    const { store, nameOf } = this.#context
    for (;;) {
      if (!(await this.#copy())) return false
      const target = await this.#close()
      if (target === undefined) return false
      const sealOff = await this.#sealOff(target)
      const [name, version] = [nameOf(this.#epoch.epoch), this.#handled + 1]
      for (let tries = 1; this.#newest <= this.#handled; tries++) {
        if ((await writeSettled(store, name, version, sealOff)) === 'written') return true
        const end = await this.#epochs.find({ isDoubted: true, isOwner: true })
        if (end.epoch.epoch === target.epoch) return true
        if (end.epoch.epoch !== this.#epoch.epoch || tries === ROUNDS) return false
        // If hosts have appended, the seal-off never arrives. If not, the same one is written again: it may still arrive.
        this.#newest = Math.max(end.version, this.#newest)
      }
    }
  }

  /** Copies what is in the old epoch, from where it stopped before. */
  async #copy(): Promise<boolean> {
    const epoch = this.#epoch
    while (this.#handled < this.#newest) {
      const first = this.#handled + 1
      for await (const step of this.#epochs.walk(epoch, first, this.#newest)) {
        const { record, version } = step
        if (record?.kind === 'seal-off') {
          await this.#epochs.find({ from: this.#epochs.behind(record) })
          return false
        }
        if (record === undefined && step.isGone) {
          const end = await this.#epochs.find({ isDoubted: true, isOwner: true })
          if (end.epoch.epoch !== epoch.epoch) return false
        }
        const placed = await this.#chain.next(step)
        if (placed !== undefined && !this.#isLeftOut(placed, version)) {
          if (placed.record === undefined) throw this.#epochs.damaged(epoch, version, placed.position, placed.error)
          if (!(await this.#copyRecord(placed.record))) return false
        }
        this.#handled = version
      }
    }
    return true
  }

  #isLeftOut({ position, record }: Placed, version: number): boolean {
    // A damaged version up to the close is named as a reader reports it: the copies before it may have been replaced.
    const isAlone = version > this.#epoch.start
    if (position.number > this.#upTo && (record !== undefined || isAlone)) return true
    const named = this.#leaveOut.get(position.number)
    // The id of a damaged record may not be known.
    return named !== undefined && ((record === undefined && isAlone) || named.has(positionText(position)))
  }

  async #copyRecord(record: ParsedRecord): Promise<boolean> {
    const { keys, logId } = this.#context
    const { number, id, header, sequence } = record
    const content = await this.#opened(record, sequence)
    const digest = sha256(content)
    using _ = wiping(content, digest)
    const fields = { kind: 'content', number, id } as const
    const written = await this.#write((place) =>
      writerOf(keys).seal({ ...fields, ...place }, logId, content, digest, header.suite),
    )
    if (written === undefined) return false
    if (number > this.#last.number + 1) this.#notCopied.push({ first: this.#last.number + 1, last: number - 1 })
    this.#last = { number, id }
    this.#copied++
    return true
  }

  async #opened(record: ParsedRecord, version: number): Promise<Bytes> {
    try {
      return await openWith(this.#epochs.keys, record)
    } catch (error) {
      if (error instanceof KeystrataError && error.code !== 'disposed')
        throw this.#epochs.damaged(this.#epoch, version, record, error)
      throw error
    }
  }

  /** Closes the copies. A later close in the same epoch supersedes an earlier one. Returns undefined like `#write`. */
  async #close(): Promise<Target | undefined> {
    if (this.#former.length === MAX_FORMER)
      throw new KeystrataError('limit-exceeded', 'this log was resealed too often: begin a new one', {
        object: 'log',
        epochs: this.#former.length,
      })
    const highest = this.#base
    const rest = this.#last.number < highest ? [{ first: this.#last.number + 1, last: highest }] : []
    const former = leftOutBy(this.#former)
    const close: Close = {
      former: [
        ...this.#former,
        {
          epoch: this.#epoch.epoch,
          count: this.#handled,
          last: this.#last,
          leftOut: without([...this.#notCopied, ...rest], former),
        },
      ],
      last: this.#last,
    }
    return this.#write((place) => this.#marked({ kind: 'close', number: highest, ...place }, encodeClose(close)))
  }

  #marked(fields: Omit<RecordFields, 'id'>, content: Bytes): Bytes {
    const { keys, logId } = this.#context
    const id = writerOf(keys).createId(logId, sha256(content))
    if (keys.marker === undefined) throw new TypeError('these keys cannot sign the markers of a log')
    return keys.marker()({ ...fields, id }, logId, content)
  }

  /** Encodes the seal-off that ends the old epoch behind what was copied. */
  async #sealOff({ epoch: next, version: close }: Target): Promise<Bytes> {
    const { epoch } = this.#epoch
    const last = await this.#epochs.versionAt(this.#epoch, this.#handled)
    const isDamaged = this.#epochs.readable(this.#epoch, this.#handled, last) === undefined
    return this.#marked(
      {
        kind: 'seal-off',
        epoch,
        sequence: this.#handled + 1,
        number: this.#base,
        previous: last === undefined ? NO_HASH : sha256(last),
        isAfterDamage: isDamaged,
      },
      encodeSealOff({ epoch: next, sequence: close }),
    )
  }

  /** Writes the next record of the new epoch. Returns undefined if another machine wrote into it. */
  async #write(encode: (place: TargetFields) => Bytes | Promise<Bytes>): Promise<Target | undefined> {
    const { store, nameOf } = this.#context
    let target = this.#target ?? { epoch: await this.#unusedEpoch(this.#epoch.epoch), version: 0, previous: NO_HASH }
    for (;;) {
      const { epoch, version, previous } = target
      const sequence = version + 1
      const bytes = await encode({ epoch, sequence, previous, isAfterDamage: false })
      if ((await writeSettled(store, nameOf(epoch), sequence, bytes)) === 'written') {
        return (this.#target = { epoch, version: sequence, previous: sha256(bytes) })
      }
      if (this.#target !== undefined) return undefined
      // Epochs are used without gaps. If nobody knows what became of the write, the same one is tried again.
      target = { epoch: await this.#unusedEpoch(epoch - 1), version: 0, previous: NO_HASH }
    }
  }

  /** Returns the next higher epoch that nobody has used. */
  async #unusedEpoch(above: number): Promise<number> {
    const { store, nameOf } = this.#context
    for (let epoch = above + 1; epoch <= MAX_EPOCH; epoch++)
      if ((await store.read(nameOf(epoch))) === undefined) return epoch
    throw new KeystrataError('limit-exceeded', 'this log is in its last possible epoch and cannot be resealed', {
      object: 'log',
      epoch: above,
    })
  }
}

/** Returns a check that a position is in the log, or is what a reader reports. It throws as `EpochRecords.locate` does. */
function hasOrReports(epochs: Epochs, end: End): (position: Position, mayBeDamaged: boolean) => Promise<void> {
  let reported: Set<string> | undefined
  return async (position, mayBeDamaged) => {
    try {
      await epochs.assertHas(end, position, mayBeDamaged)
    } catch (error) {
      if (!(error instanceof KeystrataError && error.code === 'forked')) throw error
      // Records of a thief may have other numbers, so that a search by number does not find it.
      if (reported === undefined) {
        reported = new Set()
        for await (const { placed } of placedIn(epochs, end.epoch, end.version))
          reported.add(positionText(placed.position))
      }
      if (!reported.has(positionText(position))) throw error
    }
  }
}

/**
 * Returns whether an earlier resealing has left out everything behind a number: it took over nothing behind it, although
 * there was something. What was appended since then stays.
 */
function isCut(upTo: number, former: readonly FormerEpoch[]): boolean {
  return former.some(({ last }, index) => last.number <= upTo && isIn(leftOutBy(former.slice(0, index + 1)), upTo + 1))
}

/**
 * Checks that `upTo` was not used before. If a close was damaged and written anew, the new one does not say where a number
 * was left out that is missing in it. As long as it is damaged, it says nothing.
 * @param unknown the highest number of which nothing is known, because the close is damaged
 * @throws KeystrataError `policy` if nothing shows that
 */
function assertUncut(upTo: Position, former: readonly FormerEpoch[], unknown: number): void {
  const [first] = former
  const isWhole = first === undefined || (first.epoch === 0 && (first.last.number > 0 || first.leftOut.length > 0))
  const mayBeCut = upTo.number < unknown || (!isWhole && isIn(leftOutBy(former), upTo.number + 1))
  if (!mayBeCut) return
  const position = positionText(upTo)
  const message =
    `a close of this log was damaged, so nothing shows whether an earlier call has left out everything behind ${position}: ` +
    'reseal without upTo, and pass the positions to leave out in leaveOut'
  throw new KeystrataError('policy', message, { rule: 'up-to', upTo: position })
}
