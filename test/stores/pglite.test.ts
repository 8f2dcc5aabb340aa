// The store in PostgreSQL without a server: on PGlite, and with scripted answers. postgres.test.ts tests it on a server.
import { PGlite } from '@electric-sql/pglite'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import { StoreMistake } from '../../src/state/checked.ts'
import { registryStoreLaws } from '../../src/stores/contract.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { checkStore } from '../../src/stores.ts'
import { withoutPauses } from '../pauses.ts'
import { assertReadsBesideDrop, versionsIn } from './versions-in.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

/** What the store needs of a database. The type has no name of its own outside. */
type Database = Parameters<typeof postgresStateStore>[0]

describe('the schema', () => {
  it.each(['', 'Big', 'a-b', 'a.b.c', '1a', 'a b', 'a"b', "a'b", 'a.', '.a', 'a;drop', 'ä', 'a\n'])(
    'refuses the table name %j',
    (table) => {
      expect(() => postgresSchema({ table })).toThrow(TypeError)
      expect(() => postgresStateStore({ query: async () => ({ rows: [] }) }, { table })).toThrow(TypeError)
    },
  )

  it('refuses names that PostgreSQL would cut', () => {
    expect(() => postgresSchema({ table: 'a'.repeat(49) })).toThrow(RangeError)
    expect(postgresSchema({ table: `${'s'.repeat(48)}.${'t'.repeat(48)}` })).toContain(`"${'t'.repeat(48)}_once_until"`)
  })

  it('takes a pool, a client, and PGlite with its transactions, by their types', () => {
    expectTypeOf<pg.Pool>().toExtend<Database>()
    expectTypeOf<pg.Client>().toExtend<Database>()
    expectTypeOf<pg.PoolClient>().toExtend<Database>()
    expectTypeOf<PGlite>().toExtend<Database>()
    expectTypeOf<Parameters<Parameters<PGlite['transaction']>[0]>[0]>().toExtend<Database>()
    expectTypeOf<{ query(text: string): string }>().not.toExtend<Database>()
  })

  it('refuses a database without a method query', () => {
    expect(() => postgresStateStore({} as Database)).toThrow(TypeError)
    expect(() => postgresStateStore(undefined as unknown as Database)).toThrow(TypeError)
  })
})

/** The driver may return anything, because products change how it reads types. */
describe('answers of a driver that are not text', () => {
  it.each([
    { version: 1n, bytes: '' },
    { version: 1, bytes: '' },
    { version: '1.5', bytes: '' },
    { version: '9007199254740993', bytes: '' },
    { version: '1', bytes: new Uint8Array(1) },
    { version: '1', bytes: null },
    {},
  ])('are a mistake: case %#', async (row) => {
    const store = postgresStateStore({ query: async () => ({ rows: [row] }) })
    await expect(store.read('keyset')).rejects.toThrow(StoreMistake)
    await expect(store.write('keyset', 1, bytes('1'))).rejects.toThrow(StoreMistake)
  })
})

describe('retries', () => {
  withoutPauses()
  const failing = (code: string, times: number) => {
    let calls = 0
    const query = async () => {
      calls++
      if (calls <= times) throw Object.assign(new Error(code), { code })
      return { rows: [] }
    }
    return { store: postgresStateStore({ query }), calls: () => calls }
  }

  it.each(['40001', '40P01'])('run a statement again after SQLSTATE %s', async (code) => {
    const { store, calls } = failing(code, 5)
    expect(await store.read('keyset')).toBeUndefined()
    expect(calls()).toBe(6)
  })

  it('end', async () => {
    const { store, calls } = failing('40001', 1000)
    await expect(store.read('keyset')).rejects.toThrow('40001')
    expect(calls()).toBe(12)
  })

  it.each(['08006', '57P01', '23505', 'ECONNRESET'])('leave %s to the caller', async (code) => {
    const { store, calls } = failing(code, 1000)
    await expect(store.read('keyset')).rejects.toThrow(code)
    expect(calls()).toBe(1)
  })
})

describe('PGlite', () => {
  let db: PGlite
  beforeAll(async () => {
    db = new PGlite()
    await db.exec(postgresSchema())
  })
  afterAll(() => db.close())

  it.each(registryStoreLaws(() => postgresStateStore(db)))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore', async () => {
    await checkStore(postgresStateStore(db))
    await checkStore(postgresStateStore(db))
  })

  it('is refused inside a transaction, also for writing false and for once', async () => {
    const store = postgresStateStore(db)
    await expect(
      db.transaction(async (inside) => {
        await postgresStateStore(inside).write('inside/a', 1, bytes('1'))
      }),
    ).rejects.toThrow(StoreMistake)
    expect(await store.read('inside/a')).toBeUndefined()
    await expect(
      db.transaction(async (inside) => {
        await postgresStateStore(inside).once('inside', new Date(Date.now() + 60_000))
      }),
    ).rejects.toThrow(StoreMistake)
    expect(await store.once('inside', new Date(Date.now() + 60_000))).toBe(true)
  })

  it('takes bytes that are a part of a larger buffer', async () => {
    const store = postgresStateStore(db)
    await store.write('view', 1, new Uint8Array([9, 1, 2, 3, 9]).subarray(1, 4))
    expect((await store.read('view'))?.bytes).toEqual(new Uint8Array([1, 2, 3]))
  })

  it('reads versions in pages of sixteen, beside a drop', async () => {
    let pages = 0
    const counting = {
      query: async (text: string, values: unknown[]) => {
        if (text.includes('LIMIT 16')) pages++
        return db.query(text, values)
      },
    }
    const store = postgresStateStore(counting)
    await assertReadsBesideDrop(store)
    expect(pages).toBe(2)
    expect(await versionsIn(store, 'pages', 41)).toEqual([])
    expect(await versionsIn(store, 'pages', -5)).toHaveLength(11)
    // A full page may be the last one.
    await store.drop('pages', 25)
    expect(await versionsIn(store, 'pages', 25)).toHaveLength(11)
  })

  it('drops by whole versions, and never the newest', async () => {
    const store = postgresStateStore(db)
    for (let version = 1; version <= 5; version++) await store.write('dropped', version, bytes('v'))
    for (const below of [-1, 0, 1, Number.NaN, -Infinity]) await store.drop('dropped', below)
    expect(await versionsIn(store, 'dropped', 1)).toHaveLength(5)
    await store.drop('dropped', 1.5)
    expect(await versionsIn(store, 'dropped', 1)).toEqual(['2 v', '3 v', '4 v', '5 v'])
    await store.drop('dropped', Infinity)
    expect(await versionsIn(store, 'dropped', 1)).toEqual(['5 v'])
  })

  it('deletes expired keys along the way, at the first call of `once` and at every sixteenth', async () => {
    const [past, future] = [new Date(Date.now() - 1000), new Date(Date.now() + 60_000)]
    const expired = async () => {
      const { rows } = await db.query<{ key: string }>(`SELECT key FROM keystrata_once WHERE key LIKE 'expired/%'`)
      return rows.length
    }
    const store = postgresStateStore(db)
    for (let index = 1; index <= 16; index++) await store.once(`expired/${index}`, past)
    // The first call deletes the one that it has added.
    expect(await expired()).toBe(15)
    expect(await store.once('kept', future)).toBe(true)
    expect(await expired()).toBe(0)
    expect(await store.once('kept', future)).toBe(false)
    await expect(store.once('kept', new Date(Number.NaN))).rejects.toThrow(RangeError)
  })

  it('is refused with synchronous_commit = off, and nothing is written', async () => {
    const store = postgresStateStore(db)
    await store.write('off/b', 1, bytes('1'))
    await db.exec('SET synchronous_commit = off')
    try {
      const message = 'synchronous_commit is off, so the server acknowledges writes that a crash loses'
      for (const call of [
        () => store.write('off/a', 1, bytes('1')),
        () => store.write('off/b', 2, bytes('2')),
        () => store.once('off', new Date(Date.now() + 60_000)),
        () => store.drop('off/b', 2),
      ]) {
        await expect(call()).rejects.toThrow(message)
        await expect(call()).rejects.toThrow(StoreMistake)
      }
    } finally {
      await db.exec('SET synchronous_commit = on')
    }
    expect(await store.read('off/a')).toBeUndefined()
    expect(await versionsIn(store, 'off/b', 1)).toEqual(['1 1'])
  })

  it('creates its tables in a schema, beside others, and does it again without a change', async () => {
    await db.exec('CREATE SCHEMA beside')
    for (let times = 0; times < 2; times++) await db.exec(postgresSchema({ table: 'beside.backup' }))
    const store = postgresStateStore(db, { table: 'beside.backup' })
    expect(await store.write('a', 1, bytes('1'))).toBe(true)
    expect(await store.once('a', new Date(Date.now() + 60_000))).toBe(true)
    expect(await postgresStateStore(db).read('a')).toBeUndefined()
    const { rows } = await db.query(`SELECT indexname FROM pg_indexes WHERE schemaname = 'beside' ORDER BY indexname`)
    expect(rows).toEqual(
      ['_head_pkey', '_once_pkey', '_once_until', '_version_pkey'].map((each) => ({ indexname: `backup${each}` })),
    )
  })
})

describe('answers of the server to a write', () => {
  const settings = { transaction: '', synchronous_commit: 'on', durable: 'yes' }
  const answering = (...answers: readonly object[]) => {
    const asked: string[] = []
    const query = async (text: string) => {
      asked.push(text)
      return { rows: [answers[asked.length - 1]!] }
    }
    return { store: postgresStateStore({ query }), asked }
  }
  const written = { ...settings, written: '1', transaction: '77' }

  it('are true only if the transaction is committed', async () => {
    const { store, asked } = answering(written, { status: 'committed' })
    expect(await store.write('a', 1, bytes('1'))).toBe(true)
    expect(asked).toHaveLength(2)
    const open = answering(written, { status: 'in progress' })
    await expect(open.store.write('a', 1, bytes('1'))).rejects.toThrow('inside a transaction')
    await expect(answering(written, { status: 'in progress' }).store.write('a', 1, bytes('1'))).rejects.toThrow(
      StoreMistake,
    )
    const aborted = answering(written, { status: 'aborted' })
    await expect(aborted.store.write('a', 1, bytes('1'))).rejects.toThrow('the transaction of this write is aborted')
  })

  it('are false without a second question only if the statement has no transaction', async () => {
    const refused = answering({ ...settings, written: '0' })
    expect(await refused.store.write('a', 1, bytes('1'))).toBe(false)
    expect(refused.asked).toHaveLength(1)
    // The transaction of the caller has a number already.
    const inside = answering({ ...written, written: '0' }, { status: 'in progress' })
    await expect(inside.store.write('a', 1, bytes('1'))).rejects.toThrow(StoreMistake)
  })

  it('name the setting with which the server loses what it acknowledges', async () => {
    const off = answering({ ...settings, written: '0', durable: 'no', synchronous_commit: 'off' })
    await expect(off.store.write('a', 1, bytes('1'))).rejects.toThrow(
      'synchronous_commit is off, so the server acknowledges writes that a crash loses: set it to on for the connections of this store',
    )
    const unsafe = answering({ ...settings, written: '0', durable: 'no' })
    await expect(unsafe.store.write('a', 1, bytes('1'))).rejects.toThrow(/^fsync is off, .* loses: set it to on$/)
  })

  it.each([[undefined], [null], [{}], [{ rows: 'a' }], [{ rows: [1] }], [{ rows: [null] }], ['rows']])(
    'that are %j are a mistake of the client',
    async (answer) => {
      const store = postgresStateStore({ query: () => Promise.resolve(answer as never) })
      await expect(store.read('a')).rejects.toThrow(StoreMistake)
    },
  )

  it('refuses an invalid name before it asks the database', async () => {
    const store = postgresStateStore({ query: () => Promise.reject(new Error('asked')) })
    const name = "a'; DROP TABLE keystrata_head; --"
    await expect(store.read(name)).rejects.toThrow(TypeError)
    await expect(store.readVersion(name, 1)).rejects.toThrow(TypeError)
    await expect(store.readVersions!(name, 1)[Symbol.asyncIterator]().next()).rejects.toThrow(TypeError)
    await expect(store.write(name, 1, bytes('1'))).rejects.toThrow(TypeError)
    await expect(store.write('keyset', 0, bytes('1'))).rejects.toThrow(RangeError)
    await expect(store.drop(name, 2)).rejects.toThrow(TypeError)
    expect(await store.readVersion('keyset', 0)).toBeUndefined()
  })
})
