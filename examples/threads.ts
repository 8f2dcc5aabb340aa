// Creates the worker pool of the examples, with one thread for each processor.
import { createPool, type Pool } from 'keystrata/pool'

export const newPool = (): Pool => createPool({ worker: new URL('worker.mjs', import.meta.url) })
