// `keystrata/pool` for examples that the test runner runs from source: only the workers' file is another one.
import { createPool as create, type Pool } from '../../src/pool.ts'

/** Deno reads TypeScript by itself, and loses messages that come while a thread waits for what it imports. */
const path = process.versions['deno'] === undefined ? '../../examples/worker.mjs' : '../../src/pool/worker.ts'
export const worker: URL = new URL(path, import.meta.url)

export const createPool = (): Pool => create({ worker })
