// Blocks: the interface that a backup tool uses, the same for every key model (SPEC §10). A block is a label, an
// envelope and a ciphertext.
import { type Bytes, bytesFrom, concat, toHex, wipe } from './bytes.ts'
import { envelopeLength, MAX_CIPHERTEXT_BYTES } from './envelope.ts'
import { KeystrataError } from './errors.ts'
import { parseLabel } from './label.ts'
import { optionsFrom } from './options.ts'
import type { Pack } from './pack.ts'
import { isBytes, isPromise } from './realms.ts'
import { type Handle, SecretHolder } from './secret.ts'

/**
 * The small parts of a block: its label and its envelope.
 * @example
 * ```ts
 * import type { BlockHead, Keyset } from 'keystrata'
 *
 * const rekeyed = (head: BlockHead, keyset: Keyset) => ({ ...head, envelope: keyset.rekey(head) })
 * ```
 */
export interface BlockHead {
  /** 64 lower-case hex digits: the block's name in the store. It is never read from the stored bytes. */
  readonly label: string
  /**
   * Lets a reader recover the key of the block. In a keyset it has 1,713 bytes with `hybrid`, 145 with `x25519`, and 49
   * for unencrypted blocks. In a vault it has 128 bytes. In a client it has 112, in the scope `public` 49, and under
   * DES-56 88.
   */
  readonly envelope: Uint8Array
}

/**
 * A block as it is stored. {@link parseBlock} makes one from stored bytes.
 * @example
 * ```ts
 * import type { StoredBlock } from 'keystrata'
 *
 * const sizeOf = ({ envelope, ciphertext }: StoredBlock) => envelope.length + ciphertext.length
 * ```
 */
export interface StoredBlock extends BlockHead {
  /** The content plus at most 80 bytes. In a vault it is exactly as long as the content. It never changes. */
  readonly ciphertext: Uint8Array
}

/**
 * A block that was just sealed. Store {@link encodeBlock} of it under its label.
 * @example
 * ```ts
 * import { encodeBlock, type SealedBlock } from 'keystrata'
 *
 * const store = (block: SealedBlock, files: Map<string, Uint8Array>) => files.set(block.label, encodeBlock(block))
 * ```
 */
export interface SealedBlock extends StoredBlock {
  readonly envelope: Bytes
  readonly ciphertext: Bytes
  /**
   * The envelope for each share that was asked for, by the share's id. Store them where the recipients find them. If
   * the store already has this block, and dedup is `off`, they do not match the stored block: use `Share.add` instead.
   */
  readonly shared?: ReadonlyMap<string, Bytes>
}

/**
 * How to seal a block.
 * @example
 * ```ts
 * import type { KeysetWriter, SealOptions } from 'keystrata'
 *
 * const forAllShares = ({ shares }: KeysetWriter): SealOptions => ({ shares })
 * ```
 */
export interface SealOptions {
  /** The ids of active shares whose readers may open the block too. Only keysets have shares. */
  shares?: readonly string[] | undefined
}

/**
 * Seals blocks.
 * @example
 * ```ts
 * import type { BlockWriter } from 'keystrata'
 *
 * async function labelOf(content: Uint8Array, writer: BlockWriter) {
 *   using prepared = await writer.prepare(content) // nothing is encrypted yet
 *   return prepared.label
 * }
 * ```
 */
export interface BlockWriter {
  /**
   * Copies and hashes the content. All of it is read before the promise is returned, so later changes to `content` have
   * no effect. Ask the store for the label, and seal only what the store does not have.
   * @param content at most 64 MiB
   * @throws KeystrataError `limit-exceeded` if the content is larger
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError if the content is not a Uint8Array
   */
  prepare(content: Uint8Array): Promise<PreparedBlock>
  /** Prepares and seals in one call. Throws the errors of both. */
  seal(content: Uint8Array, options?: SealOptions): Promise<SealedBlock>
  /**
   * Packs small files into one content, so that they share the cost of a block. It takes at most 1,024 files of at most
   * 8 MiB each, 64 MiB in all. Each file has its own key, so you can disclose one without the others. All files are
   * read before the promise is returned. In a keyset with `global` dedup, and in a client's scope `public`, the keys are
   * the hashes of the files. Otherwise nobody can use the key of one file to test guesses about others.
   * @returns `content`: what to seal; `members`: a string for each file, which opens it with `openPackMember` and is
   *   as secret as the file
   * @throws KeystrataError `limit-exceeded` if there are too many files, or they are too large
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError if a file is not a Uint8Array
   */
  pack(files: readonly Uint8Array[]): Promise<Pack>
}

/**
 * Content that was copied and labelled, but is not encrypted yet. It disposes of itself once it is sealed.
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
  /** 64 lower-case hex digits: the block's name in the store. The store must never replace one block with another. */
  readonly label: string
  /**
   * Encrypts the copy in place, under a fresh key agreement or, in a vault or a client, under fresh keys. Works once.
   * If an error is about a share, the block can still be sealed.
   * @throws KeystrataError `disposed` if it was sealed before, or it or its writer was disposed of
   * @throws KeystrataError `key-not-found` if no active share has that id
   * @throws KeystrataError `policy` if an unencrypted block is to be shared
   * @throws KeystrataError `malformed` if the public keys of a share are invalid
   * @throws TypeError if `shares` is given in a key model without shares
   */
  seal(options?: SealOptions): Promise<SealedBlock>
  /**
   * Creates envelopes for the readers of shares when the store already has the block. The prepared block stays as it
   * is: seal it or dispose of it.
   * @returns the envelope for each share, by its id
   * @throws KeystrataError `key-not-found` if no active share has that id, with dedup `off` too
   * @throws KeystrataError `policy` if dedup is `off` (the stored block has another key) or the block is unencrypted
   * @throws KeystrataError `malformed` if the public keys of a share are invalid
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError in a key model without shares
   */
  envelopesFor(shares: readonly string[]): Promise<ReadonlyMap<string, Bytes>>
}

/**
 * Opens blocks.
 * @example
 * ```ts
 * import type { BlockReader, StoredBlock } from 'keystrata'
 *
 * const readText = async (block: StoredBlock, reader: BlockReader) => new TextDecoder().decode(await reader.open(block))
 * ```
 */
export interface BlockReader {
  /**
   * Verifies a block and returns its content. The label is computed again from the content.
   * @throws KeystrataError `authentication-failed` if anything was altered or swapped, the label included
   * @throws KeystrataError `key-not-found` if the block belongs to another keyset or client (another vault's block is
   *   `authentication-failed`)
   * @throws KeystrataError `policy` if it is weaker than its key pair requires
   * @throws KeystrataError `malformed`, `unsupported` or `limit-exceeded` if it is not a block of this key model
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  open(block: StoredBlock): Promise<Bytes>
}

/**
 * Writes new envelopes for blocks, so that the current key pairs open them. `rekeyBlocks` runs one over a store.
 * @example
 * ```ts
 * import type { BlockHead, Rekeyer } from 'keystrata'
 *
 * const envelopeOf = async (head: BlockHead, rekeyer: Rekeyer) =>
 *   rekeyer.isCurrent(head.envelope) ? head.envelope : await rekeyer.rekey(head)
 * ```
 */
export interface Rekeyer {
  /**
   * Returns whether an envelope is as a writer of today would write it.
   * @throws KeystrataError `malformed` or `unsupported` if it is not an envelope of this key model
   */
  isCurrent(envelope: Uint8Array): boolean
  /**
   * Writes a new envelope for a block. The ciphertext stays as it is, and is not needed.
   * @throws KeystrataError as `Keyset.rekey`
   */
  rekey(head: BlockHead): Bytes | Promise<Bytes>
}

/** Returns the bytes of a head. Reads each property once, so that the value that is checked is the one that is used. */
export function headOf(head: BlockHead): { readonly envelope: Uint8Array; readonly label: Bytes } {
  assertBlock(head)
  const { envelope, label } = head
  return { envelope: bytesFrom(envelope, 'envelope'), label: parseLabel(label) }
}

/** Returns the bytes of a block, read like {@link headOf}. */
export function partsOf(block: StoredBlock): ReturnType<typeof headOf> & { readonly ciphertext: Uint8Array } {
  assertBlock(block)
  const { envelope, ciphertext, label } = block
  return { ciphertext: bytesFrom(ciphertext, 'ciphertext'), ...headOf({ envelope, label }) }
}

/**
 * Checks that a value is a block.
 * @throws TypeError if it is a promise or stored bytes, which callers may pass by mistake
 */
function assertBlock(block: BlockHead | null | undefined): asserts block is BlockHead {
  if (block === undefined || block === null) {
    throw new TypeError(`expected a block, not ${block}: perhaps the store has none under this label`)
  }
  if (isPromise(block)) throw new TypeError('expected a block, not a promise: await it')
  if (isBytes(block)) throw new TypeError('expected a block, not bytes: use parseBlock(bytes, label)')
}

/**
 * Joins the parts of a block into the bytes to store: envelope ‖ ciphertext, without the label. This copies both parts.
 * A store that can write two pieces one after the other needs no copy.
 * @throws TypeError if a part is not a Uint8Array
 * @example
 * ```ts
 * import { createKeyset, encodeBlock } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * const block = await keyset.seal(new TextEncoder().encode('my file'))
 * const store = new Map([[block.label, encodeBlock(block)]])
 * console.log(store.get(block.label)?.length) // 1768
 * ```
 */
export function encodeBlock(block: StoredBlock): Bytes {
  assertBlock(block)
  return concat(bytesFrom(block.envelope, 'envelope'), bytesFrom(block.ciphertext, 'ciphertext'))
}

/**
 * Splits stored bytes into the parts of a block, which are views of `stored`. Only the form is checked; opening the
 * block checks the rest.
 * @param label the name under which the block was read from the store
 * @throws KeystrataError `malformed` if the bytes are too short or not a block, or the label is not 64 lower-case hex
 *   digits
 * @throws KeystrataError `unsupported` if it is another kind of object or needs a later release
 * @throws KeystrataError `limit-exceeded` if the content is over 64 MiB
 * @example
 * ```ts
 * import { type BlockReader, parseBlock } from 'keystrata'
 *
 * async function restore(label: string, read: (name: string) => Promise<Uint8Array>, reader: BlockReader) {
 *   return await reader.open(parseBlock(await read(label), label))
 * }
 * ```
 */
export function parseBlock(stored: Uint8Array, label: string): StoredBlock {
  const bytes = bytesFrom(stored, 'block')
  parseLabel(label)
  const length = envelopeLength(bytes)
  if (bytes.length < length)
    throw new KeystrataError('malformed', 'this block is cut short', { object: 'block', bytes: bytes.length })
  if (bytes.length - length > MAX_CIPHERTEXT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'this block is too large: a block holds at most 64 MiB of content', {
      object: 'block',
      bytes: bytes.length,
    })
  }
  return { label, envelope: bytes.subarray(0, length), ciphertext: bytes.subarray(length) }
}

/** Content in the buffer that becomes its ciphertext. */
interface Prepared {
  readonly buffer: Bytes
  readonly label: Bytes
}

/** The envelope for each share, by its id. */
type Envelopes = ReadonlyMap<string, Bytes>

/** What a key model does with a prepared block. */
interface Sealing {
  /** Encrypts in place and returns the envelope. */
  seal(): Promise<Bytes>
  /** Creates the envelopes for shares. Key models without shares do not have this method. */
  shared?(shares: readonly string[], isStored: boolean): Envelopes
  /** Wipes the keys that belong to this block. */
  dispose(): void
}

/** A prepared block of this library. */
export interface OwnPreparedBlock extends PreparedBlock {
  /**
   * Disposes of the block, wipes its content, and gives the buffer back to its lender.
   * @returns undefined if the block was sealed or disposed of
   */
  discard(): Promise<ArrayBuffer | undefined>
}

/** A prepared block of any key model. */
export class PreparedOnce extends SecretHolder implements OwnPreparedBlock {
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

  async seal(options?: SealOptions): Promise<SealedBlock> {
    // Read the caller's objects first: their code must not run between the check below and the use of what was checked.
    const shares = sharesOf(options)
    const prepared = this.#unspent()
    // Create these envelopes first. If an id is wrong, the block can then still be sealed.
    const shared = shares === undefined ? undefined : this.#shared(shares, false)
    // From here on this block is used up: its buffer becomes the ciphertext, or is wiped.
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

  async discard(): Promise<ArrayBuffer | undefined> {
    const prepared = this.#prepared
    if (prepared === undefined) return undefined
    this.#prepared = undefined
    this.dispose()
    this.#sealing.dispose()
    // The next block may lie in a part of this buffer, and a store may see all of it: structuredClone copies the whole
    // buffer behind a view.
    wipe(prepared.buffer)
    return prepared.buffer.buffer
  }

  #unspent(): Prepared {
    if (this.#prepared === undefined)
      throw new KeystrataError('disposed', 'this block was already sealed or disposed of; prepare the content again', {
        object: 'prepared block',
      })
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
  options: SealOptions | undefined,
): Promise<SealedBlock> {
  const shares = sharesOf(options)
  using prepared = await writer.prepare(content)
  return await prepared.seal(shares === undefined ? undefined : { shares })
}

/** Copies the ids, so that later changes by the caller have no effect. */
export function sharesOf(options: SealOptions | undefined): readonly string[] | undefined {
  if (options === undefined) return undefined
  const { shares } = optionsFrom(options, { shares: 'optional' }, 'seal')
  return shares === undefined ? undefined : idsFrom(shares)
}

/**
 * Returns the id of a share after checking its type.
 * @throws TypeError if it is not a string
 */
export function shareIdFrom(id: unknown): string {
  if (typeof id === 'string') return id
  throw new TypeError('the id of a share must be a string')
}

/**
 * Returns a checked copy of a list of share ids.
 * @throws TypeError if it is not an array of strings
 */
export function idsFrom(shares: readonly string[]): readonly string[] {
  if (!Array.isArray(shares)) throw new TypeError('shares must be an array of ids')
  return [...(shares as readonly unknown[])].map(shareIdFrom)
}
