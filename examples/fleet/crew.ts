// Runs the coordinator and the workers until the work is done, and kills them on the way if that is asked for.
import { setTimeout as pause } from 'node:timers/promises'
import type { KeptRedis } from './kept-redis.ts'
import { Kills, type Target } from './kills.ts'
import type { Message } from './messages.ts'
import { argumentsFor, type Settings } from './place.ts'
import type { Results } from './results.ts'
import { Kept } from './supervisor.ts'

export interface Crew {
  readonly settings: Settings
  readonly workers: number
  /** The Redis to kill, or undefined if nobody may kill it. */
  readonly redis: KeptRedis | undefined
  readonly kill: boolean
  readonly say: (line: string) => void
  /** @param alive how many workers run */
  readonly onMessage: (message: Message, alive: number) => void
  readonly signal: AbortSignal
}

/**
 * Returns what all jobs have done, and what was killed.
 * @throws Error with the reason, if the fleet cannot go on
 */
export async function runCrew(crew: Crew): Promise<{ results: Results; killed: readonly Target[] }> {
  const { settings, say } = crew
  let results: Results | undefined
  const kills = new Kills(async (target) => kill(target))
  const onMessage = (message: Message) => {
    if ('say' in message) say(message.say)
    crew.onMessage(message, workers.filter(({ isUp }) => isUp).length)
    if ('results' in message) ({ results } = message)
    if (!crew.kill) return
    if ('planned' in message) kills.plan(message.planned)
    if ('began' in message) kills.begun()
  }
  const args = argumentsFor(settings)
  const coordinator = new Kept('coordinator.ts', args, onMessage)
  const workers = Array.from({ length: crew.workers }, () => new Kept('worker.ts', args, onMessage))
  for (const { over } of workers) void over.then(({ reason }) => reason !== undefined && say(reason))
  const kill = async (target: Target): Promise<boolean> => {
    const some = target === 'worker' ? workers[Math.floor(Math.random() * workers.length)]! : coordinator
    const pid = target === 'Redis' ? await crew.redis?.kill() : some.kill()
    if (pid === undefined) return false
    say(`killed: ${target}, process ${pid}`)
    return true
  }
  const allWorkersOver = Promise.all(workers.map(({ over }) => over)).then(async ([first]) => {
    // The coordinator ends for the same reason, and says more about it.
    await pause(10_000, undefined, { ref: false })
    return { reason: first?.reason ?? 'all workers have ended' }
  })
  const aborted: Promise<{ reason: string }> = new Promise((resolve) => {
    crew.signal.addEventListener('abort', () => resolve({ reason: 'stopped' }))
  })
  try {
    const { reason } = await Promise.race([coordinator.over, allWorkersOver, aborted])
    if (reason !== undefined) throw new Error(reason)
    if (results === undefined) throw new Error('the coordinator has ended without a result')
    return { results, killed: kills.done }
  } finally {
    await Promise.all([coordinator, ...workers].map((each) => each.stop()))
  }
}
