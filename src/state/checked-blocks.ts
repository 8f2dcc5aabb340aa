// Checks of the answers of a product's own store of blocks, as `checked.ts` checks those of the other stores. An answer of
// a wrong type must not count: if `has` returned the result object of a database driver, no block would be stored.
import type { BlockHead, StoredBlock } from '../core/block.ts'
import { isPromise } from '../core/realms.ts'
import type { Blocks } from './blocks.ts'
import { checkedBytes, checkedFlag, StoreMistake } from './checked.ts'

/** @throws TypeError if the store returns something else than true or false */
export const hasBlock = async (blocks: Pick<Blocks, 'has'>, label: string): Promise<boolean> =>
  checkedFlag(await blocks.has(label), 'has')

/** @throws TypeError if the store returns something else than true or false */
export const putBlock = async (blocks: Pick<Blocks, 'put'>, block: StoredBlock): Promise<boolean> =>
  checkedFlag(await blocks.put(block), 'put')

/**
 * Reads a block.
 * @throws TypeError if the store returns something else than a block, or undefined
 */
export async function readBlock(blocks: Pick<Blocks, 'get'>, label: string): Promise<StoredBlock | undefined> {
  const answer: unknown = await blocks.get(label)
  if (answer === undefined) return undefined
  if (typeof answer !== 'object' || answer === null) throw notABlock('get')
  const { envelope, ciphertext } = answer as { envelope?: unknown; ciphertext?: unknown }
  return {
    label,
    envelope: checkedBytes(envelope, 'get().envelope', 'a Uint8Array'),
    ciphertext: checkedBytes(ciphertext, 'get().ciphertext', 'a Uint8Array'),
  }
}

/**
 * Reads all heads.
 * @throws TypeError if the store yields something else than heads
 */
export async function* readHeads(
  blocks: Pick<Blocks, 'heads'>,
  options?: { prefix: string },
): AsyncGenerator<BlockHead> {
  for await (const head of blocks.heads(options) as AsyncIterable<unknown>) {
    if (typeof head !== 'object' || head === null || isPromise(head)) throw notABlock('heads')
    const { label, envelope } = head as { label?: unknown; envelope?: unknown }
    if (typeof label !== 'string') throw notABlock('heads')
    yield { label, envelope: checkedBytes(envelope, 'heads().envelope', 'a Uint8Array') }
  }
}

const notABlock = (method: string): StoreMistake =>
  new StoreMistake(
    `${method} of the store returned something else than ${method === 'get' ? 'a block, or undefined' : 'a head, with a label and an envelope'}`,
  )
