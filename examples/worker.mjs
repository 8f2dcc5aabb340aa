// What the threads of a pool run here, where the library is used from its source; `createPool()` of the package needs none.
import { register } from 'tsx/esm/api'

register()
await import('../src/pool/worker.ts')
