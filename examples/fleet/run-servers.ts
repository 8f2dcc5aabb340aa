// The servers of a run: those that it starts itself, and those of others, which it leaves as it found them.
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { postgresSchema } from 'keystrata/stores/postgres'
import { say } from '../terminal.ts'
import { KeptRedis } from './kept-redis.ts'
import { databaseOf, filesIn, redisOf, type Settings } from './place.ts'
import { blocksSchema, dropBlocks } from './postgres-blocks.ts'
import { openQueue } from './queue.ts'
import { type Running, startPostgres } from './servers.ts'

/** How long a server may take to end in order, after Ctrl-C. */
const ENDING_MS = 1000

/** The servers of a run, which end with it. */
export class Servers implements AsyncDisposable {
  redis: KeptRedis | undefined
  readonly #signal: AbortSignal
  #postgres: Running | undefined
  readonly #before: (() => Promise<void>)[] = []

  /** @param signal if it is aborted, the servers end within a second. A database then recovers at its next start */
  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  async start({ folder, store }: Pick<Settings, 'folder' | 'store'>): Promise<void> {
    const files = filesIn(folder)
    if (process.env['REDIS_URL'] === undefined) this.redis = await KeptRedis.start(files.redis)
    if (store === 'folder') return
    if (process.env['DATABASE_URL'] === undefined) {
      this.#postgres = await startPostgres({ shared_buffers: '256MB' }, files.postgres)
    }
    const pool = databaseOf(folder)
    await pool.query(postgresSchema() + blocksSchema)
    await pool.end()
  }

  /** Runs this before the servers end. */
  beforehand(end: () => Promise<void>): void {
    this.#before.push(end)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const postgres = this.#postgres
    // Connections of work that still runs would hold the pool open.
    if (!this.#signal.aborted) for (const end of this.#before) await end()
    else setTimeout(() => postgres?.process.kill('SIGQUIT'), ENDING_MS).unref()
    await Promise.all([this.redis?.stop(), postgres?.stop()])
  }
}

/**
 * Deletes what a run has made in servers that others have started.
 * @param queues the revisions that it has delegated
 */
export async function emptyServers(
  { folder, store }: Pick<Settings, 'folder' | 'store'>,
  queues: readonly string[],
): Promise<void> {
  if (process.env['REDIS_URL'] !== undefined) {
    const redis = redisOf(folder, say)
    for (const revision of queues) {
      const queue = openQueue(redis, revision)
      await queue.obliterate({ force: true })
      await queue.close()
    }
    redis.disconnect()
  }
  if (store === 'postgres' && process.env['DATABASE_URL'] !== undefined) {
    const pool = databaseOf(folder)
    await pool.query(`${dropBlocks} DROP TABLE IF EXISTS keystrata_head, keystrata_version, keystrata_once;`)
    await pool.end()
  }
}

/** Deletes the files of a run. */
export async function removeRun(folder: string): Promise<void> {
  for (const path of Object.values(filesIn(folder)) as string[]) await rm(path, { recursive: true, force: true })
  await rm(join(folder, 'fleet'), { recursive: true, force: true })
  // Somebody may have put something else there.
  await rmdir(folder).catch(() => undefined)
}
