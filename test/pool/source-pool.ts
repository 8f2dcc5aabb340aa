// `keystrata/pool` for examples that the test runner runs from source: only the workers' file is another one.
import { createPool as create, type Pool } from '../../src/pool.ts'

export const createPool = (): Pool => create({ worker: new URL('../../examples/worker.mjs', import.meta.url) })
