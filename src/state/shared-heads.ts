// The heads of a share: the same ciphertexts, under envelopes of the share. A log of the share names a block by the
// hashes of both, so a head that is there stays as it is.
import { type BlockHead, type PreparedBlock, type SealedBlock } from '../core/block.ts'
import { equalBytes, fromHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { type Blocks, hashOf, type SharedBlocks, type StoredHead } from './blocks.ts'
import { encodeRef, type Pins, pinsFor } from './ref.ts'

const HASH_BYTES = 32

/** A store that can read heads, and write them, without the ciphertexts. */
type HeadStore = Blocks & Required<Pick<Blocks, 'head' | 'putHead'>>

const hasHeads = (blocks: Blocks): blocks is HeadStore =>
  typeof blocks.head === 'function' && typeof blocks.putHead === 'function'

/** The blocks of one share. */
export class SharedHeads {
  readonly #own: SharedBlocks
  readonly #blocks: Blocks

  /**
   * @param own the blocks of the owner
   * @throws TypeError if the store has no shares
   */
  constructor(own: SharedBlocks, share: string) {
    if (typeof (own as Partial<SharedBlocks>).shared !== 'function')
      throw new TypeError('blocks of a share need a store with shares: it has no method shared')
    this.#own = own
    this.#blocks = own.shared(share)
  }

  /** Whether the store keeps no reference to the bytes of a block of this share. */
  get copiesBytes(): boolean {
    return this.#blocks.copiesBytes === true
  }

  /** Returns the pins of a block that is whole in this share. */
  async find(label: string): Promise<Pins | undefined> {
    try {
      if (hasHeads(this.#blocks)) return pinsOf(await this.#blocks.head(label))
      const block = await this.#blocks.get(label)
      return block && pinsFor(block.envelope, await hashOf(block.ciphertext))
    } catch (error) {
      // A head that is damaged, or whose ciphertext is, is written again.
      if (error instanceof KeystrataError && (error.code === 'missing' || error.code === 'malformed')) return undefined
      throw error
    }
  }

  /** Adds a block that was just sealed. */
  async put({ label, ciphertext }: SealedBlock, envelope: Uint8Array): Promise<Pins> {
    const isOurs = (await this.#blocks.put({ label, envelope, ciphertext })) && (await this.#has(label, envelope))
    return isOurs ? pinsFor(envelope, await hashOf(ciphertext)) : this.#theirs(label)
  }

  /** Returns whether the store has this envelope. A store that repairs a block may keep the head that was there. */
  async #has(label: string, envelope: Uint8Array): Promise<boolean> {
    for await (const head of this.#blocks.heads({ prefix: label })) {
      if (head.label === label) return equalBytes(head.envelope, envelope)
    }
    return false
  }

  /**
   * Adds a block that the store has.
   * @param envelopeFor writes its envelope for the share
   * @throws KeystrataError `missing` if the store has no such block, or only its head
   */
  async add(label: string, envelopeFor: (head: BlockHead) => Uint8Array): Promise<Pins> {
    if (hasHeads(this.#own) && hasHeads(this.#blocks)) {
      const head = await this.#own.head(label)
      if (head === undefined) throw missingBlock(label)
      const next = { ...head, envelope: envelopeFor(head) }
      return (await this.#blocks.putHead(next)) ? pinsOf(next) : this.#theirs(label)
    }
    const block = await this.#own.get(label)
    if (block === undefined) throw missingBlock(label)
    const envelope = envelopeFor(block)
    const isOurs = (await this.#blocks.put({ ...block, envelope })) && (await this.#has(label, envelope))
    return isOurs ? pinsFor(envelope, await hashOf(block.ciphertext)) : this.#theirs(label)
  }

  /** Returns the pins of the head that another writer put meanwhile. */
  async #theirs(label: string): Promise<Pins> {
    const found = await this.find(label)
    if (found !== undefined) return found
    throw new KeystrataError('conflict', 'the store refused the head of a share, and has none: try again', {
      object: 'head',
      label,
    })
  }
}

function pinsOf(head: StoredHead): Pins
function pinsOf(head: StoredHead | undefined): Pins | undefined
function pinsOf(head: StoredHead | undefined): Pins | undefined {
  if (head === undefined) return undefined
  const hash = fromHex(head.hash, HASH_BYTES)
  if (hash === undefined) throw new TypeError('head of the store returned a hash that is not 64 hex digits')
  return pinsFor(head.envelope, hash)
}

/** Returns the error for a label that the store does not have. */
export const missingBlock = (label: string): KeystrataError =>
  new KeystrataError('missing', 'the store has no block with this label', { object: 'block', label })

/** Writes the refs of one block, for the log of each share. */
export const sharedRefs = (
  label: string,
  pins: ReadonlyMap<string, Pins>,
  member?: string,
): ReadonlyMap<string, string> =>
  new Map([...pins].map(([share, each]) => [share, encodeRef({ label, pins: each, member })]))

/** Whether this error says that a stored block has another key than the prepared one. */
const isOtherKey = (error: unknown): boolean =>
  error instanceof KeystrataError && error.code === 'policy' && error.detail['rule'] === 'dedup-off'

/** Adds a stored block to the shares that lack it. Seals it again only if nothing else works. */
export async function shareStored(
  prepared: PreparedBlock,
  shares: ReadonlyMap<string, SharedHeads>,
): Promise<ReadonlyMap<string, Pins>> {
  const { label } = prepared
  const found: Map<string, Pins> = new Map()
  const lacking: string[] = []
  for (const [share, heads] of shares) {
    const pins = await heads.find(label)
    if (pins === undefined) lacking.push(share)
    else found.set(share, pins)
  }
  if (lacking.length === 0) return found
  const envelopes = await prepared.envelopesFor(lacking).catch((error: unknown) => {
    if (isOtherKey(error)) return undefined
    throw error
  })
  // With dedup `off`, the stored block has another key, which this writer does not know. So the share gets a ciphertext
  // of its own.
  const block = envelopes === undefined ? await prepared.seal({ shares: lacking }) : undefined
  for (const [share, heads] of shares) {
    const envelope = (envelopes ?? block?.shared)?.get(share)
    if (envelope === undefined) continue
    found.set(share, block === undefined ? await heads.add(label, () => envelope) : await heads.put(block, envelope))
  }
  return found
}
