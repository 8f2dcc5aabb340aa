// What the owner of a keyset can do with it.
import type { BlockHead } from '../blocks/block.ts'
import type { SealedRecord } from '../blocks/record.ts'
import type { Bytes } from '../bytes.ts'
import type { Card } from '../keys/card.ts'
import type { KeysetDestination } from '../keys/keyset-contents.ts'
import type { Argon2Costs, HashOptions } from '../primitives/password.ts'
import type { Encryption, KeysetWriter, WriterOptions } from './keyset-writer.ts'
import type { RecordReader } from './records.ts'
import type { Share, SharedReader } from './share.ts'

/**
 * How a password is hashed, and how to follow or end the wait.
 * @example
 * ```ts
 * import { createKeyset, type PasswordOptions } from 'keystrata'
 *
 * const costs = { iterations: 2, memoryKiB: 131_072, lanes: 4 }
 * const options: PasswordOptions = { costs, signal: AbortSignal.timeout(60_000) }
 * using keyset = await createKeyset('correct horse battery staple', options)
 * const inStorage = keyset.export('source-storage')
 * ```
 */
export interface PasswordOptions extends HashOptions {
  /**
   * Creating: what a guess shall cost; by default 64 MiB, 3 iterations, 4 lanes. Unlocking: the most that this device is
   * ready to spend; an export that asks for more is `limit-exceeded`.
   */
  costs?: Argon2Costs
}

/**
 * A keyset with its private halves: opens every block, and gives the exports and the writers.
 * @example
 * ```ts
 * import type { KeysetReader } from 'keystrata'
 *
 * async function newPassword(keyset: KeysetReader, next: string) {
 *   using changed = await keyset.changePassword(next)
 *   return { host: changed.export('host'), storage: changed.export('source-storage') } // in the place of the old ones
 * }
 * ```
 */
export interface KeysetReader extends RecordReader {
  /** 32 hex digits: random, and the same for the whole life of the keyset. */
  readonly id: string
  /** Grows by one with every change of the keys. */
  readonly version: number
  /** The ids of the shares that are active, 32 hex digits each; none if this was unlocked from a `source-definition`. */
  readonly shares: readonly string[]
  /**
   * The bytes to keep in one of three places, the same at every call. `host`: on the machine that backs up, where
   * {@link openWriter} needs no password; keep it private, it holds the dedup secrets openly. `source-storage`: beside the
   * backup, all secrets sealed. `source-definition`: sealed too, without the keys for sharing and those of the past.
   * @throws KeystrataError `policy` for `host` and `source-storage` if this was unlocked from a `source-definition`; `disposed`
   */
  export(to: KeysetDestination): Bytes
  /**
   * The public keys that others need to seal something to the owner of this keyset; the same at every call.
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `disposed`
   */
  card(): Card
  /**
   * The same keys under another password: only the Argon2 record changes, so every export that is kept must be replaced. An
   * old copy still opens with the old password.
   * @param options `costs`: by default those of the old password; `newMaster`: a fresh master key too, so that who kept the
   *   old one opens no later export
   * @throws KeystrataError `limit-exceeded`, `aborted` as {@link createKeyset}; `policy` for `newMaster` if this was
   *   unlocked from a `source-definition`; `disposed`
   */
  changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean }): Promise<KeysetReader>
  /**
   * New key pairs for blocks; the old ones are kept, so what is stored still opens. In an order that survives a crash: store
   * the exports and unlock one, replace the host export, {@link KeysetReader.rekey} every block and
   * {@link KeysetReader.resealRecords} every log, then `forgetRetired`. Of a share get a new handle too: an old one cannot add what was rekeyed.
   * @param options `encryption`: what the new key pairs demand and writers do by default; by default as before
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `limit-exceeded` beyond about 600 key
   *   pairs of the past and shares; `disposed`
   */
  regenerate(options?: { encryption?: Encryption }): KeysetReader
  /**
   * Whether a block is under today's key pairs. Unencrypted ones are; those of another owner are not.
   * @throws KeystrataError `malformed`, `unsupported` if it is no envelope of a keyset; `disposed`
   */
  isCurrent(envelope: Uint8Array): boolean
  /**
   * A new envelope under today's key pairs; the ciphertext stays as it is, and is not needed. A current block gets a fresh
   * envelope, an unencrypted one the same. Keep the old envelope until the new one is stored. Whoever held the old
   * envelope's key can still open the block: to take that away, seal the content anew.
   * @throws KeystrataError `key-not-found` if it is addressed to a key pair that is not held here; `policy` if it is weaker
   *   than that pair demands; `authentication-failed`, `malformed`, `unsupported`, `disposed`
   */
  rekey(head: BlockHead): Bytes
  /**
   * Seals all records of a log anew, under today's key pairs and in the next epoch; the last one that this gives closes the
   * epoch. Store them beside the old ones, which may go when the last is stored: of several epochs take the highest that is
   * closed, or 0. New records follow the closing one. The chain is verified on the way, from its start. If it stopped, delete
   * the epoch that is not closed, and begin again; let nobody append to the old one meanwhile.
   * @param records all records of one epoch, in order
   * @throws KeystrataError as `openRecord`, at the record in question
   */
  resealRecords(records: AsyncIterable<Uint8Array>): AsyncGenerator<SealedRecord>
  /**
   * Drops the key pairs of the past: blocks that were not rekeyed and records that were not resealed do not open any more, for
   * good.
   * @param done both must be true, in writing
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `disposed`
   * @throws TypeError unless both are true
   */
  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): KeysetReader
  /**
   * A share with key pairs of its own, for any number of recipients; or straight to the key pairs of one card, whose owner
   * then needs no keys from here. It is part of the new handle: store its exports. Writers of its host export mask new
   * blocks for it.
   * @param options `to`: a card whose fingerprint was compared; everything in a straight share says openly whose card it is
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `key-changed` if card and fingerprint
   *   do not belong together; `malformed`, `unsupported`, `authentication-failed` for what is no card; `limit-exceeded`
   *   beyond about 600 shares; `disposed`
   */
  createShare(options?: { to?: Card }): { reader: KeysetReader; share: Share }
  /**
   * An active share, with a life of its own.
   * @throws KeystrataError `key-not-found` if there is none with that id; `policy` if this was unlocked from a
   *   `source-definition`; `disposed`
   */
  share(id: string): Share
  /**
   * Ends a share: writers and readers of the new exports write nothing more for it. Older ones still do, so replace every
   * host export, and dispose of older readers, of their writers and of the `Share`. What was added stays open to its
   * readers; to take it away, seal the content anew.
   * @throws KeystrataError `key-not-found`, `policy`, `disposed` as {@link KeysetReader.share}
   */
  revokeShare(id: string): KeysetReader
  /**
   * Opens an invite to this keyset's card. The reader has a life of its own. Keep the invite: it is what survives a restart.
   * @param from the card of the one who shares, whose fingerprint was compared
   * @throws KeystrataError `authentication-failed` if it is not from the owner of that card, or was altered;
   *   `key-not-found` if it is to another card; `policy` if this was unlocked from a `source-definition`; `key-changed` if
   *   card and fingerprint do not belong together; `malformed`, `unsupported`, `disposed`
   */
  acceptShare(invite: Uint8Array, from: Card): SharedReader
  /**
   * A writer with a life of its own.
   * @throws KeystrataError `policy` for weaker encryption than the keyset's minimum; `disposed`
   */
  writer(options?: WriterOptions): KeysetWriter
}
