// What the tests of the fleet share: the owner with few blocks, in this process, on real servers.
import { mkdirSync, rmSync } from 'node:fs'
import type pg from 'pg'
import { expect } from 'vitest'
import { runCrew } from '../../examples/fleet/crew.ts'
import { delegateTo } from '../../examples/fleet/fleet-keys.ts'
import { KeptRedis } from '../../examples/fleet/kept-redis.ts'
import type { Message } from '../../examples/fleet/messages.ts'
import { sealBlocks } from '../../examples/fleet/owner.ts'
import { argumentsFor, databaseOf, filesIn, type Settings, storesOf, type Stores } from '../../examples/fleet/place.ts'
import { blocksSchema } from '../../examples/fleet/postgres-blocks.ts'
import { type Postgres, startPostgres } from '../../examples/fleet/servers.ts'
import { Kept } from '../../examples/fleet/supervisor.ts'
import { changeKeyset, checkRetired, type Keyset, openFrom, saveKeyset } from '../../src/index.ts'
import { postgresSchema } from '../../src/stores/postgres.ts'
import { all, makeKeyset } from '../fixtures.ts'
import { newFolder } from './tree.ts'

/** A process that was silent for so long has lost its job. */
const LOCK = 1000

export const BLOCKS = 600

/** Servers, and one fleet after the other on them. */
export class FleetServers {
  readonly settings: Settings
  readonly pool: pg.Pool
  redis: KeptRedis
  readonly #postgres: Postgres
  readonly #redisSettings: Readonly<Record<string, string>>

  private constructor(
    settings: Settings,
    postgres: Postgres,
    redis: KeptRedis,
    redisSettings: Readonly<Record<string, string>>,
  ) {
    this.settings = settings
    this.#redisSettings = redisSettings
    this.#postgres = postgres
    this.redis = redis
    this.pool = databaseOf(settings.folder)
  }

  /** @param more further lines of the servers' configurations, for each server */
  static async start(
    more: { postgres?: Readonly<Record<string, string>>; redis?: Readonly<Record<string, string>> } = {},
  ): Promise<FleetServers> {
    const folder = newFolder()
    const { postgres, redis } = filesIn(folder)
    const settings = { folder, store: 'postgres', blocks: BLOCKS, lock: LOCK } as const
    return new FleetServers(
      settings,
      await startPostgres(more.postgres, postgres),
      await KeptRedis.start(redis, more.redis),
      more.redis ?? {},
    )
  }

  async stop(): Promise<void> {
    await this.pool.end()
    await Promise.all([this.redis.stop(), this.#postgres.stop()])
    rmSync(this.settings.folder, { recursive: true, force: true })
  }

  /** Ends Redis, deletes what it has kept, and starts it again. */
  async emptyRedis(): Promise<void> {
    await this.redis.stop()
    const { redis } = filesIn(this.settings.folder)
    rmSync(redis, { recursive: true })
    mkdirSync(redis)
    this.redis = await KeptRedis.start(redis, this.#redisSettings)
  }
}

/** Something that happens once. */
export function signal(): { happen: () => void; happened: Promise<void> } {
  let resolve: (() => void) | undefined
  const happened: Promise<void> = new Promise((done) => (resolve = done))
  const happen = () => resolve?.()
  return { happen, happened }
}

/** The tables of the blocks and of the keyset. */
const TABLES = ['block_head', 'block_ciphertext', 'keystrata_head', 'keystrata_version'] as const

/** The owner of a keyset whose blocks are all under a retired pair, and are delegated. */
export class Owner {
  readonly servers: FleetServers
  readonly stores: Stores
  keyset: Keyset
  readonly said: string[] = []

  private constructor(servers: FleetServers, stores: Stores, keyset: Keyset) {
    this.servers = servers
    this.stores = stores
    this.keyset = keyset
  }

  /** Seals the blocks, once for all tests. */
  static async seal(servers: FleetServers): Promise<Keyset> {
    await servers.pool.query(postgresSchema() + blocksSchema)
    const { state, blocks, close } = storesOf(servers.settings)
    const keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    await sealBlocks(blocks, keyset, { start: 0, end: BLOCKS, onSealed: () => undefined })
    const regenerated = await changeKeyset(state, keyset, (newest) => newest.regenerate())
    for (const table of TABLES) await servers.pool.query(`CREATE TABLE kept_${table} AS TABLE ${table}`)
    await close()
    return regenerated
  }

  /** Puts everything back as it was sealed, and delegates it. */
  static async again(servers: FleetServers, keyset: Keyset): Promise<Owner> {
    for (const table of TABLES)
      await servers.pool.query(`TRUNCATE ${table}; INSERT INTO ${table} SELECT * FROM kept_${table}`)
    await servers.emptyRedis()
    const owner = new Owner(servers, storesOf(servers.settings), keyset)
    await owner.delegate()
    return owner
  }

  async regenerate(): Promise<void> {
    this.keyset = await changeKeyset(this.stores.state, this.keyset, (newest) => newest.regenerate())
  }

  async delegate(until?: Date): Promise<void> {
    await delegateTo(this.servers.settings.folder, this.keyset, until)
  }

  /** Starts a process of the fleet. */
  start(program: string, onMessage: (message: Message) => void): Kept {
    return new Kept(program, argumentsFor(this.servers.settings), (message) => {
      if ('say' in message) this.said.push(message.say)
      onMessage(message)
    })
  }

  /** Runs the fleet to its end. */
  async run(
    options: { kill?: boolean; workers?: number; onMessage?: (message: Message) => void } = {},
  ): ReturnType<typeof runCrew> {
    const { kill = false, workers = 1, onMessage = () => undefined } = options
    return runCrew({
      settings: this.servers.settings,
      workers,
      redis: this.servers.redis,
      kill,
      say: (line) => this.said.push(line),
      onMessage,
      signal: new AbortController().signal,
    })
  }

  /** Checks what the owner checks in the end: every head is current, and every content is there. */
  async check(): Promise<void> {
    const { blocks } = this.stores
    await checkRetired(blocks, this.keyset, { logs: [] })
    const labels = (await all(blocks.heads())).map(({ label }) => label)
    const contents = await all(openFrom(blocks, this.keyset, labels, { ahead: 64 }))
    const found = contents.map((content) => new TextDecoder().decode(content)).sort()
    expect(found).toEqual(Array.from({ length: BLOCKS }, (_, number) => `block ${number} of the fleet`).sort())
  }

  async end(): Promise<void> {
    await this.stores.close()
  }
}
