// A worker of the fleet example whose network drops in the middle of a job: it runs in a network namespace of its own, and
// reaches the servers over a pair of virtual devices.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Message } from '../../examples/fleet/messages.ts'
import { argumentsFor } from '../../examples/fleet/place.ts'
import type { Results } from '../../examples/fleet/results.ts'
import { mayStart } from '../stores/servers.ts'
import { BLOCKS, FleetServers, Owner } from './fleet-run.ts'

const root = join(import.meta.dirname, '../..')
// Two runs of this test at the same time must not meet.
const number = 1 + (process.pid % 250)
const [namespace, device] = [`keystrata-${process.pid}`, `ks${process.pid}`]
const [here, there] = [`10.231.${number}.1`, `10.231.${number}.2`]

const ip = (...args: string[]): string =>
  execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** Returns why there can be no namespace, or undefined. */
function whyNoNamespace(): string | undefined {
  try {
    ip('netns', 'add', namespace)
    ip('netns', 'del', namespace)
    return undefined
  } catch (error) {
    if (process.env['REQUIRE_SERVERS'] === '1') throw error
    return (error as Error).message.trim().split('\n').at(-1)
  }
}

const reason = mayStart('postgres') && mayStart('redis-server') ? whyNoNamespace() : 'the servers are not installed'

describe.skipIf(reason !== undefined)(
  `a worker whose network drops${reason === undefined ? '' : ` (${reason})`}`,
  () => {
    const configuration = mkdtempSync(join(tmpdir(), 'keystrata-network-'))
    let servers: FleetServers
    let owner: Owner
    let child: ChildProcess | undefined

    beforeAll(async () => {
      ip('netns', 'add', namespace)
      ip('link', 'add', device, 'type', 'veth', 'peer', 'name', 'far', 'netns', namespace)
      ip('addr', 'add', `${here}/30`, 'dev', device)
      ip('link', 'set', device, 'up')
      ip('-n', namespace, 'addr', 'add', `${there}/30`, 'dev', 'far')
      for (const each of ['lo', 'far']) ip('-n', namespace, 'link', 'set', each, 'up')
      const hba = join(configuration, 'pg_hba.conf')
      writeFileSync(hba, `local all all trust\nhost all all ${there}/32 trust\n`)
      chmodSync(configuration, 0o755)
      servers = await FleetServers.start({
        postgres: { listen_addresses: here, hba_file: hba },
        redis: { bind: here, port: '6379', 'protected-mode': 'no' },
      })
      owner = await Owner.again(servers, await Owner.seal(servers))
    }, 120_000)
    afterAll(async () => {
      child?.kill('SIGKILL')
      await owner.end()
      await servers.stop()
      // The devices go with it.
      ip('netns', 'del', namespace)
      rmSync(configuration, { recursive: true })
    })

    /** Starts a worker in the namespace. `began` is the prefix of its first job. */
    function startFar(): { began: Promise<string>; said: string[] } {
      const program = [
        process.execPath,
        '--import',
        'tsx',
        'examples/fleet/worker.ts',
        ...argumentsFor(servers.settings),
      ]
      const env = {
        ...process.env,
        DATABASE_URL: `postgres://postgres@${here}:5432/postgres`,
        REDIS_URL: `redis://${here}:6379`,
      }
      const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const
      const started = spawn('ip', ['netns', 'exec', namespace, ...program], { cwd: root, env, stdio: [...stdio] })
      child = started
      const said: string[] = []
      const began: Promise<string> = new Promise((resolve, reject) => {
        started.on('message', (message) => {
          const told = message as Message
          if ('began' in told) resolve(told.began)
          if ('say' in told) said.push(told.say)
        })
        started.once('exit', () => reject(new Error('the worker in the namespace has ended')))
      })
      began.catch(() => undefined)
      return { began, said }
    }

    it('loses its job to another worker, comes back, and no head is lost', async () => {
      // Nobody can replace an envelope: the job cannot end before the network drops.
      const blocker = new pg.Client({ host: join(servers.settings.folder, 'postgres'), user: 'postgres', port: 5432 })
      await blocker.connect()
      await blocker.query('BEGIN')
      await blocker.query('SELECT 1 FROM block_head FOR UPDATE')

      let results: Results | undefined
      const coordinator = owner.start('coordinator.ts', (message) => {
        if ('results' in message) ({ results } = message)
      })
      const far = startFar()
      const prefix = await far.began
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE%'`
      while ((await servers.pool.query(waiting)).rows.length === 0)
        await new Promise((resolve) => setTimeout(resolve, 20))

      ip('link', 'set', device, 'down')
      // The server now does what it was asked, and the worker cannot hear of it.
      await blocker.query('ROLLBACK')
      await blocker.end()
      let near: ReturnType<Owner['start']> | undefined
      const takenOver: Promise<void> = new Promise((resolve) => {
        near = owner.start('worker.ts', (message) => {
          if ('began' in message && message.began === prefix) resolve()
        })
      })
      await takenOver
      ip('link', 'set', device, 'up')

      expect(await coordinator.over).toEqual({ reason: undefined })
      expect(results!.jobs).toBe(16)
      expect(results!.rekeyed + results!.current).toBe(BLOCKS)
      // What the lost worker had rekeyed was current for the other one.
      expect(results!.current).toBeGreaterThan(0)
      expect(results!.retries).toBeGreaterThan(0)
      await owner.check()
      await near?.stop()

      // It has Redis again: otherwise it could not end in order.
      const exit = once(child!, 'exit')
      child!.kill('SIGTERM')
      expect(await exit).toEqual([0, null])
    }, 120_000)
  },
)
