// One process that works on a log until it is killed: `log-process.ts JOB`, where JOB is a Job as JSON. Its lines on
// stdout say what was acknowledged to it. What begins with `keep` must stay in the log. An owner leaves out again what
// begins with `drop`, so that it always has something to reseal.
import { KeystrataError, openLog } from '../../src/index.ts'
import type { StateStore } from '../../src/stores.ts'
import { acknowledge, complain, count } from '../stores/adding.ts'
import { hostKeys, type Job, ownerKeys, storeAt } from './log-job.ts'

const job = JSON.parse(process.argv[2]!) as Job
const store = storeAt(job.place)
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (content: Uint8Array) => new TextDecoder().decode(content)
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** What may happen to a process whose log others change, and whose connections get cut. */
function assertExpected(error: unknown): void {
  if (error instanceof KeystrataError) {
    // Others were quicker, or an owner with newer keys has resealed the log.
    if (error.code !== 'conflict' && error.code !== 'key-not-found') throw error
    count(error.code)
  } else if (error instanceof TypeError || 'folder' in job.place) throw error
  else count('failed calls')
}

/** Works again and again until this process is killed. */
async function repeat(work: (turn: number) => Promise<void>): Promise<never> {
  count('lives')
  for (let turn = 0; ; turn++) {
    try {
      await work(turn)
    } catch (error) {
      assertExpected(error)
      await pause(50)
    }
  }
}

async function append(): Promise<void> {
  const log = openLog(store, job.log, await hostKeys(job.keys))
  await repeat(async (turn) => {
    const content = `keep-${process.pid}-${turn}-${Date.now()}`
    acknowledge(`${job.log} ${await log.append(bytes(content))}`, content)
    await pause(Math.random() * 30)
  })
}

async function reseal(): Promise<void> {
  const log = openLog(store, job.log, await ownerKeys(job.keys, job.generation))
  await repeat(async (turn) => {
    const atLeast = await log.append(bytes(`drop-${process.pid}-${turn}`))
    await log.reseal({ atLeast, leaveOut: [atLeast] })
    acknowledge(`${job.log} ${atLeast}`, 'left-out')
    count('reseals')
  })
}

async function read(): Promise<void> {
  const keys = await ownerKeys(job.keys)
  let [seen, last]: [ReadonlyMap<string, string>, string | undefined] = [new Map(), undefined]
  await repeat(async () => {
    const found: Map<string, string> = new Map()
    const atLeast = last === undefined ? {} : { atLeast: last }
    let before = 0
    for await (const { position, content } of openLog(store, job.log, keys).read(atLeast)) {
      const number = Number(position.split('-')[0])
      if (number <= before) complain(`${position} behind number ${before}`)
      before = number
      if (text(content).startsWith('keep')) {
        found.set(position, text(content))
        last = position
      }
    }
    for (const [position, content] of seen)
      if (found.get(position) !== content) complain(`${position} was ${content}, and is ${found.get(position)}`)
    seen = found
    const newest = await openLog(store, job.log, keys).last(last === undefined ? {} : { atLeast: last })
    const [lastNumber, newestNumber] = [last, newest?.position].map((position) => Number(position?.split('-')[0] ?? 0))
    if (newestNumber! < lastNumber!) complain(`the last is ${newest?.position}, and ${last} was read`)
    count('reads')
    await pause(300)
  })
}

/** Kills this process after the nth call that changes the store. */
function dying({ calls }: Job): StateStore {
  let made = 0
  const died = <T>(answer: T): T => {
    if (++made === calls) process.kill(process.pid, 'SIGKILL')
    return answer
  }
  return {
    read: (name) => store.read(name),
    readVersion: (name, version) => store.readVersion(name, version),
    readVersions: (name, from) => store.readVersions!(name, from),
    write: async (name, version, content) => died(await store.write(name, version, content)),
    drop: async (name, below) => {
      await store.drop(name, below)
      died(undefined)
    },
  }
}

/** Reseals once, without what begins with `drop`. */
async function resealOnce(): Promise<void> {
  const keys = await ownerKeys(job.keys, job.generation)
  const [positions, leaveOut]: [string[], string[]] = [[], []]
  for await (const { position, content } of openLog(store, job.log, keys).read()) {
    positions.push(position)
    if (text(content).startsWith('drop')) leaveOut.push(position)
  }
  const { copied } = await openLog(dying(job), job.log, keys).reseal({ atLeast: positions.at(-1)!, leaveOut })
  count(`copied ${copied}`)
}

const works: Readonly<Record<Job['work'], () => Promise<void>>> = { append, reseal, read, dying: resealOnce }
await works[job.work]()
