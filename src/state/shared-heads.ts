// The heads of a share: the same ciphertexts, under envelopes of the share. A log of the share names the ciphertext by
// its hash, so that not even the holders of the share's keys can put another content in its place (SPEC §6.5).
import type { PreparedBlock, StoredBlock } from '../core/block.ts'
import { equalBytes, fromHex, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { type Blocks, hashOf, type SharedBlocks, type StoredHead } from './blocks.ts'
import { checkedFlag, StoreMistake } from './checked.ts'
import { putBlock, readBlock } from './checked-blocks.ts'
import { encodeRef } from './ref.ts'

const HASH_BYTES = 32

/** How often to try with a head that others change meanwhile. */
const TRIES = 8

/** A store that can read heads, and write them, without the ciphertexts. */
type HeadStore = Blocks & Required<Pick<Blocks, 'head' | 'putHead'>>

const hasHeads = (blocks: Blocks): blocks is HeadStore =>
  typeof blocks.head === 'function' && typeof blocks.putHead === 'function'

/** How to add a block to a share. */
interface HowToPut {
  /** Whether the store mostly has the ciphertext. */
  readonly isStored: boolean
  /**
   * What to do with a head that names another ciphertext. Where equal content always has the same ciphertext, it is
   * damaged or planted: replace it. Elsewhere older refs may name it: believe it, or refuse.
   */
  readonly other: 'replace' | 'believe' | 'refuse'
}

/** The SHA-256 of the ciphertext of one block in each share, by the share's id. */
export type SharedHashes = ReadonlyMap<string, Uint8Array>

/** The blocks of one share. */
export class SharedHeads {
  readonly #blocks: Blocks

  /**
   * @param own the blocks of the owner
   * @throws TypeError if the store has no shares
   */
  constructor(own: SharedBlocks, share: string) {
    if (typeof (own as Partial<SharedBlocks>).shared !== 'function')
      throw new TypeError('blocks of a share need a store with shares: it has no method shared')
    this.#blocks = own.shared(share)
  }

  /** Whether the store keeps no reference to the bytes of a block of this share. */
  get copiesBytes(): boolean {
    return this.#blocks.copiesBytes === true
  }

  /** Returns the hash of the ciphertext of a block that is whole in this share. */
  async find(label: string): Promise<Uint8Array | undefined> {
    try {
      if (hasHeads(this.#blocks)) return hashIn(await this.#blocks.head(label))
      const block = await readBlock(this.#blocks, label)
      return block && (await hashOf(block.ciphertext))
    } catch (error) {
      // A head that is damaged, or whose ciphertext is, is written again.
      if (error instanceof KeystrataError && (error.code === 'missing' || error.code === 'malformed')) return undefined
      throw error
    }
  }

  /**
   * Adds a block that was just sealed, or verified, and returns the hash of the ciphertext that the share has then. A head
   * that names this ciphertext already stays: whoever wrote its envelope, it opens nothing else.
   * @param hash the SHA-256 of the ciphertext
   * @throws KeystrataError `conflict`
   */
  async put(
    { label, ciphertext }: StoredBlock,
    hash: Uint8Array,
    envelope: Uint8Array,
    how: HowToPut,
  ): Promise<Uint8Array> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.find(label)
      if (found !== undefined) {
        if (how.other === 'believe' || equalBytes(found, hash)) return found
        if (how.other === 'refuse') throw otherCiphertext(label)
        await this.#blocks.delete(label)
      }
      if (tries === 0 && how.isStored && hasHeads(this.#blocks)) {
        // The next try finds this head only if the store has the ciphertext.
        checkedFlag(
          await this.#blocks.putHead({ label, envelope, hash: toHex(hash), size: ciphertext.length }),
          'putHead',
        )
      } else if (await putBlock(this.#blocks, { label, envelope, ciphertext })) return hash
    }
    throw new KeystrataError('conflict', 'other writers changed the head of this block in a share on every try', {
      object: 'head',
      label,
    })
  }
}

function hashIn(head: StoredHead | undefined): Uint8Array | undefined {
  if (head === undefined) return undefined
  const { hash: text } = Object(head) as Partial<StoredHead>
  const hash = typeof text === 'string' ? fromHex(text, HASH_BYTES) : undefined
  if (hash === undefined) throw new StoreMistake('head of the store returned a hash that is not 64 hex digits')
  return hash
}

function otherCiphertext(label: string): KeystrataError {
  const message =
    'the share has another ciphertext for this block, which was sealed without dedup: use the ref in the log of the share, or delete the head of the share'
  return new KeystrataError('conflict', message, { object: 'head', label })
}

/** Returns the error for a label that the store does not have. */
export const missingBlock = (label: string): KeystrataError =>
  new KeystrataError('missing', 'the store has no block with this label', { object: 'block', label })

/** Writes the refs of one block, for the log of each share. */
export const sharedRefs = (label: string, hashes: SharedHashes, member?: string): ReadonlyMap<string, string> =>
  new Map([...hashes].map(([share, hash]) => [share, encodeRef({ label, hash, member })]))

/** Returns whether equal content always has the same ciphertext. */
export const isRepeatable = async (prepared: PreparedBlock): Promise<boolean> =>
  (await envelopesFor(prepared, [])) !== undefined

/** Creates envelopes for a stored block. Returns undefined if the stored block has another key than the prepared one. */
async function envelopesFor(
  prepared: PreparedBlock,
  shares: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array> | undefined> {
  try {
    return await prepared.envelopesFor(shares)
  } catch (error) {
    if (isOtherKey(error)) return undefined
    throw error
  }
}

/** Whether this error says that a stored block has another key than the prepared one. */
const isOtherKey = (error: unknown): boolean =>
  error instanceof KeystrataError && error.code === 'policy' && error.detail['rule'] === 'dedup-off'

/**
 * Adds a stored block to shares. It is sealed again, because only the writer's own ciphertext tells which one the owner
 * means: anyone who may write to the store could have changed the stored block, or put another one into the share.
 */
export async function shareStored(
  prepared: PreparedBlock,
  shares: ReadonlyMap<string, SharedHeads>,
): Promise<SharedHashes> {
  const envelopes = await envelopesFor(prepared, [...shares.keys()])
  if (envelopes === undefined) return shareUnderOtherKey(prepared, shares)
  const block = await prepared.seal()
  const hash = await hashOf(block.ciphertext)
  const found: Map<string, Uint8Array> = new Map()
  for (const [share, heads] of shares) {
    const envelope = envelopes.get(share)
    if (envelope !== undefined)
      found.set(share, await heads.put(block, hash, envelope, { isStored: true, other: 'replace' }))
  }
  return found
}

/**
 * With dedup `off`, the stored block has another key, which this writer does not know. So each share gets a ciphertext
 * of its own. A head that a share has already is believed.
 */
async function shareUnderOtherKey(
  prepared: PreparedBlock,
  shares: ReadonlyMap<string, SharedHeads>,
): Promise<SharedHashes> {
  const found: Map<string, Uint8Array> = new Map()
  const lacking: string[] = []
  for (const [share, heads] of shares) {
    const hash = await heads.find(prepared.label)
    if (hash === undefined) lacking.push(share)
    else found.set(share, hash)
  }
  if (lacking.length === 0) return found
  const block = await prepared.seal({ shares: lacking })
  const own = await hashOf(block.ciphertext)
  for (const [share, heads] of shares) {
    const envelope = block.shared?.get(share)
    if (envelope !== undefined)
      found.set(share, await heads.put(block, own, envelope, { isStored: false, other: 'believe' }))
  }
  return found
}
