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
 * Opens a block, and wipes its content unless it is a third-party reader, which may have kept it.
 * @throws KeystrataError as `open`
 */
export async function verifyBlock(reader: BlockReader, block: StoredBlock): Promise<void> {
  const verify = verifiers.get(reader)
  if (verify !== undefined) return verify(block)
  const content = await reader.open(block)
  if (isOwnHandle(reader)) wipe(content)
}

/** Verifies a block. Returns whether equal content always has the same ciphertext. */
type VerifyForShare = (block: StoredBlock) => Promise<boolean>

const owners: WeakMap<object, VerifyForShare> = /* @__PURE__ */ new WeakMap()

/** Registers how the owner of a share verifies a block before it is added. */
export function setVerifyForShare(share: object, verify: VerifyForShare): void {
  owners.set(share, verify)
}

/**
 * Verifies a block as the owner of a share.
 * @returns whether equal content always has the same ciphertext
 * @throws KeystrataError as `open`
 * @throws TypeError if the share is not a handle of this library
 */
export async function verifyForShare(share: object, block: StoredBlock): Promise<boolean> {
  const verify = owners.get(share)
  if (verify === undefined) throw new TypeError('share must be a handle of this library: pass keyset.share(id)')
  return verify(block)
}
