// A worker that lies: it says of its first jobs that they are done, and does nothing. Then it ends.
import { Worker } from 'bullmq'
import { openOurs } from '../../examples/fleet/fleet-keys.ts'
import { endWithParent, tell } from '../../examples/fleet/messages.ts'
import { redisOf, settingsFrom } from '../../examples/fleet/place.ts'
import { connectionOf, queueName, type RekeyJob, type RekeyResult } from '../../examples/fleet/queue.ts'

const LIES = 6

endWithParent()
const { folder } = settingsFrom(process.argv.slice(2))
const delegation = await openOurs(folder)
const redis = redisOf(folder, () => undefined)
let lies = 0
const worker: Worker<RekeyJob, RekeyResult> = new Worker(
  queueName(delegation.revision),
  async (): Promise<RekeyResult> => {
    if (++lies === LIES) void worker.pause(true)
    return {
      ...{ rekeyed: 1000, current: 0, failed: 0, reasons: [] },
      ...{ startedAt: Date.now(), workMs: 1, worker: process.pid, rss: 0 },
    }
  },
  { connection: connectionOf(redis) },
)
worker.on('error', () => undefined)
worker.on('completed', () => {
  if (lies === LIES) void tell({ say: `told ${lies} lies` }).then(() => process.exit(0))
})
