// keystrata/pool: worker threads for whole blocks. This file exports and does nothing else.
export { type ErrorCode, type ErrorDetail, KeystrataError } from './errors.ts'
export { createPool } from './pool/pool.ts'
export type { Pool, RekeyedHead, VerifiedBlock } from './pool/pool-handle.ts'
