// keystrata/pool: worker threads for whole blocks. This file exports and does nothing else.
export { type ErrorCode, type ErrorDetail, KeystrataError } from './core/errors.ts'
export { createPool, type Pool, type RekeyedHead, type VerifiedBlock } from './pool/pool.ts'
