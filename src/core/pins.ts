// Readers that cannot check labels by themselves: those of shares. They open only what the log of the share names by
// the hash of its ciphertext.
import type { BlockReader } from './block.ts'

const needing: WeakSet<BlockReader> = /* @__PURE__ */ new WeakSet()

/** Marks a reader of a share. */
export const setNeedsPins = (reader: BlockReader): void => void needing.add(reader)

/** Returns whether a block must be compared with the hash in its ref before this reader opens it. */
export const needsPins = (reader: BlockReader): boolean => needing.has(reader)
