// Adds blocks that a store has already to a share.
import type { BlockHead } from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import { verifyForShare } from '../core/verify.ts'
import { inOrder } from '../core/in-order.ts'
import { optionsFrom } from '../core/options.ts'
import { hashOf, type SharedBlocks } from './blocks.ts'
import { readBlock } from './checked-blocks.ts'
import { type Ahead, AHEAD, type Each, paceFrom, sourceFrom } from './pace.ts'
import { encodeRef, parseRef } from './ref.ts'
import { missingBlock, SharedHeads } from './shared-heads.ts'

/**
 * Adds stored blocks to a share, so that its readers can open them. Each block is read and verified first, because
 * the log of the share vouches for it. Only heads are written. A block that the share has already stays as it is.
 * @param share from `keyset.share(id)` or `createShare`
 * @param refs what the owner's log keeps. The member of a packed file opens that file alone, but the readers of the share
 *   can also see the lengths of the others in its pack
 * @returns the ref for the log of the share, for each ref, in their order
 * @throws KeystrataError `missing` if the store has no such block, or only its head
 * @throws KeystrataError `malformed` if a text is not a ref
 * @throws KeystrataError `authentication-failed` if the block is not what the owner sealed
 * @throws KeystrataError `conflict` if the block has dedup `off`, and the share has another ciphertext for it: nobody can
 *   tell from outside which one the owner means. Use the ref that the log of the share has, or delete the share's head
 * @throws KeystrataError as `Share.add`
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws RangeError if `ahead` is not an integer from 1 to 1,024
 * @throws TypeError if the refs are not a source of strings, or the store has no shares
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { openLog, type Share, shareFrom } from 'keystrata'
 * import type { SharedBlocks, StateStore } from 'keystrata/stores'
 *
 * async function shareFiles(refs: string[], share: Share, blocks: SharedBlocks, store: StateStore) {
 *   const log = openLog(store, `share-${share.id}`, share)
 *   for await (const ref of shareFrom(blocks, share, refs)) await log.append(new TextEncoder().encode(ref))
 * }
 * ```
 */
export function shareFrom(
  blocks: SharedBlocks,
  share: { readonly id: string; add(head: BlockHead): Bytes },
  refs: Each<string>,
  options?: Ahead,
): AsyncGenerator<string> {
  const pace = paceFrom(optionsFrom(options, AHEAD, 'shareFrom'))
  const source = sourceFrom(refs, 'refs')
  const heads = new SharedHeads(blocks, share.id)
  // The log names what is verified here, and not what the store says.
  const added = async (label: string): Promise<Uint8Array> => {
    const block = await readBlock(blocks, label)
    if (block === undefined) throw missingBlock(label)
    const isRepeatable = await verifyForShare(share, block)
    return heads.put(block, await hashOf(block.ciphertext), share.add(block), {
      isStored: true,
      other: isRepeatable ? 'replace' : 'refuse',
    })
  }
  // Packed files that follow each other lie in one block.
  let last: { readonly label: string; readonly hash: Promise<Uint8Array> } | undefined
  const hashFor = (label: string): Promise<Uint8Array> => {
    if (last?.label !== label) last = { label, hash: added(label) }
    return last.hash
  }
  const refFor = async (text: string): Promise<string> => {
    const { label, member } = parseRef(text)
    return encodeRef({ label, hash: await hashFor(label), member })
  }
  return inOrder(source, refFor, pace)
}
