// The command line of the soak.
import { parseArgs } from 'node:util'
import { type Sabotage, SABOTAGES, isSabotage } from './sabotage.ts'

export interface Options {
  readonly minutes: number
  readonly seed: number
  /** The pause of a worker between two operations, on average, in milliseconds. */
  readonly pace: number
  readonly workers: number
  readonly report: string | undefined
  readonly sabotage: Sabotage | undefined
  readonly keep: boolean
}

export class UsageError extends Error {}

export const usage = (): string => `npm run soak -- [options]

Simulates a service with users, clients and keysets on PostgreSQL and an S3 gateway, with kills, lost answers and restarts.
A reference model says what must hold. The exit code is 1 if anything does not.

  --minutes N      how long (default 120)
  --seed N         repeats the choices of a run as far as processes allow
  --pace MS        mean pause of each worker between two operations (default 500)
  --workers N      how many worker processes, of which the first is never killed (default 4)
  --report FILE    also writes the result as Markdown
  --sabotage KIND  shows that the soak finds a defect:
${Object.entries(SABOTAGES)
  .map(([kind, what]) => `                     ${kind.padEnd(18)} ${what}`)
  .join('\n')}
  --keep           keeps the journals even if nothing is wrong
`

export function optionsFrom(args: string[]): Options | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '120' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      pace: { type: 'string', default: '500' },
      workers: { type: 'string', default: '4' },
      report: { type: 'string' },
      sabotage: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const number = (name: 'minutes' | 'seed' | 'pace' | 'workers', least: number, most: number) => {
    const value = Number(values[name])
    if (!(value >= least && value <= most)) throw new UsageError(`--${name} must be a number from ${least} to ${most}`)
    return value
  }
  if (values.sabotage !== undefined && !isSabotage(values.sabotage))
    throw new UsageError(`--sabotage must be one of: ${Object.keys(SABOTAGES).join(', ')}`)
  return {
    minutes: number('minutes', 0.05, 10_000),
    seed: number('seed', 0, 2 ** 32),
    pace: number('pace', 0, 60_000),
    workers: number('workers', 1, 64),
    report: values.report,
    sabotage: values.sabotage,
    keep: values.keep,
  }
}
