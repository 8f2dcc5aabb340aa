// The worker script of the pool in this repository, where the library runs from its source. Users of the package do not
// need it: `createPool()` finds its own.
import { register } from 'tsx/esm/api'

register()
await import('../src/pool/worker.ts')
