// The fleet example, with real processes and servers: what can go wrong on the way.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Results } from '../../examples/fleet/results.ts'
import type { Keyset } from '../../src/index.ts'
import { mayStart } from '../stores/servers.ts'
import { BLOCKS, FleetServers, Owner, signal } from './fleet-run.ts'

const hasServers = mayStart('postgres') && mayStart('redis-server')

describe.skipIf(!hasServers)('a fleet', () => {
  let servers: FleetServers
  let keyset: Keyset
  let owner: Owner

  /** Makes an owner whose blocks the fleet will rekey. */
  async function withOwner(test: () => Promise<void>): Promise<void> {
    owner = await Owner.again(servers, keyset)
    try {
      await test()
    } finally {
      await owner.end()
    }
  }

  beforeAll(async () => {
    servers = await FleetServers.start()
    keyset = await Owner.seal(servers)
  })
  afterAll(async () => servers.stop())

  it('rekeys every block, while workers, the coordinator and Redis are killed', async () =>
    withOwner(async () => {
      const { results, killed } = await owner.run({ kill: true, workers: 2 })
      expect(new Set(killed)).toEqual(new Set(['worker', 'coordinator', 'Redis']))
      expect(owner.said.filter((line) => line.startsWith('killed: ')).length).toBeGreaterThanOrEqual(3)
      expect(results.jobs).toBe(16)
      expect(results.rekeyed + results.current).toBe(BLOCKS)
      expect(results.rekeyed).toBeGreaterThan(0)
      await owner.check()
    }))

  it('does not believe a worker that lies: the check finds the heads, and their jobs run again', async () =>
    withOwner(async () => {
      let results: Results | undefined
      const coordinator = owner.start('coordinator.ts', (message) => {
        if ('results' in message) ({ results } = message)
      })
      const liar = owner.start('../../test/examples/fleet-liar.ts', () => undefined)
      expect(await liar.over).toEqual({ reason: undefined })
      expect(owner.said).toContain('told 6 lies')
      const worker = owner.start('worker.ts', () => undefined)
      expect(await coordinator.over).toEqual({ reason: undefined })
      await worker.stop()
      expect(results).toMatchObject({ jobs: 16, repeated: 6, rekeyed: BLOCKS })
      expect(owner.said).toContainEqual(expect.stringMatching(/heads under 6 prefixes are not current/))
      await owner.check()
    }))

  it('stops when the keyset changes, and a new delegation finishes the work', async () =>
    withOwner(async () => {
      const planned = signal()
      const began = signal()
      const coordinator = owner.start('coordinator.ts', (message) => {
        if ('planned' in message) planned.happen()
      })
      await planned.happened
      await coordinator.stop()
      // The keyset changes in the middle of a job: nobody can replace an envelope until then.
      const blocker = await servers.pool.connect()
      await blocker.query('BEGIN; SELECT 1 FROM block_head FOR UPDATE')
      const worker = owner.start('worker.ts', (message) => {
        if ('began' in message) began.happen()
      })
      await began.happened
      await owner.regenerate()
      await blocker.query('ROLLBACK')
      blocker.release()
      expect((await worker.over).reason).toMatch(/worker \d+ stops: the keyset has changed since it was delegated/)
      expect((await owner.start('coordinator.ts', () => undefined).over).reason).toBe(
        'the keyset has changed since it was delegated: run the same command again, so that the owner delegates again',
      )
      await owner.delegate()
      const { results } = await owner.run()
      expect([results.jobs, results.rekeyed + results.current]).toEqual([16, BLOCKS])
      await owner.check()
    }))

  it('stops when the delegation expires, and a new one finishes the work', async () =>
    withOwner(async () => {
      // Nobody can replace an envelope until then.
      const blocker = await servers.pool.connect()
      await blocker.query('BEGIN; SELECT 1 FROM block_head FOR UPDATE')
      const until = Date.now() + 4000
      await owner.delegate(new Date(until))
      const stopped = owner.run().catch((error: unknown) => (error as Error).message)
      await new Promise((resolve) => setTimeout(resolve, until - Date.now()))
      await blocker.query('ROLLBACK')
      blocker.release()
      expect(await stopped).toBe(
        'the delegation has expired: run the same command again, so that the owner delegates again',
      )
      // The queue is the same, because the keyset is: jobs that have failed run again.
      await owner.delegate()
      const { results } = await owner.run()
      expect([results.jobs, results.rekeyed + results.current]).toEqual([16, BLOCKS])
      await owner.check()
    }))

  it('names the heads that cannot be rekeyed, and the reasons', async () =>
    withOwner(async () => {
      const { rows } = await servers.pool.query<{ label: string }>(`UPDATE block_head SET envelope = '\\x00'
WHERE label = (SELECT label FROM block_head ORDER BY label LIMIT 1) RETURNING encode(label, 'hex') AS label`)
      const label = rows[0]!.label.slice(0, 12)
      const message = await owner.run().catch((error: unknown) => (error as Error).message)
      expect(message).toContain(`these heads are still not current: ${label}… (${label}…: `)
      expect(message).toContain('not a valid envelope)')
    }))

  it('goes on when Redis loses everything', async () =>
    withOwner(async () => {
      let lost: Promise<void> | undefined
      const { results } = await owner.run({
        onMessage: (message) => {
          if ('began' in message) lost ??= servers.emptyRedis()
        },
      })
      await lost
      expect(owner.said).toContainEqual(expect.stringMatching(/Redis has lost \d+ jobs; planning them again/))
      expect([results.jobs, results.rekeyed + results.current]).toEqual([16, BLOCKS])
      await owner.check()
    }))
})
