// The workers and auditors of a soak: gives each a task after the other, follows their journals, and starts again what
// was killed.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { KeysetModel } from './entities.ts'
import { JournalTail, type Line, now } from './journal.ts'
import { Model } from './model.ts'
import type { Random } from './random.ts'
import { type Audit, Schedule } from './schedule.ts'
import { killProgram, type Program, startProgram, tell } from './servers.ts'
import { Tally } from './tally.ts'
import type { FromWorker, Task } from './tasks.ts'

interface CrewOptions {
  readonly folder: string
  readonly worker: string
  readonly config: string
  readonly auditConfig: string
  readonly workers: number
  readonly pace: number
  readonly seed: number
  readonly random: Random
  /** Gets each violation at once. */
  readonly complain: (violation: string) => void
}

interface Member {
  readonly program: Program
  readonly tail: JournalTail
  task: Task | undefined
  isReady: boolean
  began: number
  /** What an auditor has left to do. */
  readonly audits: Audit[] | undefined
  finished: (() => void) | undefined
}

/** A task that takes longer hangs. */
const LONGEST_TASK_MS = 180_000

/** Readings are judged when the lines of all processes from that time have arrived. */
const JUDGED_AFTER_MS = 1000

/** So long after a kill, requests of the killed process may still arrive at a server. */
const LATE_MS = 3000

export class Crew {
  readonly model: Model
  readonly tally: Tally = new Tally()
  isStopping = false
  readonly #options: CrewOptions
  readonly #hear: (program: Program, message: FromWorker) => void
  readonly #schedule: Schedule
  readonly #members: Map<string, Member> = new Map()
  #programs = 0
  #isWorking = false
  #killedAt = -Infinity
  #judging: { readonly worker: string; readonly line: Line }[] = []

  constructor(options: CrewOptions, hear: (program: Program, message: FromWorker) => void) {
    this.#options = options
    this.#hear = hear
    this.model = new Model(options.complain)
    this.#schedule = new Schedule(this.model, options.random)
  }

  /** The worker that is never killed. */
  get steady(): Program {
    return this.#members.get('worker-0')!.program
  }

  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.workers }, (_, number) => this.#start(`worker-${number}`)))
  }

  async #start(name: string, audits?: Audit[]): Promise<Member> {
    const { folder, worker, config, auditConfig, seed } = this.#options
    const life = ++this.#programs
    const journal = `${name}.${life}`
    const args = [
      audits === undefined ? config : auditConfig,
      journal,
      String(seed + life * 7907),
      audits === undefined ? 'worker' : 'auditor',
    ]
    const program = startProgram(name, worker, args, (from, message) => this.#receive(from, message))
    const member: Member = {
      ...{ program, task: undefined, isReady: false, began: now(), audits, finished: undefined },
      tail: new JournalTail(join(folder, `${journal}.journal`)),
    }
    this.#members.set(name, member)
    void program.ended.then(() => this.#ended(name, member))
    await program.ready
    member.isReady = true
    return member
  }

  /** Begins to give out tasks. */
  work(): void {
    this.#isWorking = true
    for (const member of this.#members.values()) void this.#assign(member)
  }

  /** Gives out no more tasks, and waits for those that are not done. */
  async rest(): Promise<void> {
    this.#isWorking = false
    const deadline = now() + LONGEST_TASK_MS
    while ([...this.#members.values()].some(({ task }) => task !== undefined) && now() < deadline) await pause(100)
    this.drain()
  }

  async stop(): Promise<void> {
    this.isStopping = true
    this.#isWorking = false
    await Promise.all([...this.#members.values()].map(({ program }) => killProgram(program)))
  }

  async #assign(member: Member): Promise<void> {
    const { program, audits } = member
    if (audits === undefined) {
      await pause(this.#options.pace * this.#options.random.next() * 2)
      while (this.#isWorking && !program.isEnding && member.task === undefined) {
        this.drain()
        const task = this.#schedule.next()
        if (task !== undefined) {
          this.#give(member, task)
          return
        }
        await pause(100)
      }
      return
    }
    for (;;) {
      const audit = audits.shift()
      if (audit === undefined) return member.finished?.()
      const task = this.#schedule.auditTask(audit)
      if (task !== undefined) {
        this.#give(member, task)
        return
      }
    }
  }

  #give(member: Member, task: Task): void {
    member.task = task
    member.began = now()
    this.model.begin(task)
    appendFileSync(join(this.#options.folder, 'tasks.log'), `${now()} ${member.program.name} ${JSON.stringify(task)}\n`)
    tell(member.program, { say: 'task', task })
  }

  #receive(program: Program, message: FromWorker): void {
    const member = this.#members.get(program.name)
    if (member?.program !== program) return
    switch (message.say) {
      case 'done': {
        this.#done(member, message)
        return
      }
      case 'drain':
        return void this.#letDrain(member)
      case 'fault': {
        this.tally.fault(message.what, message.count)
        return
      }
      default:
        this.#hear(program, message)
    }
  }

  #done(member: Member, { outcome, ms }: Extract<FromWorker, { say: 'done' }>): void {
    const task = member.task!
    this.drain()
    const count = this.tally.of(task.op)
    count.ms += ms
    const [kind = ''] = outcome.split(' ')
    if (kind === 'ok') count.ok++
    else this.#judge(member, task, kind, outcome.slice(kind.length + 1))
    this.#end(member, task)
    void this.#assign(member)
  }

  #judge(member: Member, task: Task, kind: string, what: string): void {
    const count = this.tally.of(task.op)
    if (kind === 'lost') count.lost++
    else count.refused++
    const [code = ''] = what.split(' ')
    this.tally.error(kind === 'lost' ? `${task.op.split('.')[0]!}: ${what}` : `${task.op}: ${code}`)
    const entity = this.model.entities.get(
      task.user?.name ?? task.keyset?.name ?? `${task.client?.account ?? ''} ${task.client?.name ?? ''}`,
    )
    const isExpected =
      kind === 'lost' || (kind === 'refused' && entity !== undefined && this.model.isExpected(task, entity, code))
    const where = `task ${task.id} (${task.op} of ${entity?.name ?? task.target ?? ''}) in ${member.program.name}`
    if (!isExpected) this.model.complain(`${where}: ${kind} ${what}`)
  }

  #end(member: Member, task: Task): void {
    member.task = undefined
    this.#schedule.end(task)
    this.model.end(task.id)
  }

  /** Answers once every host that began to seal before now has ended, and what it sent has arrived. */
  async #letDrain(member: Member): Promise<void> {
    const keyset = this.model.entities.get(member.task!.keyset!.name) as KeysetModel
    const before = [...keyset.hosts]
    while (before.some((task) => keyset.hosts.has(task)) || now() < this.#killedAt + LATE_MS) await pause(50)
    tell(member.program, { say: 'drained' })
  }

  /** Reads what all journals have gained, in the order of time, and applies it. */
  drain(): void {
    const lines = [...this.#members.values()].flatMap(({ tail, program }) =>
      tail.read().map((line) => ({ worker: program.name, line })),
    )
    lines.sort((a, b) => a.line.at - b.line.at)
    for (const each of lines) {
      const { line } = each
      if (line.kind === 'reading' || (line.kind === 'seen' && line.what.startsWith('vaults'))) this.#judging.push(each)
      else this.model.apply(each.worker, line)
    }
    const due = now() - (this.#isWorking ? JUDGED_AFTER_MS : 0)
    const judged = this.#judging.filter(({ line }) => line.at < due)
    this.#judging = this.#judging.filter(({ line }) => line.at >= due)
    for (const { worker, line } of judged) this.model.apply(worker, line)
    for (const member of this.#members.values()) this.#watch(member)
  }

  #watch(member: Member): void {
    if (member.task === undefined || now() < member.began + LONGEST_TASK_MS) return
    this.model.complain(`task ${member.task.id} (${member.task.op}) hangs in ${member.program.name}`)
    member.began = now()
    member.program.child.kill('SIGKILL')
  }

  /** Kills a worker, but not the first. */
  async killOne(): Promise<void> {
    const mortal = [...this.#members.values()].filter(
      ({ program, audits, isReady }) =>
        isReady && audits === undefined && program.name !== 'worker-0' && !program.isEnding,
    )
    const victim = this.#options.random.pick(mortal)
    if (victim === undefined) return
    this.tally.kills++
    this.tally.fault('worker killed')
    await killProgram(victim.program)
  }

  /** A process has ended: what it was doing may or may not happen, and another one takes its place. */
  async #ended(name: string, member: Member): Promise<void> {
    this.drain()
    const { program, task } = member
    this.#members.delete(name)
    member.tail.close()
    this.#killedAt = now()
    this.model.killed(name, now())
    if (task !== undefined) {
      this.tally.of(task.op).killed++
      this.#end(member, task)
    }
    member.finished?.()
    if (this.isStopping || member.audits !== undefined) return
    if (!program.isEnding) this.model.complain(`${name} has ended by itself: ${program.said}`)
    // One that ends before it is ready comes here again.
    await this.#start(name).then(
      (next) => this.#assign(next),
      () => undefined,
    )
  }

  /** Reads some of the logs whole in a fresh process: those first that were not read for the longest time. */
  async audit(part: number): Promise<void> {
    this.drain()
    const keys = [...this.model.archives]
      .sort(([, a], [, b]) => a.auditedAt - b.auditedAt)
      .map(([key]) => key)
      .slice(0, Math.ceil(this.model.archives.size * part))
    const audits = this.#schedule.audits(new Set(keys))
    this.tally.audits++
    this.tally.audited += keys.length
    const member = await this.#start(`auditor-${this.tally.audits}`, audits)
    const finished: Promise<void> = new Promise((resolve) => (member.finished = resolve))
    void this.#assign(member)
    await finished
    this.drain()
    if (audits.length > 0)
      this.model.complain(`an auditor has ended with ${audits.length} logs to read: ${member.program.said}`)
    await killProgram(member.program)
  }
}
