// Logs in a store (SPEC §7.4): the index of a backup, configuration, an audit trail. Many machines may append to one log
// while others read it, and while its owner reseals it under new keys.
import { type Bytes, copyOf, equalBytes, wipe } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { optionsFrom } from '../core/options.ts'
import { sha256 } from '../primitives/hash.ts'
import { assertClosed, Chain } from './chain.ts'
import { CheckedStore } from './checked.ts'
import { pauseBeforeRetry } from './compare-and-set.ts'
import { type End, type Epoch, highestFirst, numberAt } from './epoch.ts'
import { Epochs, settledly } from './epochs.ts'
import { versionsOf } from './read-ahead.ts'
import { openWith, recordContentFrom, recordKeysOf, type RecordReader, type RecordWriter, writerOf } from './record.ts'
import {
  logIdOf,
  NO_HASH,
  NO_ID,
  NOWHERE,
  type ParsedRecord,
  parsePosition,
  type Position,
  positionText,
  type RecordFields,
  wellFormed,
} from './record-layout.ts'
import { resealLog } from './reseal.ts'
import { type Outcome, writeSettled } from './settle.ts'
import type { StateStore } from './store.ts'
import { FLOOR } from './version.ts'

/** How often to append again, when other machines were quicker. */
const TRIES = 100

/**
 * Appends to a log. {@link openLog} opens one.
 * @example
 * ```ts
 * import type { LogWriter } from 'keystrata'
 *
 * const note = (text: string, log: LogWriter) => log.append(new TextEncoder().encode(text))
 * ```
 */
export interface LogWriter {
  /**
   * Appends a record. It is safe beside other machines that append, and beside one that reseals. All of the content is
   * read before the promise is returned. If the last record is damaged, it is passed by.
   * @param content at most 64 MiB
   * @returns the position of the record, a text: its number and its id, which stay when the log is resealed
   * @throws KeystrataError `policy` if the log belongs to another owner, or to an adopted one: reseal it first
   * @throws KeystrataError `conflict` if other machines were quicker on every one of 100 tries: nothing was appended. But
   *   if the store does not say what became of a write, `detail.unsettled` is the position that may still arrive
   * @throws KeystrataError `missing` or `authentication-failed` if the store lost or damaged what leads to the end of the log
   * @throws KeystrataError `limit-exceeded`, `disposed`
   * @throws TypeError if the store returns an invalid answer; the store's own errors. If it never answered a write, the
   *   message says that it may have happened
   */
  append(content: Uint8Array): Promise<string>
}

/**
 * Reads a log. {@link openLog} opens one.
 * @example
 * ```ts
 * import type { LogReader } from 'keystrata'
 *
 * async function printAll(log: LogReader) {
 *   for await (const { position, content } of log.read()) console.log(position, new TextDecoder().decode(content))
 * }
 * ```
 */
export interface LogReader {
  /**
   * Reads the newest content, with few reads. Damaged records at the end are passed by, so pass `atLeast` if you know a
   * position: without it, this trusts every host that can write. With it, a resealed record is not returned if a thief may
   * have replaced it.
   * @param options `atLeast`: a position that the log must have
   * @returns undefined if the log is empty
   * @throws KeystrataError `rollback` if the log ends before `atLeast`, after several reads
   * @throws KeystrataError `forked` if another record has its number
   * @throws KeystrataError `key-not-found` if the record is under a key pair that this handle does not have
   * @throws KeystrataError as {@link LogReader.read} otherwise
   */
  last(options?: { atLeast?: string }): Promise<{ position: string; content: Bytes } | undefined>
  /**
   * Reads and verifies all records in order, up to the newest at the time of the call.
   * @param options `after`: begins behind this position. `atLeast`: a position that the log must have. `onDamaged`: is called
   *   for each record that cannot be read, and reading goes on; without it such a record is an error. Its position has
   *   zeros in place of the id if that is not known. If a close behind resealed records is damaged, that is reported in
   *   the same way: a thief may have replaced them
   * @throws KeystrataError `rollback` if the log ends before `after` or `atLeast`, after several reads
   * @throws KeystrataError `forked` if another record has the number of one of them
   * @throws KeystrataError the reason why a record cannot be read, with `detail.position`, if there is no `onDamaged`
   * @throws KeystrataError `policy` if the log belongs to another owner
   * @throws KeystrataError `missing` or `authentication-failed` if the store lost or damaged what leads to the end of the log
   * @throws KeystrataError `disposed` if the handle of the keys was disposed of
   * @throws TypeError if the store returns an invalid answer, or `after` or `atLeast` is not a position; the store's own
   *   errors
   */
  read(options?: {
    after?: string | undefined
    atLeast?: string
    onDamaged?: ((error: KeystrataError, position: string) => void) | undefined
  }): AsyncGenerator<{ position: string; content: Bytes }>
}

/**
 * Appends to a log, reads it, and reseals it under new keys. {@link openLog} opens one.
 * @example
 * ```ts
 * import type { Log } from 'keystrata'
 *
 * const resealAfter = async (log: Log, lastKnown: string) => (await log.reseal({ atLeast: lastKnown })).position
 * ```
 */
export interface Log extends LogWriter, LogReader {
  /**
   * Seals all records again, under today's key pair, in a new epoch. Numbers and ids stay. Hosts may append meanwhile. It
   * may be killed at any point and called again. It does nothing if all records are current and their close is whole. In a
   * keyset it signs with the card's key, so no host can do this. Of the old epoch one small record stays.
   * @param options `atLeast`: a position that the log must have; nothing shorter is ever closed. `upTo`: nothing behind this
   *   position is taken over, whoever wrote it, so that what a thief appended stays out. If an earlier call has left
   *   out everything behind it, what was appended since stays. `leaveOut`: positions of records that are not
   *   taken over, such as those that {@link LogReader.read} reported. With zeros in place of the id, only what is
   *   damaged is left out; if that is a close, it is written anew, over the records that can be read
   * @returns `position`: the last record, to keep as the next `atLeast`; `copied`: how many records were sealed again
   * @throws KeystrataError `rollback` if the log ends before one of the positions, after several reads
   * @throws KeystrataError `forked` if another record has the number of one of them
   * @throws KeystrataError the reason why a record or a close cannot be read, with `detail.position`. To go on without it,
   *   pass that position in `leaveOut`
   * @throws KeystrataError `policy` if a close is or was damaged, so that nothing shows whether an earlier call has used this
   *   `upTo`: what is behind it may have been appended since
   * @throws KeystrataError `policy` if the keyset was unlocked from a `definition`, or the log belongs to another owner
   * @throws KeystrataError `conflict` if other machines were quicker on every try
   * @throws KeystrataError `limit-exceeded` in the last possible epoch, or after too many resealings
   * @throws TypeError if these keys cannot reseal, as those of a share; the store's own errors
   */
  reseal(options: {
    atLeast: string
    upTo?: string
    leaveOut?: readonly string[] | undefined
  }): Promise<{ position: string; copied: number }>
}

/**
 * Opens a log in a store. This reads nothing yet. Its objects are `log/<id>` and `log/<id>/<epoch>`, where the id follows
 * from the name. Give each keyset, vault, scope and share a prefix of its own (`prefixed`), except that a keyset shares
 * one with those that it adopted. Keep one log object for many appends: it remembers where the log ends.
 * @param name 1 to 255 bytes of text, which is not secret
 * @param keys a keyset, a vault, or a scope of a client: they do everything. The writer of a keyset, a `Share` of its owner
 *   and `writer.share(id)` append, and a `SharedReader` reads
 * @throws KeystrataError `invalid-text` if the name is empty, over 255 bytes, or has a character that no name may have
 * @throws KeystrataError `policy` for the scope `public`, and under DES-56: they have no records
 * @throws KeystrataError `disposed` if this handle was disposed of
 * @throws TypeError if `keys` is not a handle from this copy of the library, or `store` is not a StateStore
 * @example
 * ```ts
 * import { createKeyset, openLog } from 'keystrata'
 * import { memoryStateStore } from 'keystrata/stores'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * const log = openLog(memoryStateStore(), 'backups', keyset)
 * const position = await log.append(new TextEncoder().encode('first backup'))
 * console.log((await log.last({ atLeast: position }))?.content.length) // 12
 * ```
 */
export function openLog(store: StateStore, name: string, keys: RecordWriter & RecordReader): Log
export function openLog(store: StateStore, name: string, keys: RecordWriter): LogWriter
export function openLog(store: StateStore, name: string, keys: RecordReader): LogReader
export function openLog(store: StateStore, name: string, keys: RecordWriter | RecordReader): Log {
  const logId = logIdOf(name)
  const keysOfHandle = recordKeysOf(keys)
  // A handle without records, or one that was disposed of, is a mistake even if the log is empty.
  keysOfHandle()
  return new StoredLog(new Epochs(new CheckedStore(store), logId, keysOfHandle))
}

/** An attempt to append of which nobody knows what became. */
interface Attempt extends Pick<RecordFields, 'epoch' | 'sequence' | 'number'> {
  readonly hash: Uint8Array
  readonly outcome: Outcome
}

export class StoredLog implements Log {
  readonly #epochs: Epochs
  /** Appends of one handle wait for each other: they would only disturb each other. */
  #appending: Promise<unknown> = Promise.resolve()

  constructor(epochs: Epochs) {
    this.#epochs = epochs
  }

  async append(given: Uint8Array): Promise<string> {
    const content = copyOf(recordContentFrom(given))
    const writer = writerOf(this.#epochs.keys)
    const digest = sha256(content)
    const id = writer.createId(this.#epochs.logId, digest)
    const appended = this.#appending.then(() => this.#append(content, digest, id))
    this.#appending = appended.catch(() => undefined)
    return appended.finally(() => wipe(content, digest))
  }

  async #append(content: Uint8Array, digest: Uint8Array, id: Uint8Array): Promise<string> {
    const epochs = this.#epochs
    const attempts: Attempt[] = []
    for (let tries = 1; tries <= TRIES; tries++) {
      const started = Date.now()
      const end = await epochs.find()
      const arrived = await this.#arrived(attempts, end, id)
      if (arrived !== undefined) return positionText({ number: arrived.number, id })
      this.#assertOwn(end.epoch)
      await epochs.raisePointer(end.epoch.epoch)
      const fields = fieldsBehind(end, id)
      const { epoch, sequence, number } = fields
      const record = await writerOf(epochs.keys).seal(fields, epochs.logId, content, digest)
      const outcome = await writeSettled(epochs.store, epochs.nameOf(epoch), sequence, record)
      if (outcome === 'written') {
        epochs.remember(end.epoch, sequence, record)
        return positionText(fields)
      }
      attempts.push({ epoch, sequence, number, hash: sha256(record), outcome })
      await pauseBeforeRetry(tries, Date.now() - started)
    }
    const end = await epochs.find()
    const arrived = await this.#arrived(attempts, end, id)
    if (arrived !== undefined) return positionText({ number: arrived.number, id })
    const unsettled = attempts.findLast(({ outcome }) => outcome === 'unknown')
    if (unsettled === undefined)
      throw new KeystrataError('conflict', 'other machines appended to this log on every try: try again later', {
        object: 'log',
        tries: TRIES,
      })
    const position = positionText({ number: unsettled.number, id })
    const message = `other machines appended to this log on every try, and ${position} may still arrive: read it again`
    throw new KeystrataError('conflict', message, { object: 'log', tries: TRIES, unsettled: position })
  }

  /** Returns the attempt that is in the log, as it was written, or as a copy with its number and the id. */
  async #arrived(attempts: readonly Attempt[], { epoch, version }: End, id: Uint8Array): Promise<Attempt | undefined> {
    for (const attempt of attempts) {
      const isCopied = attempt.epoch !== epoch.epoch
      const at = isCopied ? await this.#epochs.firstFrom(epoch, attempt.number) : attempt.sequence
      const record = at <= version ? await this.#epochs.readableAt(epoch, at) : undefined
      if (record?.kind !== 'content' || record.number !== attempt.number || !equalBytes(record.id, id)) continue
      if (isCopied || attempts.some(({ hash }) => equalBytes(hash, sha256(record.encoded.bytes)))) return attempt
    }
    return undefined
  }

  /** @throws KeystrataError `policy` if the epoch belongs to an adopted source */
  #assertOwn({ ownerId }: Epoch): void {
    if (ownerId === undefined || equalBytes(ownerId, this.#epochs.keys.ownerId)) return
    const message = 'this log belongs to a keyset that was adopted: reseal it before you append to it'
    throw new KeystrataError('policy', message, { rule: 'reseal-first' })
  }

  async last(options?: { atLeast?: string }): Promise<{ position: string; content: Bytes } | undefined> {
    const { atLeast } = optionsFrom(options, FLOOR, 'last')
    const floor = atLeast === undefined ? undefined : parsePosition(atLeast, 'atLeast')
    const { record } = await settledly(async (isDoubted) => {
      const end = await this.#epochs.find({ isDoubted })
      if (floor !== undefined) await this.#epochs.locate(end, floor)
      const last = await this.#epochs.lastContent(end)
      if (floor !== undefined) await assertClosed(this.#epochs, end.epoch, last)
      return { record: last }
    })
    if (record === undefined) return undefined
    return { position: positionText(record), content: await openWith(this.#epochs.keys, record) }
  }

  async *read(options?: Parameters<LogReader['read']>[0]): AsyncGenerator<{ position: string; content: Bytes }> {
    const rules = { after: 'optional', ...FLOOR, onDamaged: 'optional' } as const
    const { after, atLeast, onDamaged } = optionsFrom(options, rules, 'read')
    const start = after === undefined ? undefined : parsePosition(after, 'after')
    const floor = atLeast === undefined ? undefined : parsePosition(atLeast, 'atLeast')
    const epochs = this.#epochs
    const assertReaches = async (found: End) => {
      for (const each of highestFirst([start, floor])) await epochs.assertHas(found, each, onDamaged !== undefined)
    }
    let end = await settledly(async (isDoubted) => {
      const found = await epochs.find({ isDoubted })
      await assertReaches(found)
      return found
    })
    let position: Position = start ?? NOWHERE
    /** The highest number that was returned, or reported. */
    let reached = position.number
    /** The hashes of copies that were returned, until their close was read. */
    const unclosed: Map<number, Bytes> = new Map()
    let first: number
    ;({ end, first } = await this.#placeBehind(end, reached))
    let chain: Chain | undefined
    for (;;) {
      const { epoch, version } = end
      chain ??= await Chain.at(epochs, epoch, first, position)
      let next: End | undefined
      for await (const step of epochs.walk(epoch, first, version)) {
        const { record } = step
        if (record?.kind === 'seal-off') next = await epochs.find({ from: epochs.behind(record) })
        else if (record === undefined && step.isGone) next = await epochs.find({ isDoubted: true })
        if (next !== undefined && next.epoch.epoch !== epoch.epoch) break
        first = step.version + 1
        const placed = await chain.next(step)
        ;({ position } = chain)
        if (step.version === epoch.start) unclosed.clear()
        if (placed === undefined) continue
        let found = placed.record === undefined ? placed : await this.#opened(placed.record)
        if ('content' in found && position.number <= reached) {
          // It was returned from an epoch that has ended since. Only the close of this epoch shows that it was genuine.
          const hash = unclosed.get(position.number)
          if (hash === undefined || equalBytes(hash, sha256(found.content))) continue
          found = { error: authenticationFailed() }
        }
        reached = Math.max(reached, position.number)
        if ('content' in found) {
          if (step.version < epoch.start) unclosed.set(position.number, sha256(found.content))
          yield { position: positionText(placed.position), content: found.content }
          continue
        }
        const error = epochs.damaged(epoch, step.version, placed.position, found.error)
        if (onDamaged === undefined) throw error
        onDamaged(error, String(error.detail['position']))
      }
      if (next === undefined) return
      // The end stays the one that was found first, so that a store cannot hide that it has lost records since.
      if (next.epoch.epoch === epoch.epoch) continue
      await assertReaches(next)
      const [lowest = reached + 1] = unclosed.keys()
      position = { number: lowest - 1, id: NO_ID }
      ;({ end, first } = await this.#placeBehind(next, position.number))
      chain = undefined
    }
  }

  /** Finds the first version with a higher number. If the epoch was dropped meanwhile, this looks in the current one. */
  async #placeBehind(end: End, number: number): Promise<{ end: End; first: number }> {
    const epochs = this.#epochs
    const { epoch, version } = end
    const first = await epochs.firstBehind(epoch, number)
    if (number >= epoch.base || version === 0 || (await epochs.versionAt(epoch, 1)) !== undefined) return { end, first }
    const found = await epochs.find({ isDoubted: true })
    return found.epoch.epoch === epoch.epoch ? { end, first } : this.#placeBehind(found, number)
  }

  /** Opens a record, or returns why it does not open. */
  async #opened(record: ParsedRecord): Promise<{ id: Uint8Array; content: Bytes } | { error: KeystrataError }> {
    try {
      return { id: record.id, content: await openWith(this.#epochs.keys, record) }
    } catch (error) {
      if (error instanceof KeystrataError && error.code !== 'disposed') return { error }
      throw error
    }
  }

  async reseal(options: Parameters<Log['reseal']>[0]): Promise<{ position: string; copied: number }> {
    const rules = { atLeast: 'required', upTo: 'defined', leaveOut: 'optional' } as const
    const hint = ': the last position that you know'
    const { atLeast, upTo, leaveOut = [] } = optionsFrom(options, rules, 'reseal', hint)
    if (!Array.isArray(leaveOut)) throw new TypeError('leaveOut must be an array of positions')
    const last = await resealLog(this.#epochs, {
      atLeast: parsePosition(atLeast, 'atLeast'),
      upTo: upTo === undefined ? undefined : parsePosition(upTo, 'upTo'),
      leaveOut: (leaveOut as readonly string[]).map((each) => parsePosition(each, 'leaveOut')),
    })
    return { position: positionText(last.position), copied: last.copied }
  }

  /** Reads the key ids of all content records. They are not encrypted, and read without any check. */
  async *keyIds(): AsyncGenerator<Uint8Array> {
    const { epoch, version } = await this.#epochs.find()
    for await (const { bytes } of versionsOf(this.#epochs.store, this.#epochs.nameOf(epoch.epoch), 1, version)) {
      const record = bytes && wellFormed(bytes, this.#epochs.logId)
      if (record?.kind === 'content') yield record.header.keyId
    }
  }
}

/** Returns the fields of the record behind the end of a log. */
function fieldsBehind({ epoch, version, record, bytes }: End, id: Uint8Array): RecordFields {
  const sequence = version + 1
  return {
    kind: 'content',
    epoch: epoch.epoch,
    sequence,
    number: numberAt(epoch, sequence),
    id,
    previous: bytes === undefined ? NO_HASH : sha256(bytes),
    isAfterDamage: bytes !== undefined && record === undefined,
  }
}
