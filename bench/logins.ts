// npm run bench:logins -- [--rounds N] [--cost N] [--json]
// What ten logins at once cost a server: how many it checks in a second, and the longest time in which its event loop
// stands still. The ways take turns in one process, and every answer is checked. A stall is measured twice: as the
// longest gap in a chain of setTimeout and setImmediate, which runs through the whole loop and so sees timers that
// starve all else, and as Node's own delay of timers.
import { strict as assert } from 'node:assert'
import { availableParallelism, cpus } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import * as nodeRs from '@node-rs/bcrypt'
import nativeBcrypt from 'bcrypt'
import * as bcryptjs from 'bcryptjs'
import { DEFAULT_ARGON2_COSTS, hashPassword } from '../src/core/password.ts'
import { startThread } from '../src/core/threads.ts'
import { argon2 } from '../src/primitives/password-hash.ts'
import { providerOf } from '../src/primitives/choice.ts'
import { type Bcrypt, createVerifier, matchesVerifier } from '../src/server/bcrypt.ts'
import { HashQueue } from '../src/server/hash-queue.ts'
import { median } from './measure.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, cost: { type: 'string' }, json: { type: 'boolean', default: false } },
})
const rounds = Number(values.rounds ?? 7)
const cost = Number(values.cost ?? 12)
const AT_ONCE = 10
const CREDENTIAL = 'bm90IGEgcmVhbCBjcmVkZW50aWFsIDE3'

// The library's own number of threads, whose file only the built package has.
const threads = Math.max(1, Math.min(4, availableParallelism() - 1))
const queue = new HashQueue(() => startThread(new URL('../test/server/hash-thread.mjs', import.meta.url)), threads)
const wrongThread = () => Promise.reject(new Error('this must run in a thread'))

const inThreads: Bcrypt = {
  hash: () => wrongThread(),
  compare: (password, hash) => queue.run({ task: 'compare', password, hash }, wrongThread),
}
const verifier = await createVerifier(CREDENTIAL, { cost })
const login = (bcrypt: Bcrypt) => () => matchesVerifier(verifier, CREDENTIAL, { bcrypt })

const salt = new Uint8Array(16).fill(7)
const password = new TextEncoder().encode('correct horse')
const hashed = Buffer.from(await hashPassword('correct horse', salt, DEFAULT_ARGON2_COSTS, {}, 32))
const provider = (argon2(), providerOf('Argon2id'))
const task = { task: 'argon2', password, salt, costs: DEFAULT_ARGON2_COSTS, length: 32 } as const

const works: readonly (readonly [what: string, work: () => Promise<boolean>])[] = [
  ['bcryptjs in the calling thread (0.2)', login(bcryptjs)],
  [`bcryptjs in threads (${threads})`, login(inThreads)],
  ['@node-rs/bcrypt', login(nodeRs)],
  ['bcrypt', login(nativeBcrypt)],
  [
    `Argon2id by ${provider} in the calling thread (0.2)`,
    async () => hashed.equals(await argon2().argon2id(password, salt, DEFAULT_ARGON2_COSTS, 32, {})),
  ],
  [
    `Argon2id by ${provider} in threads (${threads})`,
    async () => hashed.equals(await queue.run<Uint8Array>(task, wrongThread)),
  ],
]

interface Sample {
  readonly perSecond: number
  /** The longest time of one whole turn of the loop, in milliseconds. */
  readonly gap: number
  /** The longest delay of a timer, in milliseconds. */
  readonly delay: number
  /** From the begin of all to the end of the first, in milliseconds. */
  readonly first: number
}

async function sample(work: () => Promise<boolean>): Promise<Sample> {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  let gap = 0
  let isOver = false
  let last = performance.now()
  const turn = () => {
    const now = performance.now()
    gap = Math.max(gap, now - last)
    last = now
    if (!isOver) setTimeout(() => setImmediate(turn), 1)
  }
  setImmediate(turn)
  monitor.enable()
  const start = performance.now()
  let first = Number.POSITIVE_INFINITY
  const one = async () => {
    assert.equal(await work(), true)
    first = Math.min(first, performance.now() - start)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  const elapsed = performance.now() - start
  // Lets both probes see the end of the last stall.
  await new Promise((resolve) => setTimeout(resolve, 5))
  isOver = true
  monitor.disable()
  return { perSecond: (1000 * AT_ONCE) / elapsed, gap, delay: monitor.max / 1e6, first }
}

for (const [, work] of works) assert.equal(await work(), true)
assert.equal(await matchesVerifier(verifier, 'A'.repeat(32), { bcrypt: inThreads }), false)
const samples = works.map((): Sample[] => [])
for (let round = 0; round < rounds; round++) {
  for (const [index, [, work]] of works.entries()) samples[index]!.push(await sample(work))
}

const rows = works.map(([what], index) => {
  const middle = (field: keyof Sample) => median(samples[index]!.map((each) => each[field]))
  const [perSecond, gap, delay, first] = [middle('perSecond'), middle('gap'), middle('delay'), middle('first')]
  return {
    what,
    perSecond: Math.round(10 * perSecond) / 10,
    gap: Math.round(gap),
    delay: Math.round(delay),
    first: Math.round(first),
  }
})
if (values.json) console.log(JSON.stringify(rows, undefined, 2))
else {
  const machine = `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}`
  console.log(
    `Node ${process.versions.node}, ${machine}; ${AT_ONCE} at once, bcrypt of cost ${cost}, medians of ${rounds} rounds\n`,
  )
  console.log('| way | a second | longest turn of the loop | longest delay (timers) | first answer |')
  console.log('|---|---|---|---|---|')
  for (const { what, perSecond, gap, delay, first } of rows)
    console.log(`| ${what} | ${perSecond} | ${gap} ms | ${delay} ms | ${first} ms |`)
}
