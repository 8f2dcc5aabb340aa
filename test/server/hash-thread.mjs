// The thread for password hashes in this repository, where the library runs from its source.
import { register } from 'tsx/esm/api'

register()
await import('../../src/server/hash-thread.ts')
