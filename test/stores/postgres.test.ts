// The store in PostgreSQL, on a real server (see servers.ts). pglite.test.ts tests it without a server.
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckedStore, StoreMistake } from '../../src/state/checked.ts'
import type { RegistryStore } from '../../src/state/store.ts'
import { registryStoreLaws } from '../../src/stores/contract.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { checkStore } from '../../src/stores.ts'
import { countsIn, Reports } from './adding.ts'
import { type Server, startPostgres } from './postgres-server.ts'
import { mayStart } from './servers.ts'
import { assertReadsBesideDrop, versionsIn } from './versions-in.ts'

/** The number of the type `text` in PostgreSQL. */
const TEXT = 25

const bytes = (text: string) => new TextEncoder().encode(text)

/** A pool that does not mind when the server cuts its connections. */
function poolOf(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config)
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  return pool
}

/** Runs `test` with a client, and ends the client. */
async function withClient(server: Server, test: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(server.config)
  await client.connect()
  try {
    await test(client)
  } finally {
    await client.end()
  }
}

describe.skipIf(!mayStart('postgres'))('a PostgreSQL server', () => {
  let server: Server
  let pool: pg.Pool
  let serializable: pg.Pool
  let repeatable: pg.Pool
  beforeAll(async () => {
    server = await startPostgres()
    const isolated = (level: string) =>
      poolOf({ ...server.config, options: `-c default_transaction_isolation=${level.replace(' ', '\\ ')}` })
    pool = poolOf(server.config)
    serializable = isolated('serializable')
    repeatable = isolated('repeatable read')
    await pool.query(postgresSchema())
  })
  afterAll(async () => {
    await Promise.all([pool, serializable, repeatable].map((each) => each.end()))
    await server.stop()
  })

  describe.each([
    ['read committed', () => pool],
    ['repeatable read', () => repeatable],
    ['serializable', () => serializable],
  ] as const)('under %s', (level, poolAt) => {
    it('really uses this isolation', async () => {
      const { rows } = await poolAt().query('SHOW transaction_isolation')
      expect(rows).toEqual([{ transaction_isolation: level }])
    })

    it.each(registryStoreLaws(() => postgresStateStore(poolAt())))('keeps the law: $name', ({ check }) => check())

    it('passes checkStore again and again', async () => {
      const store = postgresStateStore(poolAt())
      for (let start = 0; start < 3; start++) await checkStore(store)
      await Promise.all([checkStore(store), checkStore(store)])
    })
  })

  it('creates its tables once, in a schema too, and keeps what is in them', async () => {
    await pool.query('CREATE SCHEMA "order"')
    for (let times = 0; times < 3; times++) {
      await pool.query(postgresSchema({ table: 'order.user' }))
      await pool.query(postgresSchema())
      await checkStore(postgresStateStore(pool, { table: 'order.user' }))
    }
    const { rows } = await pool.query(`SELECT table_name, collation_name FROM information_schema.columns
      WHERE table_schema = 'order' AND column_name IN ('name', 'key') ORDER BY table_name`)
    expect(rows).toEqual([
      { table_name: 'user_head', collation_name: 'C' },
      { table_name: 'user_once', collation_name: 'C' },
      { table_name: 'user_version', collation_name: 'C' },
    ])
    expect(await postgresStateStore(pool).read('check')).toBeDefined()
  })

  it('stores what the specification says', async () => {
    const store = postgresStateStore(pool)
    for (let version = 1; version <= 3; version++) await store.write('stored', version, bytes(`v${version}`))
    await store.drop('stored', 3)
    const head = await pool.query(`SELECT * FROM keystrata_head WHERE name = 'stored'`)
    expect(head.rows).toEqual([{ name: 'stored', version: '3' }])
    const versions = await pool.query(`SELECT * FROM keystrata_version WHERE name = 'stored'`)
    expect(versions.rows).toEqual([{ name: 'stored', version: '3', bytes: Buffer.from('v3') }])
  })

  it('works in the binary format, and with type parsers that a product has changed', async () => {
    const changed = (): never => {
      throw new Error('a parser of the product')
    }
    const types: pg.CustomTypesConfig = {
      getTypeParser: ((oid: number) => (oid === TEXT ? String : changed)) as pg.CustomTypesConfig['getTypeParser'],
    }
    for (const [index, config] of ([{ binary: true }, { types }] as const).entries()) {
      const other = poolOf({ ...server.config, ...config })
      try {
        const [law] = registryStoreLaws(() => postgresStateStore(other)).filter(({ name }) => name.startsWith('bytes'))
        await law!.check()
        const store = postgresStateStore(other)
        expect(await store.write(`format/${index}`, 1, new Uint8Array([9, 0, 255, 9]).subarray(1, 3))).toBe(true)
        expect(await store.read(`format/${index}`)).toEqual({ version: 1, bytes: new Uint8Array([0, 255]) })
        expect(await versionsIn(store, 'stored', 1)).toEqual(['3 v3'])
        expect(await store.once(`format/${index}`, new Date(Date.now() + 60_000))).toBe(true)
      } finally {
        await other.end()
      }
    }
  })

  it('reads many versions in pages, beside a drop', async () => {
    const store = postgresStateStore(pool)
    await assertReadsBesideDrop(store)
    expect(await versionsIn(store, 'pages', 41)).toEqual([])
    expect(await versionsIn(store, 'pages', -5)).toHaveLength(11)
  })

  it('remembers a key until its date, and deletes expired keys along the way', async () => {
    const store = postgresStateStore(pool)
    const [past, future] = [new Date(Date.now() - 1000), new Date(Date.now() + 60_000)]
    expect(await store.once('key', past)).toBe(true)
    const answers = await Promise.all(Array.from({ length: 8 }, () => store.once('key', future)))
    expect(answers.filter(Boolean)).toHaveLength(1)
    expect(await store.once('forever', new Date(8.64e15))).toBe(true)
    await expect(store.once('key', new Date(Number.NaN))).rejects.toThrow(RangeError)
    for (let index = 0; index < 40; index++) await store.once(`expired/${index}`, past)
    const { rows } = await pool.query(`SELECT key FROM keystrata_once WHERE until <= now()`)
    expect(rows.length).toBeLessThan(20)
    expect(await store.once('key', future)).toBe(false)
    expect(await store.once('forever', future)).toBe(false)
  })

  it.each([
    ['write', 'BEGIN', (store: RegistryStore) => store.write('inside/a', 1, bytes('1'))],
    ['write', 'BEGIN ISOLATION LEVEL SERIALIZABLE', (store: RegistryStore) => store.write('inside/a', 1, bytes('1'))],
    ['a later write', 'BEGIN; SAVEPOINT s', (store: RegistryStore) => store.write('inside/b', 2, bytes('2'))],
    ['once', 'BEGIN', (store: RegistryStore) => store.once('inside', new Date(Date.now() + 60_000))],
    ['drop', 'BEGIN', (store: RegistryStore) => store.drop('inside/c', 2)],
  ] as const)('%s refuses a client after %s, and a rollback takes it back', async (_, begin, call) => {
    const store = postgresStateStore(pool)
    await store.write('inside/b', 1, bytes('1'))
    for (const version of [1, 2]) await store.write('inside/c', version, bytes('1'))
    await withClient(server, async (client) => {
      await client.query(begin)
      await expect(call(postgresStateStore(client))).rejects.toThrow(/inside a transaction.*pass a pool/)
      await expect(call(postgresStateStore(client))).rejects.toThrow(StoreMistake)
      await client.query('ROLLBACK')
    })
    expect(await store.read('inside/a')).toBeUndefined()
    expect((await store.read('inside/b'))?.version).toBe(1)
    expect(await store.readVersion('inside/c', 1)).toBeDefined()
    expect(await store.once('inside', new Date(0))).toBe(true)
  })

  it('takes a client of its own, and the same client after its transaction', async () => {
    await withClient(server, async (client) => {
      const store = postgresStateStore(client)
      await checkStore(store)
      await client.query('BEGIN')
      await client.query('COMMIT')
      await checkStore(store)
    })
  })

  it('refuses a pool whose only connection somebody left inside a transaction', async () => {
    const small = poolOf({ ...server.config, max: 2 })
    try {
      const left = await small.connect()
      const other = await small.connect()
      await left.query('BEGIN')
      left.release()
      other.release()
      const store = postgresStateStore(small)
      const answers = await Promise.allSettled([1, 2, 3, 4].map((index) => store.write(`left/${index}`, 1, bytes('1'))))
      // A connection of this pool that is in no transaction may answer, and then the write is committed.
      const { rows } = await pool.query(`SELECT name FROM keystrata_head WHERE name LIKE 'left/%' ORDER BY name`)
      const isTrue = answers.flatMap((answer, index) =>
        answer.status === 'fulfilled' && answer.value ? [`left/${index + 1}`] : [],
      )
      expect(rows.map(({ name }: { name: string }) => name)).toEqual(isTrue)
      const refused = answers.filter(({ status }) => status === 'rejected')
      expect(refused.length).toBeGreaterThan(0)
      for (const answer of refused) expect((answer as PromiseRejectedResult).reason).toBeInstanceOf(StoreMistake)
    } finally {
      await small.end()
    }
  })

  it('refuses synchronous_commit = off, and writes nothing', async () => {
    await withClient(server, async (client) => {
      const store = postgresStateStore(client)
      await store.write('off/b', 1, bytes('1'))
      await store.write('off/b', 2, bytes('2'))
      await client.query('SET synchronous_commit = off')
      await expect(store.write('off/a', 1, bytes('1'))).rejects.toThrow(StoreMistake)
      await expect(store.write('off/b', 3, bytes('3'))).rejects.toThrow('synchronous_commit is off')
      await expect(store.once('off', new Date(Date.now() + 60_000))).rejects.toThrow(StoreMistake)
      await expect(store.drop('off/b', 2)).rejects.toThrow(StoreMistake)
      expect(await store.read('off/a')).toBeUndefined()
      expect(await versionsIn(store, 'off/b', 1)).toEqual(['1 1', '2 2'])
      for (const [index, setting] of ['local', 'remote_write', 'on', 'remote_apply'].entries()) {
        await client.query(`SET synchronous_commit = ${setting}`)
        expect(await store.write('off/b', 3 + index, bytes('3'))).toBe(true)
      }
      expect(await store.once('off', new Date(Date.now() + 60_000))).toBe(true)
    })
  })

  describe('24 connections in three processes', () => {
    const seconds = process.env['SLOW'] === '1' ? 60 : 2
    /** When the programs end by themselves, in milliseconds. */
    const longest = seconds * 1000 + 60_000
    const program = join(import.meta.dirname, 'postgres-writer.ts')
    const writers = ['one', 'two', 'three']

    /**
     * Runs the programs on new tables. Returns what they said, and what is stored.
     * @param isEnough whether enough has happened: a slow machine takes longer than `seconds` for that
     */
    async function run(
      mode: string,
      table: string,
      options: readonly string[],
      isEnough: (reports: Reports) => boolean,
      meanwhile: (isRunning: () => boolean) => Promise<void>,
    ) {
      await pool.query(`CREATE SCHEMA ${table}`)
      await pool.query(postgresSchema({ table: `${table}.keystrata` }))
      const configs = options.map((each) =>
        JSON.stringify({ ...server.config, options: `-c search_path=${table} ${each}` }),
      )
      const reports = new Reports()
      try {
        const running = writers.map((writer, index) =>
          reports.start(program, [configs[index]!, writer, '8', String(longest), mode]),
        )
        const state = { isRunning: true }
        const ended = Promise.all(running.map((each) => each.ended)).then(() => void (state.isRunning = false))
        const stopped = (async () => {
          await Promise.all(running.map((each) => each.spoken))
          const started = Date.now()
          while (state.isRunning && (Date.now() - started < seconds * 1000 || !isEnough(reports)))
            await new Promise((resolve) => setTimeout(resolve, 50))
          for (const each of running) each.stop()
        })()
        await Promise.all([ended, stopped, meanwhile(() => state.isRunning)])
      } finally {
        await reports.killAll()
      }
      expect(reports.wrong).toEqual([])
      const store = new CheckedStore(postgresStateStore(pool, { table: `${table}.keystrata` }))
      const stored: Map<string, number> = new Map()
      for (const name of ['log/a', 'log/b']) {
        const newest = await store.read(name)
        let sum = 0
        for (const [writer, { count }] of Object.entries(countsIn(newest?.bytes))) {
          stored.set(`${name} ${writer}`, count)
          sum += count
        }
        expect(newest?.version).toBe(sum)
      }
      if (process.env['SLOW'] === '1')
        console.log(mode, options.join(' | '), { acknowledged: reports.total, ...Object.fromEntries(reports.counted) })
      return { reports, stored }
    }

    const sorted = (numbers: ReadonlyMap<string, number>) => [...numbers].sort(([a], [b]) => (a < b ? -1 : 1))

    const serializableToo = '-c default_transaction_isolation=serializable'
    type Run = readonly [level: string, options: readonly string[]]
    const repeatableRead = '-c default_transaction_isolation=repeatable\\ read'
    const runs: readonly Run[] = [
      ['mixed isolation levels', ['', serializableToo, repeatableRead]],
      ['read committed', ['', '', '']],
      ['serializable', [serializableToo, serializableToo, serializableToo]],
    ]
    it.each(process.env['SLOW'] === '1' ? runs : runs.slice(0, 1))(
      'lose nothing that was acknowledged under %s, beside drops and late writes',
      { timeout: 180_000 },
      async (level, options) => {
        const isEnough = ({ total }: Reports) => total > 20 * seconds
        const table = `plain_${level.slice(0, 4)}`
        const { reports, stored } = await run('plain', table, options, isEnough, async () => undefined)
        expect(sorted(stored)).toEqual(sorted(reports.acknowledged))
        expect(isEnough(reports)).toBe(true)
      },
    )

    it(
      'lose nothing and add nothing twice when connections are cut and answers get lost',
      { timeout: 180_000 },
      async () => {
        let cut = 0
        const isEnough = ({ total, counted }: Reports) => total > 5 * seconds && cut > 5 && counted.has('lost answers')
        const levels = ['', '', serializableToo]
        const { reports, stored } = await run('settled', 'settled', levels, isEnough, async (isRunning) => {
          while (isRunning()) {
            const { rows } = await pool.query(`SELECT pg_terminate_backend(pid) FROM (
              SELECT pid FROM pg_stat_activity WHERE application_name = 'keystrata-writer' ORDER BY random() LIMIT 2) AS chosen`)
            cut += rows.length
            await new Promise((resolve) => setTimeout(resolve, 100))
          }
        })
        expect(sorted(stored)).toEqual(sorted(reports.acknowledged))
        expect(isEnough(reports), `${reports.total} acknowledged, ${cut} cut`).toBe(true)
        if (process.env['SLOW'] === '1') console.log({ cut })
      },
    )
  })
})

describe.skipIf(!mayStart('postgres'))('a PostgreSQL server with fsync = off', () => {
  it('is refused, and nothing is written', async () => {
    const server = await startPostgres({ fsync: 'off' })
    try {
      await withClient(server, async (client) => {
        await client.query(postgresSchema())
        const store = postgresStateStore(client)
        await expect(store.write('keyset', 1, bytes('1'))).rejects.toThrow('fsync is off')
        await expect(store.write('keyset', 1, bytes('1'))).rejects.toThrow(StoreMistake)
        expect(await store.read('keyset')).toBeUndefined()
      })
    } finally {
      await server.stop()
    }
  })
})
