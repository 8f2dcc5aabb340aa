// The same worker as mortal.mjs, for runtimes that run TypeScript directly. It listens from the start.
import { parentPort } from 'node:worker_threads'
import '../../src/pool/worker.ts'

parentPort!.on('message', ({ task }: { task: { content?: Uint8Array } }) => {
  if (task.content?.length === 666 + 128) process.exit(3)
})
