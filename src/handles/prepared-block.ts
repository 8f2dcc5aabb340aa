// A prepared block of any key model: it can be sealed once, or disposed of.
import type { BlockWriter, PreparedBlock, SealedBlock, SealOptions } from '../blocks/block.ts'
import { type Bytes, toHex, wipe } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { SecretHolder } from '../secret.ts'

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
