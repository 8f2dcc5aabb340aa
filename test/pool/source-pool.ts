// `keystrata/pool` for examples that the test runner runs from source. Only the worker's file differs.
import { createPool as create, type Pool } from '../../src/pool.ts'

/** Deno runs TypeScript directly. It loses messages that arrive while a worker waits for a dynamic import. */
const isDeno = process.versions['deno'] !== undefined
const url = (path: string) => new URL(path, import.meta.url)

export const worker: URL = url(isDeno ? '../../src/pool/worker.ts' : '../../examples/worker.mjs')
/** Exits when it gets content of 666 bytes. */
export const mortalWorker: URL = url(isDeno ? 'mortal.ts' : 'mortal.mjs')

export const createPool = (): Pool => create({ worker })
