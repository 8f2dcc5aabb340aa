// The pool's worker from source: what node runs in a thread is not what the test runner compiles.
import { register } from 'tsx/esm/api'

register()
await import('../../src/pool/worker.ts')
