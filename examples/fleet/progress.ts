// Shows how far the fleet is: as a bar in a terminal, and as a line now and then in a log file.
import { say, terminal, withProgress } from '../terminal.ts'
import type { Crew } from './crew.ts'
import { prefixesFor } from './plan.ts'

const FORMAT =
  'rekeying {bar} {value} of {total} jobs, {rate} heads/s, {left} s left, {alive} workers, {failed} failed jobs'

const LINE_MS = 15_000

export async function withRekeyingBar<T>(
  blocks: number,
  work: (onMessage: Crew['onMessage']) => Promise<T>,
): Promise<T> {
  const started = Date.now()
  let lastLine = started
  let before: number | undefined
  const total = prefixesFor(blocks).length
  const first = { rate: 0, left: '?', alive: 0, failed: 0 }
  const watch = (update: (done: number, values: typeof first) => void): Crew['onMessage'] => {
    return (message, alive) => {
      if (!('progress' in message)) return
      const { done, failed } = message.progress
      // An earlier run may have done some jobs. All jobs have about the same number of heads.
      before ??= done
      const headsPerJob = blocks / total
      const rate = Math.round((1000 * headsPerJob * Math.max(done - before, 0)) / (Date.now() - started))
      const left = rate === 0 ? '?' : String(Math.ceil((headsPerJob * (total - done)) / rate))
      update(done, { rate, left, alive, failed })
      if (terminal || Date.now() - lastLine < LINE_MS) return
      lastLine = Date.now()
      say(`${done} of ${total} jobs are done, ${rate} heads per second, ${alive} workers, ${failed} failed jobs`)
    }
  }
  return withProgress(FORMAT, total, async (update) => work(watch(update)), first)
}
