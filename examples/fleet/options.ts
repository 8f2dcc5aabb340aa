// The command line of the fleet example.
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Settings, STORES } from './place.ts'

export const USAGE = `npm run fleet -- [--workers N] [--blocks N] [--kill] [--store postgres|folder] [--folder DIR] [--keep]

Seals blocks, regenerates the key pairs, and rekeys all blocks by a fleet of worker processes. Then it checks every head,
and opens every block.

  --workers N    how many worker processes, 1 to 64 (default 2)
  --blocks N     how many blocks, 1 to 1,000,000,000 (default 20,000)
  --kill         kill workers, the coordinator and Redis while they work, at random moments; a Redis that others
                 started is not killed
  --store KIND   where blocks and keyset are: postgres (default) or folder
  --folder DIR   where everything of this run is, with the data of the servers; by default keystrata-fleet-… in the
                 system's folder for temporary files
  --lock MS      after so many milliseconds of silence, another worker takes a job (default 3,000)
  --keep         do not delete everything after success

It may be stopped at any moment, and the same command goes on where it was. It starts a PostgreSQL and a Redis server of
its own, from Debian's packages, unless DATABASE_URL and REDIS_URL name others.

The password of the keyset is read from the environment variable KEYSTRATA_PASSWORD. If it is not set, the program asks.`

/** The command line is wrong. */
export class UsageError extends Error {}

export interface Options extends Settings {
  readonly workers: number
  readonly kill: boolean
  readonly keep: boolean
}

/**
 * Returns the options, or undefined if the usage is asked for.
 * @throws UsageError
 */
export function optionsFrom(args: readonly string[]): Options | undefined {
  const { values } = parsed(args)
  if (values.help) return undefined
  const number = (name: 'workers' | 'blocks' | 'lock', least: number, most: number) => {
    const value = Number(values[name])
    if (/^\d+$/.test(values[name]) && value >= least && value <= most) return value
    throw new UsageError(`--${name} takes a number from ${least.toLocaleString('en')} to ${most.toLocaleString('en')}`)
  }
  const store = STORES.find((each) => each === values.store)
  if (store === undefined) throw new UsageError(`--store must be one of ${STORES.join(', ')}`)
  if (values.folder === '') throw new UsageError('--folder needs the name of a folder')
  return {
    workers: number('workers', 1, 64),
    blocks: number('blocks', 1, 1e9),
    lock: number('lock', 500, 600_000),
    store,
    folder: resolve(values.folder ?? join(tmpdir(), `keystrata-fleet-${process.getuid?.() ?? 'user'}`)),
    kill: values.kill,
    keep: values.keep,
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        workers: { type: 'string', default: '2' },
        blocks: { type: 'string', default: '20000' },
        kill: { type: 'boolean', default: false },
        store: { type: 'string', default: 'postgres' },
        folder: { type: 'string' },
        lock: { type: 'string', default: '3000' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; use --help to see the options`, { cause: error })
  }
}
