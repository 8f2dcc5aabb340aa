// keystrata/stores: what keystrata expects of stores, and stores in memory. The adapters are entries of their own. This
// file exports and does nothing else.
export { blocksIn, type Blocks, type SharedBlocks, type StoredHead } from './state/blocks.ts'
export { type BlockProblem, checkBlocks } from './state/check-blocks.ts'
export type { BlobStore, RegistryStore, StateStore } from './state/store.ts'
export { checkStore } from './stores/check.ts'
export { memoryBlobStore, memoryStateStore } from './stores/memory.ts'
export { prefixed, routed } from './stores/parts.ts'
