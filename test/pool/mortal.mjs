// A worker that exits when it gets content of 666 bytes.
import { parentPort } from 'node:worker_threads'

await import('../../examples/worker.mjs')
parentPort.on('message', ({ task }) => {
  if (task.content?.length === 666 + 128) process.exit(3)
})
