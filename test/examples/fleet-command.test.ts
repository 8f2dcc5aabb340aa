// The whole command of the fleet example, with real processes and servers, and its plan.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { Kills, type Target } from '../../examples/fleet/kills.ts'
import { filesIn } from '../../examples/fleet/place.ts'
import { optionsFrom, UsageError } from '../../examples/fleet/options.ts'
import { prefixesFor } from '../../examples/fleet/plan.ts'
import { redisIn } from '../../examples/fleet/servers.ts'
import { mayStart } from '../stores/servers.ts'
import { BLOCKS, FleetServers } from './fleet-run.ts'
import { newFolder } from './tree.ts'

const root = join(import.meta.dirname, '../..')
const hasServers = mayStart('postgres') && mayStart('redis-server')

/** Starts the command in a process group of its own. */
function start(...args: string[]): Command {
  return startWith({}, ...args)
}

interface Command {
  readonly child: ChildProcess
  readonly said: () => string
  readonly code: Promise<number | null>
}

function startWith(env: Record<string, string>, ...args: string[]): Command {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/fleet/fleet.ts', ...args], {
    cwd: root,
    env: { ...process.env, KEYSTRATA_PASSWORD: 'correct horse', ...env },
    detached: true,
  })
  runs.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  return { child, said: () => said, code: once(child, 'close').then(([code]) => code as number | null) }
}

/** Waits until the command has said this. */
async function until(run: Command, text: string): Promise<void> {
  while (!run.said().includes(text)) {
    if (run.child.exitCode !== null) throw new Error(`the command ended without "${text}": ${run.said()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Returns the processes that name this folder in their command line. */
function processesOf(folder: string): string[] {
  const listed = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
  return listed.split('\n').filter((line) => line.includes(folder))
}

async function untilGone(folder: string): Promise<void> {
  for (let tries = 0; processesOf(folder).length > 0; tries++) {
    if (tries === 200) throw new Error(`still there: ${processesOf(folder).join('\n')}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const runs: ChildProcess[] = []

/** Ends what a test that failed has left behind. */
function endAll(): void {
  for (const { pid, exitCode, signalCode } of runs.splice(0)) {
    if (exitCode === null && signalCode === null) process.kill(-pid!, 'SIGKILL')
  }
}

describe('the plan', () => {
  it.each([
    [1, 16],
    [20_000, 16],
    [65_536, 16],
    [65_537, 256],
    [1_000_000, 256],
    [1_000_000_000, 65_536],
  ])('for %d blocks has %d jobs, which together are all labels', (blocks, jobs) => {
    const prefixes = prefixesFor(blocks)
    expect(prefixes.length).toBe(jobs)
    expect(new Set(prefixes).size).toBe(jobs)
    expect(new Set(prefixes.map(({ length }) => 16 ** length))).toEqual(new Set([jobs]))
  })

  it('of the kills has a worker, the coordinator and Redis, before the last job begins', async () => {
    for (let round = 0; round < 20; round++) {
      const asked: Target[] = []
      // The first one is down already, and gets its turn later.
      const kills = new Kills(async (target) => asked.push(target) > 1)
      kills.plan(16)
      for (let job = 0; job < 14; job++) {
        kills.begun()
        // A coordinator that was started again does not plan new kills.
        kills.plan(16)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(new Set(kills.done)).toEqual(new Set(['worker', 'coordinator', 'Redis']))
      expect([kills.done.length, asked.length]).toEqual([4, 5])
    }
  })
})

describe('the command line', () => {
  it.each([
    [['--workers', '0'], /--workers takes a number from 1 to 64/],
    [['--blocks', '1.5'], /--blocks takes a number from 1 to 1,000,000,000/],
    [['--blocks', 'many'], /--blocks takes a number/],
    [['--lock', '1'], /--lock takes a number from 500/],
    [['--store', 'tape'], /--store must be one of postgres, folder/],
    [['--folder', ''], /--folder needs the name of a folder/],
    [['--killl'], /Unknown option '--killl'; use --help/],
    [['one'], /Unexpected argument 'one'/],
  ])('%j is refused', (args, message) => {
    expect(() => optionsFrom(args)).toThrow(UsageError)
    expect(() => optionsFrom(args)).toThrow(message)
  })

  it('has defaults for everything', () => {
    const options = optionsFrom([])!
    expect(options).toMatchObject({ workers: 2, blocks: 20_000, lock: 3000, store: 'postgres', kill: false })
    expect(optionsFrom(['--help'])).toBeUndefined()
  })

  it('that is wrong ends the program with one line and the exit code 2', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'diary'), 'dear diary')
    const [wrong, help, foreign] = [start('--workers', '0'), start('--help'), start('--folder', folder)]
    expect([await foreign.code, foreign.said()]).toEqual([2, expect.stringContaining('has files of something else')])
    expect(readdirSync(folder)).toEqual(['diary'])
    expect([await wrong.code, wrong.said()]).toEqual([2, '--workers takes a number from 1 to 64\n'])
    expect([await help.code, help.said()]).toEqual([0, expect.stringContaining('npm run fleet -- [--workers N]')])
  })
})

describe.skipIf(!hasServers)('npm run fleet', () => {
  afterEach(endAll)
  const success = /Every block is under the new key pair, and none is lost\.\n/

  it('survives kills, and the loss of everything at once: the same command goes on', async () => {
    const folder = newFolder()
    const args = ['--blocks', String(BLOCKS), '--lock', '800', '--folder', folder, '--kill']
    const first = start(...args)
    await until(first, 'killed: ')
    process.kill(-first.child.pid!, 'SIGKILL')
    await first.code
    await untilGone(folder)
    // The fleet's password is for its own user only, and the owner's is nowhere.
    const { password } = filesIn(folder)
    expect(statSync(password).mode & 0o777).toBe(0o600)
    expect(readFileSync(password, 'utf8')).not.toContain('correct horse')

    const second = start(...args)
    expect([await second.code, second.said()]).toEqual([0, expect.stringMatching(success)])
    expect(first.said()).toContain('sealed 600 blocks')
    expect(second.said()).not.toContain('sealed 600 blocks')
    expect(second.said()).toContain('coordinator: all 600 heads are current')
    expect(existsSync(folder)).toBe(false)
    expect(processesOf(folder)).toEqual([])
  }, 180_000)

  it('does the same with a folder, ends in order after Ctrl-C, and keeps everything on request', async () => {
    const folder = newFolder()
    const args = ['--blocks', '200', '--store', 'folder', '--folder', folder, '--workers', '1', '--keep']
    const first = start(...args)
    await until(first, 'delegated')
    const stopped = Date.now()
    // As a terminal does it: the whole group gets the signal.
    process.kill(-first.child.pid!, 'SIGINT')
    expect(await first.code).toBe(130)
    expect(Date.now() - stopped).toBeLessThan(4000)
    expect(first.said()).toContain('the same command goes on')
    expect(processesOf(folder)).toEqual([])

    const other = start(...args.slice(2))
    const second = start(...args)
    expect([await other.code, other.said()]).toEqual([2, expect.stringContaining('has a run with --blocks 200')])
    expect([await second.code, second.said()]).toEqual([0, expect.stringMatching(success)])
    const third = start(...args)
    expect([await third.code, third.said()]).toEqual([0, expect.stringContaining('is done already')])
    expect(processesOf(folder)).toEqual([])
    rmSync(folder, { recursive: true })
  }, 180_000)

  it('works with servers that others have started, and leaves nothing there', async () => {
    const servers = await FleetServers.start()
    const { postgres, redis } = filesIn(servers.settings.folder)
    const folder = newFolder()
    const env = {
      DATABASE_URL: `postgres://postgres@localhost/postgres?host=${encodeURIComponent(postgres)}`,
      REDIS_URL: redisIn(redis).path,
    }
    const run = startWith(env, '--blocks', '64', '--workers', '1', '--folder', folder)
    expect([await run.code, run.said()]).toEqual([0, expect.stringContaining('none is lost')])
    const { rows } = await servers.pool.query<{ tablename: string }>(
      "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    )
    expect(rows).toEqual([])
    const client = new Redis(env.REDIS_URL)
    expect(await client.keys('*')).toEqual([])
    client.disconnect()
    await servers.stop()
    expect(existsSync(folder)).toBe(false)
  }, 120_000)
})
