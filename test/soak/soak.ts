// Runs a soak: it starts the servers and the processes, gives out tasks, kills and cuts, audits, and judges.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createKeyset } from 'keystrata'
import { createDeviceKey } from 'keystrata/device'
import { hashPassword } from 'keystrata/server'
import { bundled } from '../crash/bundle.ts'
import { Crew } from './crew.ts'
import { type Sample } from './figures.ts'
import { now } from './journal.ts'
import { LOWEST_COSTS } from './keysets.ts'
import type { Options } from './options.ts'
import { Random } from './random.ts'
import { growing, type Result } from './report.ts'
import { BUCKET, cutWith, killProgram, type Program, Servers, startProgram, tell } from './servers.ts'
import type { Figures, FromWorker, RunConfig } from './tasks.ts'
import { ADMIN_PASSWORD } from './users.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** How often a call of a store fails. It is delayed twice as often. */
const FAULTS = 0.006

/** How often a request has its connection cut. */
const CUTS = 0.01

/** How many seconds pass between two of these, on average. */
const SECONDS = {
  killWorker: 20,
  killService: 75,
  cutDatabase: 30,
  restartDatabase: 240,
  restartGateway: 420,
  audit: 180,
}

export class Soak {
  readonly #options: Options
  readonly #random: Random
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'keystrata-soak-'))
  readonly #began: number = now()
  readonly #ends: number
  readonly #say: (text: string) => void
  readonly #services: Program[] = []
  /** What ends the programs, in reverse order. */
  readonly #stops: (() => Promise<void>)[] = []
  readonly #samples: Map<string, Sample[]> = new Map()
  readonly #stopping: AbortController = new AbortController()
  #crew!: Crew
  #servers!: Servers
  #measuring: Map<Program, (figures: Figures) => void> = new Map()

  constructor(options: Options, say: (text: string) => void) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#ends = this.#began + options.minutes * 60_000
    this.#say = say
  }

  /** Ends early, with the audit at the end. */
  interrupt(): void {
    this.#stopping.abort()
  }

  async run(): Promise<Result> {
    try {
      this.#servers = await Servers.start()
      this.#stops.push(
        () => this.#servers.stop(),
        async () => {
          await Promise.all(this.#services.map((service) => killProgram(service)))
        },
      )
      await this.#prepare()
      await this.#work()
      return await this.#finish()
    } finally {
      for (const stop of this.#stops.reverse()) await stop()
    }
  }

  async #prepare(): Promise<void> {
    const folder = this.#folder
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    const [worker, service, thread] = await Promise.all([
      bundled('worker', folder, import.meta.dirname),
      bundled('service', folder, import.meta.dirname),
      bundled('hash-thread', folder, join(import.meta.dirname, '../../src/server')),
    ])
    writeFileSync(join(folder, 'hash-thread.js'), `import ${JSON.stringify(thread)}\n`)
    const [config, file] = await this.#configure()
    for (const number of [0, 1]) await this.#startService(service, file, number, [])
    const services: RunConfig['services'][number][] = []
    for (const each of this.#services) {
      const [users, clients] = await Promise.all(
        (await each.ready).map(async (port) => this.#servers.proxied(port, this.#random, CUTS)),
      )
      services.push({ users: `http://127.0.0.1:${users!.port}`, clients: `http://127.0.0.1:${clients!.port}` })
    }
    cutWith(this.#servers.s3, this.#random, CUTS)
    writeFileSync(file, JSON.stringify({ ...config, services }))
    // Auditors go to the servers themselves.
    const [direct] = await Promise.all(
      this.#services.map(async ({ ready }) => (await ready).map((port) => `http://127.0.0.1:${port}`)),
    )
    const sound = {
      ...config,
      services: [{ users: direct![0]!, clients: direct![1]! }],
      s3: { ...config.s3, endpoint: this.#servers.gateway.endpoint },
    }
    const soundFile = join(folder, 'audit.json')
    writeFileSync(soundFile, JSON.stringify(sound))
    const { workers, pace, seed } = this.#options
    this.#crew = new Crew(
      {
        ...{ folder, worker, workers, pace, seed },
        config: file,
        auditConfig: soundFile,
        random: this.#random,
        complain: (what) => this.#say(`violation: ${what}`),
      },
      (program, message) => this.#hear(program, message),
    )
    this.#stops.push(() => this.#crew.stop())
    await this.#crew.start()
    this.#services[1]!.child.once('exit', () => this.#revive(service, file))
    this.#say(`seed ${this.#options.seed}, journals in ${folder}`)
  }

  async #configure(): Promise<[Omit<RunConfig, 'services'> & { adminHash: string }, string]> {
    using device = createDeviceKey()
    using admin = await createKeyset('the keyset of the admin', { costs: LOWEST_COSTS })
    const config = {
      folder: this.#folder,
      seed: this.#options.seed,
      postgres: this.#servers.postgres,
      s3: { ...this.#servers.gateway.credentials, endpoint: this.#servers.s3Endpoint },
      bucket: BUCKET,
      device: hex(device.exportUnprotected()),
      admin: { id: admin.id, saved: hex(admin.save(device)), card: hex(admin.card().bytes) },
      faults: FAULTS,
      sabotage: this.#options.sabotage,
      adminHash: await hashPassword(ADMIN_PASSWORD),
    }
    const file = join(this.#folder, 'config.json')
    writeFileSync(file, JSON.stringify({ ...config, services: [] }))
    return [config, file]
  }

  async #startService(path: string, file: string, number: number, ports: readonly number[]): Promise<void> {
    const args = [file, String(number), ...ports.map(String)]
    this.#services[number] = startProgram(`service ${number}`, path, args, (program, message) =>
      this.#hear(program, message),
    )
    await this.#services[number].ready
  }

  /** Starts the second service again, at the same ports, whenever it is killed. */
  #revive(path: string, file: string): void {
    void (async () => {
      const killed = this.#services[1]!
      if (this.#crew.isStopping) return
      if (!killed.isEnding) this.#crew.model.complain(`a service has ended: ${killed.said}`)
      await this.#startService(path, file, 1, await killed.ready)
      this.#services[1]!.child.once('exit', () => this.#revive(path, file))
    })()
  }

  #hear(program: Program, message: FromWorker): void {
    if (message.say !== 'figures') return
    this.#measuring.get(program)?.(message.figures)
    this.#measuring.delete(program)
  }

  /**
   * Calls `act` again and again, after random times, until the end. On a machine that is busy with something else, it waits
   * until there were so many operations: otherwise nothing but killed processes would be seen.
   */
  async #often(seconds: number, operations: number, act: () => Promise<unknown>): Promise<void> {
    let before = 0
    const mean = Math.min(seconds * 1000, (this.#options.minutes * 60_000) / 4)
    for (;;) {
      await this.#wait(mean * (0.5 + this.#random.next()))
      while (!this.#isOver && this.#crew.tally.total < before + operations) await this.#wait(500)
      if (this.#isOver) return
      before = this.#crew.tally.total
      await act()
    }
  }

  get #isOver(): boolean {
    return now() >= this.#ends || this.#stopping.signal.aborted
  }

  async #wait(milliseconds: number): Promise<void> {
    const { signal } = this.#stopping
    await pause(Math.max(0, Math.min(milliseconds, this.#ends - now())), undefined, { signal }).catch(() => undefined)
  }

  async #work(): Promise<void> {
    const { tally } = this.#crew
    this.#crew.work()
    await Promise.all([
      this.#often(SECONDS.killWorker, 15, () => this.#crew.killOne()),
      this.#often(SECONDS.killService, 40, async () => {
        tally.kills++
        tally.fault('service killed')
        const service = this.#services[1]!
        await killProgram(service)
      }),
      this.#often(SECONDS.cutDatabase, 20, async () => {
        tally.fault('connections to PostgreSQL cut', await this.#servers.cutDatabase().catch(() => 0))
      }),
      this.#often(SECONDS.restartDatabase, 60, () => {
        const signal = this.#random.happens(0.5) ? 'SIGINT' : 'SIGQUIT'
        tally.fault(signal === 'SIGINT' ? 'PostgreSQL restarted' : 'PostgreSQL crashed and restarted')
        return this.#servers.restartDatabase(signal)
      }),
      this.#often(SECONDS.restartGateway, 100, () => {
        tally.fault('S3 gateway killed and restarted')
        return this.#servers.gateway.restart()
      }),
      this.#often(SECONDS.audit, 60, () => this.#crew.audit(1 / 3)),
      this.#measureOften(),
      this.#report(),
    ])
  }

  async #measureOften(): Promise<void> {
    const interval = Math.min(60_000, (this.#options.minutes * 60_000) / 24)
    while (!this.#isOver) {
      await this.#wait(interval)
      for (const program of [this.#services[0]!, this.#crew.steady]) {
        const figures = await Promise.race([
          new Promise<Figures>((resolve) => {
            this.#measuring.set(program, resolve)
            tell(program, { say: 'measure' })
          }),
          pause(120_000, undefined, { ref: false }),
        ])
        if (figures === undefined) {
          this.#crew.model.complain(`${program.name} did not answer within two minutes: ${program.said}`)
          continue
        }
        const samples = this.#samples.get(program.name) ?? []
        samples.push({ ...figures, at: now() - this.#began })
        this.#samples.set(program.name, samples)
      }
    }
  }

  /** Says once a minute how far it is. With a sabotage, the first violation ends the run. */
  async #report(): Promise<void> {
    let said = now()
    while (!this.#isOver) {
      await this.#wait(1000)
      const { model, tally } = this.#crew
      const isFound = this.#options.sabotage !== undefined && model.violations.length > 0
      if (isFound) this.interrupt()
      if (!isFound && now() - said < 60_000) continue
      said = now()
      const minutes = ((said - this.#began) / 60_000).toFixed(1)
      this.#say(
        `${minutes} min: ${tally.total} operations, ${tally.kills} kills, ${tally.audits} audits, ${model.violations.length} violations`,
      )
    }
  }

  async #finish(): Promise<Result> {
    const minutes = (now() - this.#began) / 60_000
    for (const proxy of [...this.#servers.proxies, this.#servers.s3]) {
      this.#crew.tally.fault('connections cut by a proxy', proxy.cuts)
      proxy.next = () => undefined
    }
    await this.#crew.rest()
    // With a sabotage that was found, the stores cannot be audited to an end.
    if (this.#options.sabotage === undefined || this.#crew.model.violations.length === 0) await this.#crew.audit(1)
    const { model, tally } = this.#crew
    for (const what of growing(this.#samples)) model.complain(what)
    for (const [op, { ok, refused, lost }] of tally.ops)
      if (ok === 0 && refused + lost >= 10) model.complain(`${op} never succeeded, in ${refused + lost} attempts`)
    const archives = [...model.archives.values()]
    const result: Result = {
      ...{ options: this.#options, minutes, tally, folder: this.#folder, samples: this.#samples },
      records: archives.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      blocks: archives.reduce((sum, { blocks }) => sum + blocks, 0),
      violations: model.violations,
    }
    if (model.violations.length === 0 && !this.#options.keep) rmSync(this.#folder, { recursive: true, force: true })
    return result
  }
}
