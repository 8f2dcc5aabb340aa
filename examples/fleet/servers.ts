// Starts PostgreSQL and Redis, from Debian's packages. PostgreSQL refuses to run as root, so as root both run as an
// unprivileged user. If the process that started a server is killed, the kernel ends the server.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

/** A server that runs. */
export interface Running {
  readonly process: ChildProcess
  /** Ends it in order, and waits for its end. */
  stop(): Promise<void>
}

/** A PostgreSQL server, with the connections of a superuser. */
export interface Postgres extends Running {
  readonly config: { host: string; port: number; user: string; database: string }
}

const INSTALLED = '/usr/lib/postgresql'

/** The path of a socket has at most 107 bytes, and the names of the sockets here take up to 30. */
const MOST_PATH = 75

/** How often to try to start a server. The previous one may still be ending. */
const STARTS = 20

/** Returns the folder of the newest installed version's programs. */
function programs(): string {
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions
    .map((version) => join(INSTALLED, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')))
  if (found !== undefined) return found
  throw new Error(`there is no PostgreSQL server: install the Debian package postgresql (looked in ${INSTALLED})`)
}

/** Returns the path of a program. */
function programAt(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/** Returns the user to run the servers as. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (option: string) => Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/** Makes a folder that only the server can read. */
function ownFolder(folder: string): void {
  if (folder.length > MOST_PATH) throw new Error(`${folder} is too long a path for a socket: use a shorter one`)
  const user = unprivileged()
  mkdirSync(folder, { recursive: true })
  if (user !== undefined) {
    chownSync(folder, user.uid, user.gid)
    // The other user must come through the folder of the run.
    const above = dirname(folder)
    chmodSync(above, statSync(above).mode | 0o011)
  }
  chmodSync(folder, 0o700)
}

/** Starts a program that ends, by this signal, when this process ends. */
function spawnServer(program: string, args: readonly string[], signal: 'INT' | 'TERM', cwd: string): ChildProcess {
  const setpriv = programAt('setpriv')
  const command = setpriv === undefined ? [program, ...args] : [setpriv, '--pdeathsig', signal, '--', program, ...args]
  return spawn(command[0]!, command.slice(1), {
    ...unprivileged(),
    cwd,
    // The server must not see variables such as PGDATA.
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
    // In a session of its own: Ctrl-C in the terminal must not stop it before the programs that use it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/**
 * Starts a PostgreSQL server. Its port is only a part of the socket's name.
 * @param settings lines of its configuration
 * @param kept where its data stay; by default a temporary folder that `stop` removes
 */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}, kept?: string): Promise<Postgres> {
  const bin = programs()
  const folder = kept ?? mkdtempSync(join(tmpdir(), 'keystrata-postgres-'))
  ownFolder(folder)
  const data = join(folder, 'data')
  const made = join(folder, 'made')
  if (!existsSync(made)) {
    rmSync(data, { recursive: true, force: true })
    // The empty database needs no sync. The server that is used has all settings of a real one.
    execFileSync(
      join(bin, 'initdb'),
      ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
      {
        ...unprivileged(),
        cwd: folder,
        env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    mkdirSync(made)
  }
  const config = { host: folder, port: 5432, user: 'postgres', database: 'postgres' }
  const given = { listen_addresses: '', unix_socket_directories: folder, max_connections: '60', ...settings }
  const args = ['-D', data, ...Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const server = await started('PostgreSQL', kept === undefined ? 1 : STARTS, {
    start: () => spawnServer(join(bin, 'postgres'), args, 'INT', folder),
    answers: async () => connects(config),
  })
  const stop = async () => {
    await ended(server, 'SIGINT')
    if (kept === undefined) rmSync(folder, { recursive: true, force: true })
  }
  return { process: server, config, stop }
}

/** The options of a Redis client for a server that {@link startRedis} has started in this folder. */
export const redisIn = (folder: string): { path: string } => ({ path: join(folder, 'redis.sock') })

/**
 * Starts a Redis server on a socket in a folder. It writes each command into a file, once a second to the disk: a power
 * cut may lose what it has acknowledged in the last second.
 * @param settings lines of its configuration
 */
export async function startRedis(folder: string, settings: Readonly<Record<string, string>> = {}): Promise<Running> {
  const program = programAt('redis-server')
  if (program === undefined) throw new Error('there is no Redis server: install the Debian package redis-server')
  ownFolder(folder)
  const { path } = redisIn(folder)
  // A new server would take over the socket of one that still ends, and both would write into the same file.
  for (let tries = 0; (await pinged(path)) !== undefined; tries++) {
    if (tries === 100) throw new Error(`a Redis server runs in ${folder}`)
    await pause(50)
  }
  const given = {
    ...{ port: '0', unixsocket: path, dir: folder, save: '', appendonly: 'yes', appendfsync: 'everysec' },
    ...settings,
  }
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, value])
  const server = await started('Redis', STARTS, {
    start: () => spawnServer(program, args, 'TERM', folder),
    answers: async () => (await pinged(path))?.startsWith('+PONG') === true,
  })
  return { process: server, stop: async () => ended(server, 'SIGTERM') }
}

/** Starts a server, again if it ends at once, and waits until it answers. */
async function started(
  what: string,
  starts: number,
  { start, answers }: { start: () => ChildProcess; answers: () => Promise<boolean> },
): Promise<ChildProcess> {
  for (let left = starts; ; left--) {
    const server = start()
    let said = ''
    for (const stream of [server.stdout, server.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
    server.on('error', (error) => (said += error.message))
    for (let tries = 0; tries < 400 && isRunning(server); tries++) {
      if (await answers()) return server
      await pause(25)
    }
    if (isRunning(server)) await ended(server, 'SIGKILL')
    if (left <= 1) throw new Error(`${what} did not start: ${said}`)
    await pause(250)
  }
}

async function connects(config: pg.ClientConfig): Promise<boolean> {
  const client = new pg.Client(config)
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Returns what Redis answers: an error while it still reads its file. Returns undefined if it does not run. */
async function pinged(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ path })
    socket.setEncoding('utf8').setTimeout(1000)
    const done = (answer: string | undefined) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('data', (answer) => done(String(answer)))
    socket.once('timeout', () => done('no answer'))
    for (const event of ['error', 'close']) socket.once(event, () => done(undefined))
  })
}

export const isRunning = (child: ChildProcess): boolean =>
  child.pid !== undefined && child.exitCode === null && child.signalCode === null

/** Stops a process by its id, and waits for its end. */
export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!isRunning(child)) return
  const end = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await end
}
