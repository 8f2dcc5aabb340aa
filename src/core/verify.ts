// Readers that can verify a block without returning its content. A pool has them: its threads keep the content.
import type { BlockReader, StoredBlock } from './block.ts'
import { wipe } from './bytes.ts'
import { isOwnHandle } from './recipe.ts'

const verifiers: WeakMap<BlockReader, (block: StoredBlock) => Promise<void>> = /* @__PURE__ */ new WeakMap()

/** Registers how a reader verifies a block. */
export function setVerify(reader: BlockReader, verify: (block: StoredBlock) => Promise<void>): void {
  verifiers.set(reader, verify)
}

/**
 * Opens a block, and wipes its content unless the reader is one of somebody else, who may have kept it.
 * @throws KeystrataError as `open`
 */
export async function verifyBlock(reader: BlockReader, block: StoredBlock): Promise<void> {
  const verify = verifiers.get(reader)
  if (verify !== undefined) return verify(block)
  const content = await reader.open(block)
  if (isOwnHandle(reader)) wipe(content)
}
