// keystrata/pool: sealing and opening whole blocks in worker threads. This file exports and does nothing else.
export { createPool, type Pool } from './pool/pool.ts'
