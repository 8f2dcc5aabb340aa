// A log that hosts append to while owners reseal it, and what must hold at the end of every run.
import { readSealOff, type SealOff } from '../../src/state/marker.ts'
import { recordKeysOf } from '../../src/state/record.ts'
import { logIdOf, type ParsedRecord, parsePosition, positionText, wellFormed } from '../../src/state/record-layout.ts'
import {
  type ErrorCode,
  KeystrataError,
  type Log,
  type LogReader,
  openLog,
  type RecordWriter,
} from '../../src/index.ts'
import type { StateStore } from '../../src/stores.ts'
import { hex } from '../fixtures.ts'
import { type Actor, type Bounds, explore, type Machine, NoAnswer, type Report, type Run } from './explorer.ts'
import { cheapPeople, type OwnerHandle, type Pair, type People } from './log-keys.ts'
import { ModelState } from './stores.ts'

export const LOG = 'log'
export const LOG_ID: Uint8Array = logIdOf(LOG)
export const POINTER: string = 'log/'.concat(hex(LOG_ID))
export const epochName = (epoch: number): string => `${POINTER}/${epoch}`

const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** A record as a reader sees it. */
interface Row {
  readonly position: string
  readonly content: string
}

const numberIn = ({ position }: Row): number => parsePosition(position, '').number

/** What an owner does. */
export interface OwnerScene {
  /** The number of the last record to take over. */
  readonly upTo?: number
  /** The number of a record that is not taken over. */
  readonly leaveOut?: number
  /** Under which of the owner's pairs it reseals: 1 if omitted. The log is under pair 0. */
  readonly pair?: number
}

export type HalfMade = 'none' | 'copies' | 'closed'

export interface Scene {
  /** How many records the log has before, at least 1. */
  readonly records?: number
  /** How many records each host appends. */
  readonly hosts?: readonly number[]
  readonly owners?: readonly OwnerScene[]
  readonly readers?: number
  /** How often somebody without keys writes into the log. */
  readonly garbage?: number
  /** Whether the owners and the last host have adopted the log, instead of having a new pair. */
  readonly adopted?: boolean
  /** What an owner has left who was stopped. */
  readonly halfMade?: HalfMade
  /** What the pointer holds. */
  readonly pointer?: readonly number[]
  /** Whether the hosts know where the log ends before anybody else begins. */
  readonly warm?: boolean
  readonly people?: People
  /** Whether it is the log of a share, which nobody reseals. */
  readonly isShared?: boolean
  readonly make?: new (shown: (bytes: Uint8Array) => string) => ModelState
  /** Changes what hosts, or owners, see of the store. */
  readonly between?: (store: StateStore, state: ModelState, who: 'host' | 'owner' | 'reader') => StateStore
  /** How a host appends. */
  readonly append?: (store: StateStore, handle: RecordWriter) => (content: Uint8Array) => Promise<string>
}

const CHEAP = cheapPeople()

/** The last epoch that the checks look at. No run gets that far. */
const LAST_EPOCH = 12

const DAMAGE: readonly ErrorCode[] = ['malformed', 'missing', 'authentication-failed', 'unsupported', 'key-not-found']

const standardAppend: NonNullable<Scene['append']> = (store, handle) => {
  const log = openLog(store, LOG, handle)
  return (content) => log.append(content)
}

export class LogRun {
  readonly run: Run
  readonly state: ModelState
  readonly #scene: Scene
  readonly #people: People
  readonly #actors: Actor[] = []
  readonly #owners: [Actor, OwnerScene][] = []
  /** Everything that anybody tried to append. */
  readonly #tried: Set<string> = new Set()
  readonly #acknowledged: Row[] = []
  /** What was told to be not appended. */
  readonly #refused: string[] = []
  readonly #occurred: Set<string> = new Set()
  /** The records before the run. */
  #before: readonly Row[] = []

  private constructor(run: Run, scene: Scene) {
    this.run = run
    this.#scene = scene
    this.#people = scene.people ?? CHEAP
    this.state = new (scene.make ?? ModelState)(show)
  }

  static async start(run: Run, scene: Scene): Promise<LogRun> {
    const started = new LogRun(run, scene)
    await started.#prepare()
    return started
  }

  async #prepare(): Promise<void> {
    const { records = 2, hosts = [], owners = [], readers = 0, garbage = 0, halfMade, pointer } = this.#scene
    const log = openLog(this.state.direct(), LOG, this.#people.pairs[0]!.host)
    const rows: Row[] = []
    for (let each = 1; each <= records; each++) {
      const content = `before ${each}`
      rows.push({ position: await log.append(bytesOf(content)), content })
    }
    this.#before = rows
    if (halfMade !== undefined && halfMade !== 'none') await this.#leaveHalfMade(halfMade)
    if (pointer !== undefined) this.state.write(POINTER, 1, new Uint8Array(pointer))
    for (const [place, appends] of hosts.entries()) await this.#addHost(place, appends)
    for (const [place, owner] of owners.entries()) this.#addOwner(`O${place + 1}`, owner)
    for (let place = 1; place <= readers; place++) this.#addReader(`R${place}`)
    if (garbage > 0) this.#addVandal(garbage)
  }

  /** Lets an owner stop in the middle: before the close, or between the close and the seal-off. */
  async #leaveHalfMade(halfMade: 'copies' | 'closed'): Promise<void> {
    let left = halfMade === 'copies' ? 1 : this.#before.length + 1
    const direct = this.state.direct()
    const store: StateStore = {
      ...direct,
      write: (...call) => (left-- > 0 ? direct.write(...call) : Promise.reject(new NoAnswer())),
    }
    const { position } = this.#before.at(-1)!
    await openLog(store, LOG, this.#resealer().owner)
      .reseal({ atLeast: position })
      .then(
        () => this.run.violation('an owner resealed without the store'),
        (error: unknown) => {
          if (!(error instanceof NoAnswer)) throw error
        },
      )
  }

  /** Returns the pair of somebody who reads and reseals the log. The last one is used by nobody in the run. */
  #resealer(pair = 1): Pair {
    return (this.#scene.adopted === true ? this.#people.adopter : this.#people.pairs).at(pair)!
  }

  #seen(machine: Machine, who: 'host' | 'owner' | 'reader'): StateStore {
    const store = this.state.as(machine)
    return this.#scene.between?.(store, this.state, who) ?? store
  }

  async #addHost(place: number, appends: number): Promise<void> {
    const { hosts = [], adopted = false, warm = false, append = standardAppend } = this.#scene
    const name = `H${place + 1}`
    const isOfAdopter = adopted && place === hosts.length - 1
    const handle = isOfAdopter ? this.#people.adopter[0]!.host : this.#people.pairs[0]!.host
    const start = async (seen: StateStore, restarts: number, isWarm: boolean) => {
      let used = isWarm ? this.state.direct() : seen
      const appending = append(
        switching(() => used),
        handle,
      )
      let number = 0
      const next = async () => {
        const content = `${name}${"'".repeat(restarts)}.${++number}`
        this.#tried.add(content)
        try {
          this.#acknowledged.push({ position: await appending(bytesOf(content)), content })
        } catch (error) {
          if (isCode(error, ['conflict', 'policy'])) this.#refused.push(content)
          throw error
        }
      }
      if (isWarm) await next()
      return {
        next,
        use: (store: StateStore) => {
          used = store
        },
      }
    }
    const ready = warm ? await start(this.state.direct(), 0, true) : undefined
    const body = async (machine: Machine, restarts: number) => {
      const seen = this.#seen(machine, 'host')
      const host = restarts === 0 && ready !== undefined ? ready : await start(seen, restarts, false)
      host.use(seen)
      for (let each = 0; each < appends; each++) await host.next()
    }
    this.#actors.push(this.run.add(name, body, { restarts: 1 }))
  }

  #addOwner(name: string, scene: OwnerScene): void {
    const { upTo, leaveOut, pair } = scene
    const { garbage = 0 } = this.#scene
    const positionAt = (number: number) => this.#before[number - 1]!.position
    const body = async (machine: Machine) => {
      const log = openLog(this.#seen(machine, 'owner'), LOG, this.#resealer(pair).owner)
      await resealed(log, garbage > 0, {
        atLeast: this.#before.at(-1)!.position,
        ...(upTo !== undefined && { upTo: positionAt(upTo) }),
        leaveOut: leaveOut === undefined ? [] : [positionAt(leaveOut)],
      })
    }
    const actor = this.run.add(name, body, { restarts: 2 })
    this.#actors.push(actor)
    this.#owners.push([actor, scene])
  }

  /** Reads everything twice with one handle, and the last record. It never sees less than before. */
  #addReader(name: string): void {
    const body = async (machine: Machine) => {
      const log = openLog(this.#seen(machine, 'reader'), LOG, this.#resealer(-1).owner)
      const first = await this.#readBy(name, log)
      const floor = first.at(-1)?.position
      const second = await this.#readBy(name, log, floor)
      for (const row of first) {
        if (!second.some((each) => isSame(each, row)) && !this.#mayBeLeftOut(row))
          this.run.violation(`${name} saw ${row.content} once, and then not any more`)
      }
      const last = await log.last(second.length === 0 ? {} : { atLeast: second.at(-1)!.position })
      if (!this.#hasCuts && numberOfLast(last) < numberOfLast(second.at(-1)))
        this.run.violation(`${name} saw ${second.length} records, and then an older last one`)
    }
    this.#actors.push(this.run.add(name, body))
  }

  async #readBy(name: string, log: LogReader, atLeast?: string): Promise<Row[]> {
    const isDamaged = (this.#scene.garbage ?? 0) > 0
    const rows = await rowsOf(log, isDamaged, atLeast === undefined ? {} : { atLeast })
    this.#checkOrder(name, rows)
    return rows
  }

  /** Somebody who can write to the store, but has no keys, writes behind the end of an epoch. */
  #addVandal(times: number): void {
    const body = async (machine: Machine) => {
      const store = this.state.as(machine)
      for (let each = 0; each < times; each++) {
        const name = epochName(this.run.choose(3))
        const newest = await store.read(name)
        if (newest !== undefined) await store.write(name, newest.version + 1, bytesOf(`garbage ${each}`))
      }
    }
    this.#actors.push(this.run.add('G', body, { crashes: false }))
  }

  get #hasCuts(): boolean {
    return (this.#scene.owners ?? []).some(({ upTo, leaveOut }) => upTo !== undefined || leaveOut !== undefined)
  }

  /** Returns whether an owner was told to leave a record out. */
  #mayBeLeftOut(row: Row): boolean {
    const number = numberIn(row)
    return (this.#scene.owners ?? []).some(
      ({ upTo = Infinity, leaveOut }) => number > upTo || (number === leaveOut && row.content === `before ${number}`),
    )
  }

  /** Plays the run, and checks everything that must hold at its end. */
  async outcome(): Promise<readonly string[]> {
    await this.run.play()
    for (const actor of this.#actors) this.#checkOutcome(actor)
    for (const [actor, scene] of this.#owners) this.#checkResealed(actor, scene)
    // Garbage in place of a seal-off stops everybody but an owner, who finds out where the log goes on.
    if ((this.#scene.garbage ?? 0) > 0) await this.#resealAgain(this.#resealer().owner)
    await this.#checkLog('at the end')
    this.#checkEpochs()
    const isResealed = this.#chain().length > 1
    if (isResealed) this.#occurred.add('resealed')
    const isAdopted = this.#scene.adopted === true
    // An adopted log is resealed before anybody appends to it.
    if (isAdopted && !isResealed) await this.#resealAgain(this.#resealer().owner)
    const content = 'after'
    this.#tried.add(content)
    const position = await this.#certain('append', () =>
      openLog(this.state.direct(), LOG, this.#resealer().host).append(bytesOf(content)),
    )
    this.#acknowledged.push({ position, content })
    const rows = await this.#checkLog('after one more record')
    if (rows.at(-1)?.content !== content) this.run.violation('one more record is not the last one')
    if (this.#scene.isShared === true) return this.#occurrences
    await this.#resealAgain(this.#resealer(-1).owner)
    await this.#checkLog('after one more resealing')
    this.#checkEpochs()
    return this.#occurrences
  }

  get #occurrences(): readonly string[] {
    return [...this.#actors.map(({ outcome }) => outcome ?? 'never ended'), ...this.#occurred]
  }

  async #resealAgain(owner: OwnerHandle): Promise<void> {
    const atLeast = (this.#acknowledged.at(-1) ?? this.#before.at(-1)!).position
    const isDamaged = (this.#scene.garbage ?? 0) > 0
    await this.#certain('reseal', () =>
      resealed(openLog(this.state.direct(), LOG, owner), isDamaged, { atLeast, leaveOut: [] }),
    )
  }

  /** Does what must succeed when nothing goes wrong any more. */
  async #certain<T>(what: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      return this.run.violation(`${what} fails in the end: ${String(error)}`)
    }
  }

  /** A log that was resealed under a pair has an epoch whose copies are all under it. */
  #checkResealed({ name, outcome }: Actor, { pair }: OwnerScene): void {
    if (outcome !== 'done') return
    const { isCurrent } = recordKeysOf(this.#resealer(pair).owner)()
    const isUnderPair = this.#chain().some(({ epoch, start }) =>
      this.#recordsOf(epoch).every(
        (record) => record?.kind !== 'content' || (epoch > 0 && record.sequence > start) || isCurrent(record),
      ),
    )
    if (!isUnderPair) this.run.violation(`${name} is done, but has not resealed the log`)
  }

  #checkOutcome({ name, outcome, error }: Actor): void {
    if (outcome === 'done' || outcome === 'crashed' || outcome === 'no answer' || outcome === 'conflict') return
    const { adopted = false, garbage = 0 } = this.#scene
    if (garbage > 0 && outcome === 'authentication-failed') return
    if (adopted && name.startsWith('H') && outcome === 'policy') return
    this.run.violation(`${name} got a false alarm: ${outcome}: ${String(error)}`)
  }

  /** Reads the log with a fresh handle, and compares it with what was acknowledged. */
  async #checkLog(when: string): Promise<readonly Row[]> {
    const isDamaged = (this.#scene.garbage ?? 0) > 0
    const log = openLog(this.state.direct(), LOG, this.#resealer(-1).owner)
    const rows = await this.#certain(`read ${when}`, () => rowsOf(log, isDamaged))
    this.#checkOrder(`a reader ${when}`, rows)
    for (const [index, { content }] of rows.entries())
      if (!this.#tried.has(content) && this.#before[index]?.content !== content && !content.startsWith('before'))
        this.run.violation(`nobody appended ${content}`)
    for (const content of this.#refused)
      if (rows.some((row) => row.content === content)) this.run.violation(`${content} is there, but was refused`)
    for (const row of this.#before) await this.#checkRecord(when, log, rows, row)
    for (const row of this.#acknowledged) {
      await this.#checkRecord(when, log, rows, row)
    }
    const last = await this.#certain(`last ${when}`, () => log.last())
    if (last?.position !== rows.at(-1)?.position)
      this.run.violation(`last ${when} returns ${last?.position}, but read ends with ${rows.at(-1)?.position}`)
    return rows
  }

  #checkOrder(who: string, rows: readonly Row[]): void {
    const contents = rows.map(({ content }) => content)
    if (new Set(contents).size !== contents.length)
      this.run.violation(`${who} sees a record twice: ${contents.join(', ')}`)
    const numbers = rows.map((row) => numberIn(row))
    if (numbers.some((number, index) => index > 0 && number <= numbers[index - 1]!))
      this.run.violation(`${who} sees numbers that do not ascend: ${numbers.join(', ')}`)
  }

  /** A record is where its position says, or was left out because an owner was told to. */
  async #checkRecord(when: string, log: LogReader, rows: readonly Row[], row: Row): Promise<void> {
    const { position, content } = row
    const found = rows.find((each) => each.content === content)
    if (found === undefined) {
      if (!this.#mayBeLeftOut(row)) this.run.violation(`${content} is acknowledged, and lost ${when}`)
      this.#checkCut(row)
      this.#occurred.add('left out')
    } else if (found.position !== position) {
      this.run.violation(`${content} was acknowledged as ${position}, but stands at ${found.position} ${when}`)
    }
    const reading = log.read({ after: position, onDamaged: () => undefined })
    const next = await this.#certain(`read after ${content} ${when}`, () => reading.next())
    const behind = (next.value as Row | undefined)?.position
    const expected = rows.find((each) => numberIn(each) > numberIn(row))
    if (behind !== expected?.position)
      this.run.violation(`behind ${content} comes ${behind} ${when}, not ${expected?.position}`)
  }

  /** One owner cuts the log once, even if it is started again. So what it leaves out stood in epoch 0. */
  #checkCut({ position, content }: Row): void {
    if (this.#scene.owners?.length !== 1) return
    const isInFirst = this.#recordsOf(0).some((record) => positionIn(record) === position)
    if (!isInFirst) this.run.violation(`${content} was appended behind the cut, and left out`)
  }

  /** A seal-off is never dropped, nor anything of the current epoch, and of those above it. */
  #checkEpochs(): void {
    const chain = this.#chain()
    for (const { epoch, sealOff } of chain) {
      const { lowest } = this.state.object(epochName(epoch))
      if (sealOff !== undefined && lowest > sealOff) this.run.violation(`the seal-off of epoch ${epoch} was dropped`)
    }
    for (let epoch = chain.at(-1)!.epoch; epoch < LAST_EPOCH; epoch++)
      if (this.state.object(epochName(epoch)).lowest > 1) this.run.violation(`records of epoch ${epoch} were dropped`)
  }

  /** Returns the epochs that the log has reached, from their seal-offs: where the copies end, and where the epoch does. */
  #chain(): { epoch: number; start: number; sealOff: number | undefined }[] {
    const chain: { epoch: number; start: number; sealOff: number | undefined }[] = []
    let next: SealOff | undefined = { epoch: 0, sequence: 0 }
    while (next !== undefined) {
      const { epoch, sequence: start }: SealOff = next
      const record = this.#recordsOf(epoch).find((each) => each?.kind === 'seal-off')
      chain.push({ epoch, start, sealOff: record?.sequence })
      // These keys may be of another owner, but markers of all owners have the same form.
      const { markerContent } = recordKeysOf(this.#resealer().owner)()
      next = record && readSealOff(markerContent(record), epoch)
    }
    return chain
  }

  #recordsOf(epoch: number): (ParsedRecord | undefined)[] {
    return this.state.object(epochName(epoch)).versions.map((bytes) => wellFormed(bytes, LOG_ID))
  }
}

const positionIn = (record: ParsedRecord | undefined) => (record?.kind === 'content' ? positionText(record) : undefined)

const isSame = (a: Row, b: Row) => a.position === b.position && a.content === b.content

const numberOfLast = (row: { position: string } | undefined) =>
  row === undefined ? 0 : parsePosition(row.position, '').number

const isCode = (error: unknown, codes: readonly ErrorCode[]): error is KeystrataError =>
  error instanceof KeystrataError && codes.includes(error.code)

/** Explores a log. The scene may depend on what the explorer chooses. */
export const exploreLog = (name: string, bounds: Bounds, scene: Scene | ((run: Run) => Scene)): Promise<Report> =>
  explore(`log, ${name}`, bounds, async (run) => {
    const started = await LogRun.start(run, typeof scene === 'function' ? scene(run) : scene)
    return started.outcome()
  })

/** Reads all records of a log. Damaged ones are passed by where somebody wrote garbage. */
async function rowsOf(log: LogReader, isDamaged: boolean, options: { atLeast?: string } = {}): Promise<Row[]> {
  const rows: Row[] = []
  const reading = log.read({ ...options, ...(isDamaged && { onDamaged: () => undefined }) })
  for await (const { position, content } of reading) rows.push({ position, content: textOf(content) })
  return rows
}

/** Reseals a log. Records that are damaged are left out, as the error says, where somebody wrote garbage. */
async function resealed(
  log: Log,
  isDamaged: boolean,
  options: { atLeast: string; upTo?: string; leaveOut: readonly string[] },
): Promise<void> {
  const leaveOut = [...options.leaveOut]
  for (;;) {
    try {
      await log.reseal({ ...options, leaveOut })
      return
    } catch (error) {
      const position = isCode(error, DAMAGE) ? error.detail['position'] : undefined
      if (!isDamaged || typeof position !== 'string' || leaveOut.includes(position)) throw error
      leaveOut.push(position)
    }
  }
}

/** A store that passes everything on to the one that is used now. */
const switching = (used: () => StateStore): StateStore => ({
  read: (...call) => used().read(...call),
  readVersion: (...call) => used().readVersion(...call),
  write: (...call) => used().write(...call),
  drop: (...call) => used().drop(...call),
})

/** Shows a record, a pointer, or garbage in a trace. */
function show(bytes: Uint8Array): string {
  const record = wellFormed(bytes, LOG_ID)
  if (record === undefined) return bytes.length === 4 ? `the number ${hex(bytes)}` : `${bytes.length} bytes`
  const { kind, epoch, sequence, number, id } = record
  return `${kind} e${epoch} v${sequence} n${number} ${hex(id).slice(0, 4)}${record.isAfterDamage ? ' after damage' : ''}`
}
