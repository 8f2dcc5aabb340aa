// The least costs that a new keyset takes, and Argon2id as WebAssembly, which Jest does not slow down.
import { argon2id } from 'hash-wasm'

export const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }

export const argon2 = (password, salt, { iterations, memoryKiB, lanes }, length) =>
  argon2id({
    ...{ password, salt, iterations, hashLength: length, outputType: 'binary' },
    ...{ memorySize: memoryKiB, parallelism: lanes },
  })
