// Rekeys the heads of a store. It may run twice, and in many places at once: each head is replaced by compare-and-set.
import type { BlockHead, Rekeyer } from '../core/block.ts'
import { KeystrataError } from '../core/errors.ts'
import { inOrder } from '../core/in-order.ts'
import { optionsFrom } from '../core/options.ts'
import type { Blocks } from './blocks.ts'
import { checkedFlag } from './checked.ts'
import { readHeads } from './checked-blocks.ts'
import { aboutBlock } from './open-stream.ts'
import { type Ahead, AHEAD, HEADS_PER_BLOCK, paceFrom } from './pace.ts'

/** What rekeying needs of a store. */
type RekeyableBlocks = Pick<Blocks, 'heads' | 'replaceEnvelope'>

/** A block that could not be rekeyed. */
interface Failed {
  readonly label: string
  readonly error: KeystrataError
}

/** How often to try with a head that others change meanwhile. */
const TRIES = 8

/**
 * Rekeys every block of a store whose envelope is not current. It reads and replaces heads alone. Each one is replaced
 * only if it is still as it was read, so this may be interrupted and run again, run beside backups, and run in many
 * places.
 * @param blocks a store; the heads of other keysets in it fail, and stay as they are
 * @param rekeyer the keyset after `regenerate`, or a delegation (`keystrata/fleet`), also in a pool
 * @param options `prefix`: only labels that begin with these hex digits, to share the work between machines; `ahead`,
 *   `signal`
 * @returns how many heads were `rekeyed`, and how many were `current`; and those that `failed`, with the reason. If
 *   `failed` is empty, every head is current. A block that was deleted meanwhile is not counted
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws KeystrataError `disposed` if the rekeyer was disposed of or its pool was closed
 * @throws KeystrataError `expired` if the rekeyer is a delegation that has expired
 * @throws RangeError if `ahead` is not an integer from 1 to 1,024
 * @throws TypeError if `prefix` is not the beginning of a label
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { createKeyset, rekeyBlocks } from 'keystrata'
 * import { blocksIn, memoryBlobStore } from 'keystrata/stores'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * const blocks = blocksIn(memoryBlobStore())
 * for (const size of [10, 20]) await blocks.put(await keyset.seal(new Uint8Array(size)))
 * using regenerated = keyset.regenerate()
 * console.log(await rekeyBlocks(blocks, regenerated)) // { rekeyed: 2, current: 0, failed: [] }
 * ```
 */
export async function rekeyBlocks(
  blocks: Pick<Blocks, 'heads' | 'replaceEnvelope'>,
  rekeyer: Rekeyer,
  options?: Ahead & { prefix?: string | undefined },
): Promise<{ rekeyed: number; current: number; failed: readonly { label: string; error: KeystrataError }[] }> {
  const { prefix, ...ahead } = optionsFrom(options, { ...AHEAD, prefix: 'optional' }, 'rekeyBlocks')
  const { most, signal } = paceFrom(ahead)
  const counts = { rekeyed: 0, current: 0 }
  const failed: Failed[] = []
  const rekey = async (head: BlockHead) => {
    try {
      return await rekeyHead(blocks, rekeyer, head)
    } catch (error) {
      const about = aboutBlock(error)
      // The keys may not be used any more, so the other heads would fail in the same way.
      if (about.code === 'expired') throw about
      failed.push({ label: head.label, error: about })
      return undefined
    }
  }
  const pace = { most: most * HEADS_PER_BLOCK, signal }
  for await (const outcome of inOrder(readHeads(blocks, prefix === undefined ? undefined : { prefix }), rekey, pace)) {
    if (outcome !== undefined) counts[outcome]++
  }
  return { ...counts, failed }
}

/** @returns undefined if the block was deleted meanwhile */
async function rekeyHead(
  blocks: RekeyableBlocks,
  rekeyer: Rekeyer,
  given: BlockHead,
): Promise<'rekeyed' | 'current' | undefined> {
  let head: BlockHead | undefined = given
  for (let tries = 0; tries < TRIES; tries++) {
    if (rekeyer.isCurrent(head.envelope)) return 'current'
    const next = await rekeyer.rekey(head)
    if (checkedFlag(await blocks.replaceEnvelope(head, next), 'replaceEnvelope')) return 'rekeyed'
    // Somebody was quicker: a backup, or another machine that rekeys.
    head = await headAt(blocks, given.label)
    if (head === undefined) return undefined
  }
  throw new KeystrataError('conflict', 'other writers changed the head of this block on every try', {
    object: 'head',
    label: given.label,
  })
}

async function headAt(blocks: RekeyableBlocks, label: string): Promise<BlockHead | undefined> {
  for await (const head of readHeads(blocks, { prefix: label })) if (head.label === label) return head
  return undefined
}
