// The coordinator of the fleet, in a process of its own. It plans, waits until all jobs are done, and then believes none
// of them: it reads every head itself. It keeps nothing. Killed and started again, it plans again, which changes nothing.
import { setTimeout as pause } from 'node:timers/promises'
import { checkWriter, KeystrataError } from 'keystrata'
import { openOurs } from './fleet-keys.ts'
import { endWithParent, refuse, tell, whyOver } from './messages.ts'
import { redisOf, settingsFrom, storesOf } from './place.ts'
import { prefixesFor } from './plan.ts'
import { addJobs, jobsIn, openQueue, repeatJobs } from './queue.ts'
import { resultsOf } from './results.ts'

const POLL_MS = 250

/** How often to ask whether the keyset has changed. */
const POLLS_PER_CHECK = 8

/** How often heads that are not current are put in the queue again. */
const ROUNDS = 3

/** How many heads an error names. */
const NAMED = 5

endWithParent()
const { folder, store, blocks: count } = settingsFrom(process.argv.slice(2))
const say = (line: string) => void tell({ say: `coordinator: ${line}` })
using delegation = await openOurs(folder).catch(giveUp)
const { state, blocks } = storesOf({ folder, store })
const queue = openQueue(redisOf(folder, say), delegation.revision)
const prefixes = prefixesFor(count)

/** Whether the store of the keyset did not answer. */
let isAway = false

async function giveUp(error: unknown): Promise<never> {
  const over = whyOver(error)
  if (over !== undefined) return refuse(`${over}: run the same command again, so that the owner delegates again`)
  if (error instanceof KeystrataError) return refuse(`the coordinator stops: ${error.message}`)
  // The database is away, for example. The program that watches this process starts it again.
  await tell({ say: `coordinator: ${(error as Error).message}` })
  process.exit(1)
}

/** Waits until every job is done, or has failed. */
async function settled(): Promise<void> {
  for (let poll = 0; ; poll++) {
    const counts = await queue.getJobCounts('completed', 'failed', 'waiting', 'active', 'delayed', 'prioritized')
    const { completed: done = 0, failed = 0 } = counts
    const known = Object.values(counts).reduce((sum, each) => sum + each, 0)
    const waiting = known - done - failed
    void tell({ progress: { done, failed, waiting, total: prefixes.length } })
    if (known < prefixes.length) {
      say(`Redis has lost ${prefixes.length - known} jobs; planning them again`)
      await addJobs(queue, prefixes)
    } else if (waiting === 0) return
    if (poll % POLLS_PER_CHECK === 0 || failed > 0) await checkKeyset()
    if (Date.now() > delegation.until.getTime()) throw new KeystrataError('expired', 'the delegation has expired')
    await pause(POLL_MS)
  }
}

/** Checks that the keyset is the one that was delegated. While the database is away, nobody knows. */
async function checkKeyset(): Promise<void> {
  try {
    await checkWriter(state, delegation)
    if (isAway) say('the store of the keyset answers again')
    isAway = false
  } catch (error) {
    if (error instanceof KeystrataError) throw error
    if (!isAway) say(`the store of the keyset does not answer (${(error as Error).message}); waiting`)
    isAway = true
  }
}

/** Reads every head. Returns the prefixes of those that are not current, and the first labels. */
async function notCurrent(): Promise<{ prefixes: Set<string>; labels: string[]; heads: number }> {
  const found = { prefixes: new Set<string>(), labels: [] as string[], heads: 0 }
  const digits = prefixes[0]!.length
  for await (const { label, envelope } of blocks.heads()) {
    found.heads++
    if (isCurrent(envelope)) continue
    found.prefixes.add(label.slice(0, digits))
    if (found.labels.length < NAMED) found.labels.push(label)
  }
  return found
}

function isCurrent(envelope: Uint8Array): boolean {
  try {
    return delegation.isCurrent(envelope)
  } catch (error) {
    // A damaged head is not current. Everything else ends the check.
    if (error instanceof KeystrataError && whyOver(error) === undefined && error.code !== 'disposed') return false
    throw error
  }
}

async function reasons(): Promise<string> {
  const lines: string[] = []
  for await (const { returnvalue } of jobsIn(queue, 'completed')) lines.push(...returnvalue.reasons)
  for await (const { data, failedReason } of jobsIn(queue, 'failed')) lines.push(`${data.prefix}…: ${failedReason}`)
  return lines.slice(0, NAMED).join('; ')
}

async function run(): Promise<void> {
  await addJobs(queue, prefixes)
  // A coordinator that is started again gives jobs that had failed another chance.
  await queue.retryJobs({ state: 'failed' })
  void tell({ planned: prefixes.length })
  let repeated = 0
  for (let round = 0; ; round++) {
    await settled()
    await checkWriter(state, delegation)
    const { prefixes: left, labels, heads } = await notCurrent()
    if (left.size === 0) {
      say(`all ${heads} heads are current`)
      await tell({ results: await resultsOf(jobsIn(queue, 'completed'), repeated) })
      return
    }
    const named = labels.map((label) => `${label.slice(0, 12)}…`).join(', ')
    if (round === ROUNDS) await refuse(`these heads are still not current: ${named} (${await reasons()})`)
    say(`heads under ${left.size} prefixes are not current, such as ${named}: their jobs run again`)
    repeated += left.size
    await repeatJobs(queue, [...left])
  }
}

await run().catch(giveUp)
process.exit(0)
