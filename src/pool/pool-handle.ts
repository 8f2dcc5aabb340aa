// What a program has of a pool: the same writers and readers in its threads, and streams of blocks that are rekeyed or verified.
import type { BlockHead, BlockReader, BlockWriter, SealedBlock } from '../blocks/block.ts'
import type { Bytes } from '../bytes.ts'
import type { KeystrataError } from '../errors.ts'
import type { KeysetReader } from '../handles/keyset-reader.ts'
import type { Share } from '../handles/share.ts'

/**
 * What became of one envelope.
 * @example
 * ```ts
 * import type { RekeyedHead } from 'keystrata/pool'
 *
 * const stateOf = ({ envelope, error }: RekeyedHead) => error?.code ?? (envelope ? 'rekeyed' : 'current')
 * ```
 */
export interface RekeyedHead {
  readonly label: string
  /** The new envelope; absent where the old one is current already. */
  readonly envelope?: Bytes
  /** Why there is none. */
  readonly error?: KeystrataError
}

/**
 * What is wrong with one block, if anything.
 * @example
 * ```ts
 * import type { VerifiedBlock } from 'keystrata/pool'
 *
 * const toLine = ({ label, error }: VerifiedBlock) => `${label}: ${error?.message ?? 'ok'}`
 * ```
 */
export interface VerifiedBlock {
  readonly label: string
  readonly error?: KeystrataError
}

/**
 * Threads that seal, open, verify and rekey. At most two blocks, or two lots of 32 envelopes, for each thread are under way
 * at once; the rest waits, a prepared block in the thread that has it. If a thread dies, its tasks reject with an Error
 * that says so, and another thread takes its place.
 * @example
 * ```ts
 * import type { BlockReader, SealedBlock } from 'keystrata'
 * import type { Pool } from 'keystrata/pool'
 *
 * async function findDamaged(blocks: AsyncIterable<SealedBlock>, reader: BlockReader, pool: Pool) {
 *   const damaged: string[] = []
 *   for await (const { label, error } of pool.verify(reader, blocks)) if (error) damaged.push(label)
 *   return damaged
 * }
 * ```
 */
export interface Pool extends AsyncDisposable {
  /** Lets what runs come to its end, refuses what waits (`disposed`), wipes the keys in all threads, and ends them. */
  close(): Promise<void>
  /**
   * The same writer, in the threads: of a keyset, of a vault, or a scope of a client. It has copies of the keys until the
   * pool is closed. Content is copied before the call returns.
   * @throws KeystrataError `disposed`
   * @throws TypeError for a writer of another library copy, and of clients under DES-56
   */
  writer(writer: BlockWriter): BlockWriter
  /**
   * The same reader, in the threads: of a keyset, a share, a vault, a client or a scope of it.
   * @throws KeystrataError `disposed`
   * @throws TypeError as {@link Pool.writer}
   */
  reader(reader: BlockReader): BlockReader
  /**
   * New envelopes for a stream of blocks, in the order of the stream; what cannot be rekeyed is told in its place, and the
   * rest goes on.
   * @param options `to`: a share of this reader's keyset that all blocks are added to, in the place of today's key pairs; `signal`: ends it
   * @throws KeystrataError `aborted`, `disposed`
   * @throws TypeError for a share of another keyset
   */
  rekey(
    reader: KeysetReader,
    heads: AsyncIterable<BlockHead>,
    options?: { to?: Share; signal?: AbortSignal },
  ): AsyncGenerator<RekeyedHead>
  /**
   * Opens a stream of blocks, and tells of each whether it does, in the order of the stream.
   * @param options `signal`: ends it
   * @throws KeystrataError `aborted`, `disposed`
   */
  verify(
    reader: BlockReader,
    blocks: AsyncIterable<SealedBlock>,
    options?: { signal?: AbortSignal },
  ): AsyncGenerator<VerifiedBlock>
}
