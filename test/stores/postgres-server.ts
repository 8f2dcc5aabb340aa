// Starts a real PostgreSQL server for tests: Debian's package, in a temporary folder, on a Unix socket only. PostgreSQL
// refuses to run as root, so as root it runs as an unprivileged user.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

/** The connections of a superuser. */
export interface Server {
  readonly config: { host: string; port: number; user: string; database: string }
  stop(): Promise<void>
}

const INSTALLED = '/usr/lib/postgresql'

/** Returns the folder of the newest installed version's programs. */
function programs(): string {
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions
    .map((version) => join(INSTALLED, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')))
  if (found !== undefined) return found
  throw new Error(
    `these tests need a PostgreSQL server: install the Debian package "postgresql", or set SKIP_POSTGRES=1 (looked in ${INSTALLED})`,
  )
}

/** Returns the user to run the server as. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (option: string) => Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/**
 * Starts a server. Its port is only a part of the socket's name.
 * @param settings lines of its configuration
 */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<Server> {
  const bin = programs()
  const user = unprivileged()
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-postgres-'))
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  chmodSync(folder, 0o700)
  const data = join(folder, 'data')
  // The server must not see variables such as PGDATA.
  const options = { ...user, cwd: folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' } }
  // The empty database needs no sync. The server that the tests use has all settings of a real one.
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const given = { listen_addresses: '', unix_socket_directories: folder, max_connections: '60', ...settings }
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, ...Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  server.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
  const stop = async () => {
    await ended(server, 'SIGINT')
    rmSync(folder, { recursive: true, force: true })
  }
  const config = { host: folder, port: 5432, user: 'postgres', database: 'postgres' }
  try {
    await answering(config, server)
  } catch (error) {
    await stop()
    throw new Error(`PostgreSQL did not start: ${said}`, { cause: error })
  }
  return { config, stop }
}

/** Waits until the server takes connections. */
async function answering(config: pg.ClientConfig, server: ChildProcess): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client(config)
    try {
      await client.connect()
      return
    } catch (error) {
      if (tries === 200 || server.exitCode !== null) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}

/** Stops a process by its id, and waits for its end. */
async function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const end = new Promise((resolve) => server.once('exit', resolve))
  server.kill(signal)
  await end
}
