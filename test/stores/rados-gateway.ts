// Starts a real server of the S3 protocol: the gateway of Ceph, with one monitor and one object store in memory, all in
// a temporary folder and on 127.0.0.1. It takes about two seconds. It works as root and as any other user.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'

const run = promisify(execFile)

export interface RadosGateway {
  readonly endpoint: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Kills the gateway, and starts it again at the same address. What it has acknowledged is in the object store. */
  restart(): Promise<void>
  /** Ends all processes and deletes the folder. */
  stop(): Promise<void>
}

/** Returns a client of the gateway, which may be behind a proxy. */
export const s3ClientOf = (
  { credentials }: Pick<RadosGateway, 'credentials'>,
  endpoint: string,
  config: S3ClientConfig = {},
): S3Client =>
  new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { ...credentials },
    // This gateway answers 500 to some losers of a race.
    maxAttempts: 6,
    ...config,
  })

const STARTUP_MS = 60_000

/** @throws Error if a program is not installed, or one of them does not start */
export async function startRadosGateway(): Promise<RadosGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-s3-'))
  const servers: ChildProcess[] = []
  const killAll = () => servers.forEach((server) => server.kill('SIGKILL'))
  process.on('exit', killAll)
  const stop = async () => {
    const ended = servers.map((server) => ending(server))
    killAll()
    await Promise.all(ended)
    process.off('exit', killAll)
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    return { ...(await startAll(folder, servers)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const ending = (server: ChildProcess): Promise<unknown> =>
  server.exitCode !== null || server.signalCode !== null || server.pid === undefined
    ? Promise.resolve()
    : new Promise((resolve) => server.once('exit', resolve))

async function startAll(folder: string, servers: ChildProcess[]): Promise<Omit<RadosGateway, 'stop'>> {
  const [monitorPort, port] = await freePorts(2)
  const [fsid, osd] = [crypto.randomUUID(), crypto.randomUUID()]
  const at = (name: string) => join(folder, name)
  for (const name of ['mon', 'osd', 'rgw']) mkdirSync(at(name))
  writeFileSync(at('ceph.conf'), configuration(folder, fsid, monitorPort!, port!))
  const env = { ...process.env, CEPH_CONF: at('ceph.conf') }

  const call = async (program: string, ...args: string[]) => {
    try {
      return (await run(program, args, { env, timeout: STARTUP_MS })).stdout
    } catch (error) {
      throw missing(program, error) ?? error
    }
  }
  const start = (program: string, ...args: string[]) => {
    const server = spawn(program, [...args, '-f'], { env, stdio: ['ignore', 'ignore', 'ignore'] })
    servers.push(server)
    return new Promise<void>((resolve, reject) => {
      server.once('spawn', resolve)
      server.once('error', (error) => {
        reject(missing(program, error) ?? error)
      })
    })
  }

  await call('ceph-authtool', '--create-keyring', at('keyring'), '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *')
  const allowed = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *']
  for (const user of ['client.admin', 'osd.0'])
    await call('ceph-authtool', at('keyring'), '--gen-key', '-n', user, ...allowed)
  await call('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monitorPort!}]`, at('monmap'))
  await call('ceph-mon', '-i', 'a', '--mkfs', '--monmap', at('monmap'), '--keyring', at('keyring'))
  await start('ceph-mon', '-i', 'a')
  await call('ceph', 'osd', 'create', osd)
  await call('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd)
  await start('ceph-osd', '-i', '0')
  // It waits until the monitor and the object store are up.
  const keys = ['--access-key', 'tester', '--secret-key', 'only-for-this-test']
  await call('radosgw-admin', 'user', 'create', '--uid', 'tester', '--display-name', 'tester', ...keys)
  const endpoint = `http://127.0.0.1:${port!}`
  const startGateway = async () => {
    await start('radosgw', '-n', 'client.admin')
    const deadline = Date.now() + STARTUP_MS
    while (!(await answers(endpoint))) {
      const dead = servers.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)
      if (dead !== undefined) throw new Error(`${dead.spawnfile} ended with code ${String(dead.exitCode)}`)
      if (Date.now() > deadline) throw new Error(`radosgw did not answer within ${STARTUP_MS / 1000} seconds`)
      await pause(50)
    }
  }
  await startGateway()
  const restart = async () => {
    const gateway = servers.pop()!
    const ended = ending(gateway)
    gateway.kill('SIGKILL')
    await ended
    await startGateway()
  }
  return { endpoint, credentials: { accessKeyId: 'tester', secretAccessKey: 'only-for-this-test' }, restart }
}

function missing(program: string, error: unknown): Error | undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return undefined
  return new Error(
    `${program} is not installed. These tests need the Debian packages radosgw, ceph-mon, ceph-osd and ceph-common.`,
  )
}

const answers = (endpoint: string): Promise<boolean> =>
  fetch(endpoint).then(
    async (response) => (await response.text()).includes('ListAllMyBucketsResult'),
    () => false,
  )

/** Asks the system for ports that nobody uses. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  const ports: number[] = []
  for (const server of servers) {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
    ports.push((server.address() as { port: number }).port)
  }
  for (const server of servers)
    await new Promise((resolve) => {
      server.close(resolve)
    })
  return ports
}

// Ceph spreads data over machines and asks for disks. Here everything is in memory, once, in as few parts as possible.
// A short propose interval saves most of the time that it takes to create pools.
const configuration = (folder: string, fsid: string, monitorPort: number, port: number): string => `
[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitorPort}]
public addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${folder}/keyring
run dir = ${folder}
admin socket =
pid file =
log file = ${folder}/$name.log
log to stderr = false
mon data = ${folder}/mon
mon data avail crit = 0
mon data avail warn = 0
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd memory target = 939524096
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
rgw data = ${folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw thread pool size = 16
rgw run sync thread = false
rgw enable lc threads = false
rgw enable quota threads = false
`
