// `keystrata/pool` for examples that the test runner runs from source: only the workers' file is another one.
import { createPool as create, type Pool } from '../../src/pool.ts'

/** Deno reads TypeScript by itself, and loses messages that come while a thread waits for what it imports. */
const isDeno = process.versions['deno'] !== undefined
const url = (path: string) => new URL(path, import.meta.url)

export const worker: URL = url(isDeno ? '../../src/pool/worker.ts' : '../../examples/worker.mjs')
/** Dies of 666 bytes of content. */
export const mortalWorker: URL = url(isDeno ? 'mortal.ts' : 'mortal.mjs')

export const createPool = (): Pool => create({ worker })
