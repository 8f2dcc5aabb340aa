// Where everything of a run lies, and how each process connects to it. A process gets its settings as arguments; none of
// them is a secret. Keys, and what opens them, are in files.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { blocksIn, type Blocks, type StateStore } from 'keystrata/stores'
import { folderBlobStore, folderStateStore } from 'keystrata/stores/folder'
import { postgresStateStore } from 'keystrata/stores/postgres'
import pg from 'pg'
import { PostgresBlocks } from './postgres-blocks.ts'
import { redisIn } from './servers.ts'

export const STORES = ['postgres', 'folder'] as const

/** What every process of a fleet is told. */
export interface Settings {
  readonly folder: string
  readonly store: (typeof STORES)[number]
  /** How many blocks there are, so that the plan has neither too many jobs nor too few. */
  readonly blocks: number
  /** For how many milliseconds a worker may be silent before another one takes its job. */
  readonly lock: number
}

export const argumentsFor = ({ folder, store, blocks, lock }: Settings): string[] => [
  folder,
  store,
  String(blocks),
  String(lock),
]

export function settingsFrom([folder = '', store = '', blocks, lock]: readonly string[]): Settings {
  return { folder, store: store as Settings['store'], blocks: Number(blocks), lock: Number(lock) }
}

/** The files of a run. */
export interface Files {
  readonly run: string
  /** In a product, the secret manager of the fleet's machines has this password. Here it is a file with mode 0600. */
  readonly password: string
  readonly fleet: string
  /** Sealed to the fleet and signed by the owner: it may lie anywhere. */
  readonly delegation: string
  /** Public. In a product, the fleet gets its fingerprint from the owner. */
  readonly ownerCard: string
  readonly store: string
  readonly postgres: string
  readonly redis: string
}

export function filesIn(folder: string): Files {
  const at = (...names: string[]) => join(folder, ...names)
  return {
    run: at('run.json'),
    password: at('fleet', 'password'),
    fleet: at('fleet', 'keys'),
    delegation: at('delegation'),
    ownerCard: at('owner-card'),
    store: at('store'),
    postgres: at('postgres'),
    redis: at('redis'),
  }
}

/** Writes a file so that it is either the old one or the new one. */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const next = `${path}.${process.pid}.new`
  await writeFile(next, content, { mode, flush: true })
  await rename(next, path)
}

export const readIfThere = async (path: string): Promise<Buffer | undefined> =>
  readFile(path).catch((error: unknown) => {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined
    throw error
  })

/** The stores of a run. */
export interface Stores {
  readonly state: StateStore
  readonly blocks: Blocks
  close(): Promise<void>
}

/** The database: that of `DATABASE_URL`, or the one in the folder. */
export function databaseOf(folder: string): pg.Pool {
  const url = process.env['DATABASE_URL']
  const own = { host: filesIn(folder).postgres, port: 5432, user: 'postgres', database: 'postgres' }
  const pool = new pg.Pool({
    ...(url === undefined ? own : { connectionString: url }),
    max: 6,
    // A server that a network has swallowed must not hold a worker for the hours that TCP waits.
    connectionTimeoutMillis: 10_000,
    query_timeout: 60_000,
    keepAlive: true,
    // Planning each statement anew, for its number of labels, would cost as much as running it.
    options: '-c plan_cache_mode=force_generic_plan',
  })
  // A connection that breaks fails the statements that run on it. There is nothing else to do about it.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  return pool
}

export function storesOf({ folder, store }: Pick<Settings, 'folder' | 'store'>): Stores {
  if (store === 'folder') {
    const place = filesIn(folder).store
    return { state: folderStateStore(place), blocks: blocksIn(folderBlobStore(place)), close: async () => undefined }
  }
  const pool = databaseOf(folder)
  return { state: postgresStateStore(pool), blocks: new PostgresBlocks(pool), close: async () => pool.end() }
}

/**
 * Connects to Redis: that of `REDIS_URL`, or the one in the folder. Commands wait while it is away.
 * @param say is called once when it goes away, and once when it is back
 */
export function redisOf(folder: string, say: (line: string) => void): Redis {
  const options = { maxRetriesPerRequest: null, retryStrategy: (tries: number) => Math.min(50 * tries, 1000) }
  const url = process.env['REDIS_URL']
  const redis =
    url === undefined ? new Redis({ ...redisIn(filesIn(folder).redis), ...options }) : new Redis(url, options)
  let isAway = false
  redis.on('error', (error: Error) => {
    if (!isAway) say(`Redis does not answer (${error.message}); waiting`)
    isAway = true
  })
  redis.on('ready', () => {
    if (isAway) say('Redis answers again')
    isAway = false
  })
  return redis
}
