// The one door: what a backup tool codes against, whatever the key model (SPEC §6).
// A prepared block of any key model: it can be sealed once, or disposed of.
import { type Bytes, bytesFrom, concat, toHex, wipe } from './bytes.ts'
import { envelopeLength, MAX_CIPHERTEXT_BYTES } from './envelope.ts'
import { KeystrataError } from './errors.ts'
import { parseLabel } from './label.ts'
import { type Handle, SecretHolder } from './secret.ts'

/**
 * The small parts of a block.
 * @example
 * ```ts
 * import type { BlockHead, KeysetReader } from 'keystrata'
 *
 * const rekeyed = (head: BlockHead, reader: KeysetReader) => ({ ...head, envelope: reader.rekey(head) })
 * ```
 */
export interface BlockHead {
  /** 64 lower-case hex digits: the name that the block has in the store, and never read from the stored bytes. */
  readonly label: string
  /**
   * What leads to the block's key. Of a keyset 1,713 bytes with `hybrid`, 145 with `x25519`, 49 unencrypted; of a vault
   * 128; of a client 112, in the scope `public` 49, under DES-56 88.
   */
  readonly envelope: Uint8Array
}

/**
 * A sealed block: store {@link encodeBlock} of it under its label.
 * @example
 * ```ts
 * import type { SealedBlock } from 'keystrata'
 *
 * const bytesToStore = ({ envelope, ciphertext }: SealedBlock) => envelope.length + ciphertext.length
 * ```
 */
export interface SealedBlock extends BlockHead {
  /** The content and at most 80 bytes; of a vault's block as long as the content. It never changes again. */
  readonly ciphertext: Uint8Array
  /**
   * Where shares were asked for: by the id of each, the envelope for its reader. Store them where its recipients find them;
   * if the store has the block already, and dedup is `off`, they are of no use.
   */
  readonly shared?: ReadonlyMap<string, Uint8Array>
}

/**
 * How a block is sealed.
 * @example
 * ```ts
 * import type { KeysetWriter, SealOptions } from 'keystrata'
 *
 * const forAllShares = ({ shares }: KeysetWriter): SealOptions => ({ shares })
 * ```
 */
export interface SealOptions {
  /** The ids of active shares, whose readers shall open the block too. Only keysets have shares. */
  shares?: readonly string[] | undefined
}

/**
 * Seals blocks.
 * @example
 * ```ts
 * import type { BlockWriter } from 'keystrata'
 *
 * async function labelOf(content: Uint8Array, writer: BlockWriter) {
 *   using prepared = await writer.prepare(content) // not sealed: it costs no encryption
 *   return prepared.label
 * }
 * ```
 */
export interface BlockWriter {
  /**
   * Copies and hashes the content, at most 64 MiB. All of it is read before this returns its promise, so nothing that
   * the caller does to `content` afterwards matters. Ask the store for the label, and seal only what it has not.
   * @throws KeystrataError `limit-exceeded` for larger content, `disposed`
   * @throws TypeError for content that is not a Uint8Array
   */
  prepare(content: Uint8Array): Promise<PreparedBlock>
  /** Prepares and seals in one call, with the errors of both. */
  seal(content: Uint8Array, options?: SealOptions): Promise<SealedBlock>
}

/**
 * Content that was copied and named, and is not encrypted yet. It disposes of itself once sealed.
 * @example
 * ```ts
 * import type { PreparedBlock } from 'keystrata'
 *
 * async function sealNew(prepared: PreparedBlock, stored: ReadonlySet<string>) {
 *   using block = prepared // wiped, whether it was sealed or not
 *   return stored.has(block.label) ? undefined : await block.seal()
 * }
 * ```
 */
export interface PreparedBlock extends Handle {
  /** 64 lower-case hex digits: the name in the store. A store must be create-only per label. */
  readonly label: string
  /**
   * Encrypts the copy in place, once, under a fresh key agreement or, in a vault, fresh keys.
   * @throws KeystrataError `disposed` if it was sealed or disposed of before, or its writer was; `key-not-found` for the id
   *   of no active share, `policy` for shares of an unencrypted block, `malformed` for a share with keys that are none:
   *   then it can be sealed still
   * @throws TypeError for `shares` of a key model that has none
   */
  seal(options?: SealOptions): Promise<SealedBlock>
  /**
   * The envelopes for the readers of shares, by their ids, of a block that the store has already. It stays as it is, to be
   * sealed or disposed of.
   * @throws KeystrataError `policy` where dedup is `off`, whose stored block has a key of its own, and for an unencrypted
   *   block; `key-not-found` for the id of no active share; `malformed` for one with keys that are none; `disposed`
   * @throws TypeError where the key model has no shares
   */
  envelopesFor(shares: readonly string[]): Promise<ReadonlyMap<string, Bytes>>
}

/**
 * Opens blocks.
 * @example
 * ```ts
 * import type { BlockReader, SealedBlock } from 'keystrata'
 *
 * const readText = async (block: SealedBlock, by: BlockReader) => new TextDecoder().decode(await by.open(block))
 * ```
 */
export interface BlockReader {
  /**
   * Checks everything, then returns the content; the label is computed again from what was opened.
   * @throws KeystrataError `authentication-failed` if anything was altered or swapped, the label included; `key-not-found`
   *   if the block is addressed to another keyset (another vault's is `authentication-failed`); `policy` if it is protected
   *   more weakly than its key pairs demand; `malformed`, `unsupported`, `limit-exceeded` if it is no such block;
   *   `disposed`
   */
  open(block: SealedBlock): Promise<Bytes>
}

/** The head of a block by its bytes; each property is read once, so that what is checked is what is used. */
export function headOf(head: BlockHead): { readonly envelope: Uint8Array; readonly label: Bytes } {
  assertBlock(head)
  const { envelope, label } = head
  return { envelope: bytesFrom(envelope, 'envelope'), label: parseLabel(label) }
}

/** As {@link headOf}, with the ciphertext. */
export function partsOf(block: SealedBlock): ReturnType<typeof headOf> & { readonly ciphertext: Uint8Array } {
  assertBlock(block)
  const { envelope, ciphertext, label } = block
  return { ciphertext: bytesFrom(ciphertext, 'ciphertext'), ...headOf({ envelope, label }) }
}

/** @throws TypeError for what is likely to be given in the place of a block */
function assertBlock(block: BlockHead): void {
  if (block instanceof Promise) throw new TypeError('a block, not a promise: await it')
  if (block instanceof Uint8Array)
    throw new TypeError('a block is what parseBlock makes of stored bytes and their label')
}

/**
 * The bytes to store: envelope ‖ ciphertext, never the label. A copy; a store that can write two pieces one after the
 * other saves it.
 * @throws TypeError for parts that are not Uint8Arrays
 * @example
 * ```ts
 * import { createKeyset, encodeBlock } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * using writer = keyset.writer()
 * const block = await writer.seal(new TextEncoder().encode('my file'))
 * const store = new Map([[block.label, encodeBlock(block)]])
 * console.log(store.get(block.label)?.length) // 1768
 * ```
 */
export function encodeBlock(block: SealedBlock): Bytes {
  assertBlock(block)
  return concat(bytesFrom(block.envelope, 'envelope'), bytesFrom(block.ciphertext, 'ciphertext'))
}

/**
 * Takes stored bytes apart; the parts are views of `stored`. Nothing is checked but the form: {@link BlockReader.open} does.
 * @param label the name that was asked of the store
 * @throws KeystrataError `malformed` if the bytes are too short or no block, or the label is not 64 lower-case hex digits;
 *   `unsupported` for other objects and later versions; `limit-exceeded` beyond 64 MiB of content
 * @example
 * ```ts
 * import { type BlockReader, parseBlock } from 'keystrata'
 *
 * async function restore(label: string, read: (name: string) => Promise<Uint8Array>, reader: BlockReader) {
 *   return await reader.open(parseBlock(await read(label), label))
 * }
 * ```
 */
export function parseBlock(stored: Uint8Array, label: string): SealedBlock {
  const bytes = bytesFrom(stored, 'block')
  parseLabel(label)
  const length = envelopeLength(bytes)
  if (bytes.length < length) throw new KeystrataError('malformed', 'a block cut short', { bytes: bytes.length })
  if (bytes.length - length > MAX_CIPHERTEXT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'a block over 64 MiB', { bytes: bytes.length })
  }
  return { label, envelope: bytes.subarray(0, length), ciphertext: bytes.subarray(length) }
}

/** Content in the buffer that becomes its ciphertext. */
interface Prepared {
  readonly buffer: Bytes
  readonly label: Bytes
}

/** Share id → envelope. */
type Envelopes = ReadonlyMap<string, Bytes>

/** What the key model does with it. */
interface Sealing {
  /** Encrypts in place, and gives the envelope. */
  seal(): Promise<Bytes>
  /** The envelopes for shares; absent where the key model has none. */
  shared?(shares: readonly string[], isStored: boolean): Envelopes
  /** Wipes the keys that belong to this block. */
  dispose(): void
}

export class PreparedOnce extends SecretHolder implements PreparedBlock {
  readonly label: string
  readonly #sealing: Sealing
  #prepared: Prepared | undefined

  constructor(prepared: Prepared, sealing: Sealing) {
    super('prepared block', () => {
      if (this.#prepared === undefined) return
      wipe(this.#prepared.buffer)
      sealing.dispose()
      this.#prepared = undefined
    })
    this.label = toHex(prepared.label)
    this.#prepared = prepared
    this.#sealing = sealing
  }

  async seal(options: SealOptions = {}): Promise<SealedBlock> {
    // The caller's objects first: code of theirs must not run between the look at what is left and its use.
    const shares = sharesOf(options)
    const prepared = this.#unspent()
    // Before anything is spent: a mistaken id costs nothing.
    const shared = shares === undefined ? undefined : this.#shared(shares, false)
    // From here on this block is spent; its buffer becomes the ciphertext, or is wiped.
    this.#prepared = undefined
    this.dispose()
    try {
      const envelope = await this.#sealing.seal()
      const block = { label: this.label, envelope, ciphertext: prepared.buffer }
      return shared === undefined ? block : { ...block, shared }
    } catch (error) {
      wipe(prepared.buffer)
      throw error
    } finally {
      this.#sealing.dispose()
    }
  }

  async envelopesFor(shares: readonly string[]): Promise<Envelopes> {
    const ids = idsFrom(shares)
    this.#unspent()
    return this.#shared(ids, true)
  }

  #unspent(): Prepared {
    if (this.#prepared === undefined) throw new KeystrataError('disposed', 'this block was sealed or disposed of')
    return this.#prepared
  }

  #shared(shares: readonly string[], isStored: boolean): Envelopes {
    if (this.#sealing.shared === undefined) throw new TypeError('only the blocks of keysets can be shared')
    return this.#sealing.shared(shares, isStored)
  }
}

/** Prepares and seals in one call. */
export async function sealPrepared(
  writer: BlockWriter,
  content: Uint8Array,
  options: SealOptions,
): Promise<SealedBlock> {
  const shares = sharesOf(options)
  const prepared = await writer.prepare(content)
  try {
    return await prepared.seal({ shares })
  } finally {
    prepared.dispose()
  }
}

/** A copy of the ids, before anybody else can change them. */
export function sharesOf({ shares }: SealOptions): readonly string[] | undefined {
  return shares === undefined ? undefined : idsFrom(shares)
}

/** @throws TypeError for what is no text */
export function shareIdFrom(id: unknown): string {
  if (typeof id === 'string') return id
  throw new TypeError('the id of a share must be a string')
}

export function idsFrom(shares: readonly string[]): readonly string[] {
  if (!Array.isArray(shares)) throw new TypeError('shares must be an array of ids')
  return [...(shares as readonly unknown[])].map(shareIdFrom)
}
