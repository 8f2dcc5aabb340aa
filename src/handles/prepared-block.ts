// A prepared block of any key model: it can be sealed once, or disposed of.
import type { PreparedBlock, SealedBlock } from '../blocks/block.ts'
import { type Bytes, toHex, wipe } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { SecretHolder } from '../secret.ts'

/** Content in the buffer that becomes its ciphertext. */
interface Prepared {
  readonly buffer: Bytes
  readonly label: Bytes
}

/** What the key model does with it. */
interface Sealing {
  /** Encrypts in place, and gives the envelope. */
  seal(): Promise<Bytes>
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

  async seal(): Promise<SealedBlock> {
    const prepared = this.#prepared
    if (prepared === undefined) throw new KeystrataError('disposed', 'this block was sealed or disposed of')
    // From here on this block is spent; its buffer becomes the ciphertext, or is wiped.
    this.#prepared = undefined
    this.dispose()
    try {
      const envelope = await this.#sealing.seal()
      return { label: this.label, envelope, ciphertext: prepared.buffer }
    } catch (error) {
      wipe(prepared.buffer)
      throw error
    } finally {
      this.#sealing.dispose()
    }
  }
}
