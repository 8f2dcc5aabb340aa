// The servers of a soak: PostgreSQL, the S3 gateway, the services, and proxies before the services and the gateway.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { checkStore } from 'keystrata/stores'
import { postgresSchema, postgresStateStore } from 'keystrata/stores/postgres'
import pg from 'pg'
import { type Postgres, startPostgres } from '../../examples/fleet/servers.ts'
import { userServiceSchema } from '../../examples/user-service.ts'
import { type CuttingProxy, startCuttingProxy } from '../stores/cutting-proxy.ts'
import { type RadosGateway, s3ClientOf, startRadosGateway } from '../stores/rados-gateway.ts'
import type { Random } from './random.ts'
import type { FromWorker, ToWorker } from './tasks.ts'

export const BUCKET = 'soak'

export class Servers {
  readonly gateway: RadosGateway
  readonly s3: CuttingProxy
  readonly proxies: CuttingProxy[] = []
  readonly #folder: string
  #postgres: Postgres

  private constructor(folder: string, postgres: Postgres, gateway: RadosGateway, s3: CuttingProxy) {
    this.#folder = folder
    this.#postgres = postgres
    this.gateway = gateway
    this.s3 = s3
  }

  static async start(): Promise<Servers> {
    // The path of a socket is short, so the folder of a run does not do.
    const folder = mkdtempSync(join(tmpdir(), 'soak-'))
    const [postgres, gateway] = await Promise.all([startPostgres({}, join(folder, 'pg')), startRadosGateway()])
    const servers = new Servers(
      folder,
      postgres,
      gateway,
      await startCuttingProxy(Number(new URL(gateway.endpoint).port)),
    )
    await servers.#prepare()
    return servers
  }

  get postgres(): Postgres['config'] {
    return this.#postgres.config
  }

  get s3Endpoint(): string {
    return `http://127.0.0.1:${this.s3.port}`
  }

  async #prepare(): Promise<void> {
    const pool = new pg.Pool({ ...this.postgres, max: 1 })
    await pool.query(userServiceSchema())
    for (const table of ['registry_optional', 'registry_mandatory']) await pool.query(postgresSchema({ table }))
    await checkStore(postgresStateStore(pool))
    await pool.end()
    const s3 = s3ClientOf(this.gateway, this.gateway.endpoint)
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }))
    s3.destroy()
  }

  /** Starts a proxy that cuts some connections: after a part of the request, or before or in the answer. */
  async proxied(port: number, random: Random, probability: number): Promise<CuttingProxy> {
    const proxy = await startCuttingProxy(port)
    this.proxies.push(proxy)
    cutWith(proxy, random, probability)
    return proxy
  }

  /** Cuts all connections to the database. */
  async cutDatabase(): Promise<number> {
    const client = new pg.Client(this.postgres)
    client.on('error', () => undefined)
    await client.connect()
    try {
      const { rowCount } = await client.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keystrata-soak'",
      )
      return rowCount ?? 0
    } finally {
      await client.end()
    }
  }

  /** @param signal SIGINT ends it in order, SIGQUIT as a crash does */
  async restartDatabase(signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
    const { process: server } = this.#postgres
    const end = once(server, 'exit')
    server.kill(signal)
    await end
    this.#postgres = await startPostgres({}, join(this.#folder, 'pg'))
  }

  async stop(): Promise<void> {
    for (const proxy of [...this.proxies, this.s3]) await proxy.stop()
    await Promise.all([this.#postgres.stop(), this.gateway.stop()])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export function cutWith(proxy: CuttingProxy, random: Random, probability: number): void {
  proxy.next = () => {
    if (!random.happens(probability)) return undefined
    return random.happens(0.3)
      ? { request: random.below(300) }
      : { answer: random.happens(0.7) ? 0 : random.below(400) }
  }
}

/** A process of the soak, and what it is doing. */
export interface Program {
  readonly name: string
  readonly child: ChildProcess
  readonly ready: Promise<readonly number[]>
  readonly ended: Promise<void>
  isEnding: boolean
  said: string
}

/** Starts a bundled program. `hear` gets what it says. */
export function startProgram(
  name: string,
  path: string,
  args: readonly string[],
  hear: (program: Program, message: FromWorker) => void,
): Program {
  const child = fork(path, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], execArgv: ['--expose-gc'] })
  let isReady: (ports: readonly number[]) => void = () => undefined
  const program: Program = {
    name,
    child,
    ready: new Promise((resolve, reject) => {
      isReady = resolve
      child.once('close', () => reject(new Error(`${name} has ended: ${program.said}`)))
    }),
    ended: new Promise((resolve) => child.once('close', () => resolve())),
    isEnding: false,
    said: '',
  }
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (program.said = (program.said + text).slice(-4000)))
  child.on('message', (message: FromWorker) => {
    if (message.say === 'ready') isReady(message.ports ?? [])
    else hear(program, message)
  })
  child.on('error', () => undefined)
  // Whoever waits hears of it.
  program.ready.catch(() => undefined)
  return program
}

export function tell({ child }: Program, message: ToWorker): void {
  if (child.connected) child.send(message, () => undefined)
}

/** Kills a program by its id, and waits for its end. */
export async function killProgram(program: Program): Promise<void> {
  program.isEnding = true
  program.child.kill('SIGKILL')
  await Promise.race([program.ended, pause(10_000)])
}
