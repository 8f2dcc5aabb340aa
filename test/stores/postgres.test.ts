import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { registryStoreLaws } from '../../src/stores/contract.ts'
import { checkStore } from '../../src/stores.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { startPostgres, type Server } from './postgres-server.ts'
let server: Server, pool: pg.Pool, ser: pg.Pool
beforeAll(async () => {
  const t = Date.now()
  server = await startPostgres()
  console.log('start', Date.now() - t)
  pool = new pg.Pool(server.config)
  ser = new pg.Pool({ ...server.config, options: '-c default_transaction_isolation=serializable' })
  await pool.query(postgresSchema())
  await pool.query(postgresSchema())
})
afterAll(async () => {
  await pool.end()
  await ser.end()
  await server.stop()
})
describe('pool', () => {
  it.each(registryStoreLaws(() => postgresStateStore(pool)))('keeps the law: $name', ({ check }) => check())
  it('check', async () => {
    const s = postgresStateStore(pool)
    for (let i = 0; i < 3; i++) await checkStore(s)
    await Promise.all([checkStore(s), checkStore(s)])
  })
})
describe('ser', () => {
  it.each(registryStoreLaws(() => postgresStateStore(ser)))('keeps the law: $name', ({ check }) => check())
})
describe('tx', () => {
  it('x', async () => {
    const c = new pg.Client(server.config)
    await c.connect()
    await c.query('BEGIN')
    await expect(postgresStateStore(c).write('tx', 1, new Uint8Array(3))).rejects.toThrow('inside a transaction')
    await expect(postgresStateStore(c).write('tx', 1, new Uint8Array(3))).rejects.toThrow('inside a transaction')
    await c.end()
  })
})
describe('pglite', () => {
  const db = new PGlite()
  beforeAll(async () => {
    await db.exec(postgresSchema())
  })
  it.each(registryStoreLaws(() => postgresStateStore(db)))('keeps the law: $name', ({ check }) => check())
})
