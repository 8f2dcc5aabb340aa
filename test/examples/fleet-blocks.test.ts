// The blocks of the fleet example, in a real PostgreSQL server.
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { blocksSchema, dropBlocks, PostgresBlocks } from '../../examples/fleet/postgres-blocks.ts'
import { type BlockHead, openFrom, rekeyBlocks, type SealedBlock, sealInto } from '../../src/index.ts'
import { all, expectSame, makeKeyset, sample } from '../fixtures.ts'
import { type Server, startPostgres } from '../stores/postgres-server.ts'
import { mayStart } from '../stores/servers.ts'

const owner = await makeKeyset()
const next = owner.regenerate()
const content = sample(500)
const plain = ({ label, envelope, ciphertext }: SealedBlock) => ({ label, envelope, ciphertext })
const labels = (heads: readonly BlockHead[]) => heads.map(({ label }) => label)

describe.skipIf(!mayStart('postgres'))('blocks in PostgreSQL', () => {
  let server: Server
  let pool: pg.Pool
  let blocks: PostgresBlocks
  let other: PostgresBlocks

  beforeAll(async () => {
    server = await startPostgres()
    pool = new pg.Pool({ ...server.config, max: 8 })
    pool.on('error', () => undefined)
    pool.on('connect', (client) => void client.on('error', () => undefined))
    blocks = new PostgresBlocks(pool)
    other = new PostgresBlocks(pool)
  })
  beforeEach(async () => {
    await pool.query(dropBlocks + blocksSchema)
    // Statements that were prepared for the old tables.
    await pool.query('DISCARD PLANS')
  })
  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  async function fill(count: number): Promise<string[]> {
    const contents = Array.from({ length: count }, (_, index) => sample(30, index + 1))
    const refs: string[] = []
    for await (const { ref } of sealInto(blocks, owner, contents, { ahead: 64 })) refs.push(ref)
    return refs
  }

  it('are read as they were put, once, and equal contents are one block', async () => {
    const block = await owner.seal(content)
    expect([await blocks.has(block.label), await blocks.get(block.label)]).toEqual([false, undefined])
    expect(await blocks.put(block)).toBe(true)
    expect(await blocks.has(block.label)).toBe(true)
    expect(await other.get(block.label)).toEqual(plain(block))
    const again = await owner.seal(content)
    expect([again.label, await other.put(again)]).toEqual([block.label, false])
    expect(await blocks.get(block.label)).toEqual(plain(block))
    const empty = await owner.seal(new Uint8Array(0))
    expect(await blocks.put(empty)).toBe(true)
    expectSame(await owner.open((await blocks.get(empty.label))!), new Uint8Array(0))
    expect(labels(await all(blocks.heads()))).toEqual([block.label, empty.label].sort())
  })

  it('are gone after delete, and can be put again with another ciphertext', async () => {
    const block = await owner.seal(content)
    await blocks.put(block)
    await blocks.delete(block.label)
    await blocks.delete(block.label)
    expect([await blocks.has(block.label), await blocks.get(block.label)]).toEqual([false, undefined])
    expect(await blocks.replaceEnvelope(block, next.rekey(block))).toBe(false)
    const altered = { ...block, ciphertext: sample(500, 9) }
    expect(await blocks.put(altered)).toBe(true)
    expect(await blocks.get(block.label)).toEqual(plain(altered))
  })

  it('are found by the index alone, also among many: no statement sorts or reads a whole table', async () => {
    // Rows like those of blocks, so that the planner has a reason.
    const rows = `SELECT sha256(n::text::bytea), repeat('x', $1)::bytea FROM generate_series(1, 20000) AS n`
    await pool.query(`INSERT INTO block_head ${rows}`, [1713])
    await pool.query(`INSERT INTO block_ciphertext ${rows}`, [50])
    await pool.query('ANALYZE block_head')
    await pool.query('ANALYZE block_ciphertext')
    const client = new pg.Client({ ...server.config, options: '-c plan_cache_mode=force_generic_plan' })
    await client.connect()
    try {
      const own = new PostgresBlocks(client)
      const block = await owner.seal(content)
      await own.put(block)
      await own.has(block.label)
      await own.get(block.label)
      await own.replaceEnvelope(block, next.rekey(block))
      await all(own.heads({ prefix: '0' }))
      await own.delete(block.label)
      const { rows: statements } = await client.query<{ name: string; types: string[] }>(
        "SELECT name, parameter_types::text[] AS types FROM pg_prepared_statements WHERE name LIKE 'blocks-%'",
      )
      expect(statements.map(({ name }) => name).sort()).toEqual(
        ['delete', 'get', 'has', 'heads', 'put', 'replace'].map((name) => `blocks-${name}`),
      )
      for (const { name, types } of statements) {
        const values = types.map((type) => (type === 'bytea' ? "'\\x00'" : "'{}'"))
        const { rows: lines } = await client.query<Record<string, string>>(
          `EXPLAIN EXECUTE "${name}" (${values.join()})`,
        )
        const plan = lines.map((line) => line['QUERY PLAN']).join('\n')
        // `put` sorts the few rows that it is given.
        expect(plan.replaceAll(/Sort Key: given_?\d*\.label/g, ''), name).not.toMatch(/Seq Scan|Sort Key/)
      }
    } finally {
      await client.end()
    }
  })

  it('that many put at the same time are each answered for themselves', async () => {
    const sealed = await Promise.all(Array.from({ length: 300 }, async (_, index) => owner.seal(sample(20, index + 1))))
    const [first, second] = await Promise.all(
      [blocks, other].map(async (each) => Promise.all(sealed.map(async (block) => each.put(block)))),
    )
    for (const index of sealed.keys()) expect([first![index], second![index]].filter(Boolean)).toHaveLength(1)
    const found = await Promise.all([...sealed.map(async ({ label }) => blocks.get(label)), blocks.get('0'.repeat(64))])
    expect(found).toEqual([...sealed.map(plain), undefined])
  })

  it('that are put twice by one caller at once are written once', async () => {
    const block = await owner.seal(content)
    const answers = await Promise.all(Array.from({ length: 5 }, async () => blocks.put(block)))
    expect(answers.filter(Boolean)).toHaveLength(1)
  })

  it('have heads for a prefix of every length, in order, more than a page', async () => {
    const refs = (await fill(600)).sort()
    expect(labels(await all(blocks.heads()))).toEqual(refs)
    for (let length = 1; length <= 64; length++) {
      const prefix = refs[length]!.slice(0, length)
      expect(labels(await all(blocks.heads({ prefix })))).toEqual(refs.filter((label) => label.startsWith(prefix)))
    }
    expect(await all(blocks.heads({ prefix: refs[0]!.slice(0, 63) + (refs[0]!.endsWith('0') ? '1' : '0') }))).toEqual(
      [],
    )
    for (const prefix of ['f', 'ff', '0', '00']) {
      expect(labels(await all(blocks.heads({ prefix })))).toEqual(refs.filter((label) => label.startsWith(prefix)))
    }
    for (const prefix of ['x', 'A', '0'.repeat(65), 5 as never])
      await expect(all(blocks.heads({ prefix }))).rejects.toThrow(TypeError)
    for await (const { label } of blocks.heads()) if (label === refs[3]) break
  })

  it('exchange an envelope only for the one that was read, whoever else writes', async () => {
    const block = await owner.seal(content)
    await blocks.put(block)
    const envelopes = Array.from({ length: 8 }, () => next.rekey(block))
    // Four in one store, which share a statement or not, and four in another.
    const answers = await Promise.all(
      envelopes.map(async (envelope, index) => (index % 2 === 0 ? blocks : other).replaceEnvelope(block, envelope)),
    )
    expect(answers.filter(Boolean)).toHaveLength(1)
    const stored = (await blocks.get(block.label))!
    expect(stored.envelope).toEqual(envelopes[answers.indexOf(true)])
    expectSame(await next.open(stored), content)
  })

  it('are rekeyed by several at once, while others delete them and put them again', async () => {
    const refs = await fill(400)
    const deleted = refs.filter((_, index) => index % 10 === 0)
    const [first, second] = await Promise.all([
      rekeyBlocks(blocks, next),
      rekeyBlocks(other, next, { ahead: 1 }),
      Promise.all(deleted.map(async (label) => other.delete(label))),
    ])
    expect([first.failed, second.failed]).toEqual([[], []])
    await rekeyBlocks(blocks, next)
    const left = refs.filter((label) => !deleted.includes(label))
    expect(labels(await all(blocks.heads()))).toEqual([...left].sort())
    for (const { envelope } of await all(blocks.heads())) expect(next.isCurrent(envelope)).toBe(true)
    expect((await all(openFrom(blocks, next, left))).length).toBe(360)
  })

  it('are rekeyed in spite of connections that break, and a statement that fails fails all its callers', async () => {
    const refs = await fill(600)
    let failures = 0
    let isRekeyed = false
    const cut = async () => {
      const admin = new pg.Client(server.config)
      await admin.connect()
      while (!isRekeyed) {
        await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE query LIKE 'UPDATE block_head%' AND pid <> pg_backend_pid()`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      await admin.end()
    }
    const rekey = async () => {
      for (let tries = 0; tries < 200; tries++) {
        try {
          const { failed } = await rekeyBlocks(blocks, next)
          expect(failed).toEqual([])
          return
        } catch (error) {
          expect((error as Error).message).toMatch(/terminat|closed|EPIPE|ECONNRESET/i)
          failures++
        }
      }
    }
    await Promise.all([rekey().finally(() => (isRekeyed = true)), cut()])
    expect(failures).toBeGreaterThan(0)
    expect(await rekeyBlocks(blocks, next)).toEqual({ rekeyed: 0, current: 600, failed: [] })
    expect((await all(openFrom(blocks, next, refs))).length).toBe(600)
  })

  it('whose answer is lost are read again: what is written is not assumed', async () => {
    await fill(50)
    let isLost = true
    const deaf = new PostgresBlocks({
      query: async (query) => {
        const answer = await pool.query(query)
        if (isLost && query.text.startsWith('UPDATE')) throw new Error('connection lost')
        return answer
      },
    })
    const [head] = await all(deaf.heads())
    const envelope = next.rekey(head!)
    const nextToo = next.rekey(head!)
    const outcomes = await Promise.allSettled([deaf.replaceEnvelope(head!, envelope), rekeyBlocks(deaf, next)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    isLost = false
    expect(await deaf.replaceEnvelope(head!, nextToo)).toBe(false)
    const { rekeyed, current } = await rekeyBlocks(deaf, next)
    expect([rekeyed + current, current > 0]).toEqual([50, true])
  })

  it('replace an envelope in its page, so that no index changes', async () => {
    await fill(200)
    const pages = async () =>
      (await pool.query<object>('SELECT label, (ctid::text::point)[0]::int AS page FROM block_head ORDER BY label'))
        .rows
    const before = await pages()
    expect((await rekeyBlocks(blocks, next)).rekeyed).toBe(200)
    expect(await pages()).toEqual(before)
  })

  it('refuse what is no label, no bytes, and heads for shares', async () => {
    const block = await owner.seal(content)
    for (const label of ['', 'x', '0'.repeat(63), 5 as never]) {
      await expect(blocks.get(label)).rejects.toThrow(TypeError)
      await expect(blocks.has(label)).rejects.toThrow(TypeError)
      await expect(blocks.delete(label)).rejects.toThrow(TypeError)
      await expect(blocks.put({ ...block, label })).rejects.toThrow(TypeError)
    }
    for (const bytes of [undefined, 'text', new ArrayBuffer(8)] as never[]) {
      await expect(blocks.replaceEnvelope(block, bytes)).rejects.toThrow(TypeError)
      await expect(blocks.put({ ...block, ciphertext: bytes })).rejects.toThrow(TypeError)
    }
    const shared = new Map([['id', block.envelope]])
    await expect(blocks.put({ ...block, shared })).rejects.toThrow(TypeError)
  })
})
