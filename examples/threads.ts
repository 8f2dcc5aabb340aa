// The pool of the examples: as many threads as there are processors.
import { createPool, type Pool } from 'keystrata/pool'

export const newPool = (): Pool => createPool({ worker: new URL('worker.mjs', import.meta.url) })
