// Adds to objects in a database through several connections, until it gets SIGTERM or its time is over:
// `postgres-writer.ts CONFIG WRITER CONNECTIONS MS MODE`. In the mode `plain`, only what the store itself returns counts.
// In the mode `settled`, writes go through writeSettled, connections get cut, and answers get lost.
import pg from 'pg'
import { CheckedStore } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import type { StateStore } from '../../src/state/store.ts'
import { postgresStateStore } from '../../src/stores/postgres.ts'
import { acknowledge, complain, count, countsIn, withOneMore } from './adding.ts'

const [config = '', writer = '', connections = '', milliseconds = '', mode = ''] = process.argv.slice(2)
const end = Date.now() + Number(milliseconds)
let isStopped = false
process.once('SIGTERM', () => void (isStopped = true))
const objects = ['log/a', 'log/b']

/** Loses one of five answers to writes that have happened: it returns false, or throws. */
function forgetful(store: StateStore): StateStore {
  return {
    read: (name) => store.read(name),
    readVersion: (name, version) => store.readVersion(name, version),
    drop: (name, below) => store.drop(name, below),
    async write(name, version, bytes) {
      const answer = await store.write(name, version, bytes)
      if (answer && Math.random() < 0.2) {
        count('lost answers')
        if (Math.random() < 0.5) throw new Error('the answer was lost')
        return false
      }
      return answer
    },
  }
}

/** Calls until the database answers: connections get cut. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call()
    } catch (error) {
      if (mode === 'plain' || error instanceof TypeError || tries === 50) throw error
      count('failed reads and drops')
    }
  }
}

async function addThrough(connection: number): Promise<void> {
  const pool = new pg.Pool({ ...(JSON.parse(config) as pg.PoolConfig), max: 1, application_name: 'keystrata-writer' })
  // Cut connections are no reason to end.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  const given = postgresStateStore(pool)
  const store = new CheckedStore(mode === 'plain' ? given : forgetful(given))
  const self = `${writer}-${connection}`
  for (let tag = 0; !isStopped && Date.now() < end; tag++) {
    const name = objects[(connection + tag) % objects.length]!
    const newest = await insist(() => store.read(name))
    const version = (newest?.version ?? 0) + 1
    const last = `${self}-${tag}`
    const bytes = withOneMore(countsIn(newest?.bytes), self, last)
    if (mode === 'plain') {
      if (await store.write(name, version, bytes)) acknowledge(name, self)
      else count('refused')
    } else {
      let outcome = 'thrown'
      try {
        outcome = await writeSettled(store, name, version, bytes)
      } catch (error) {
        if (error instanceof TypeError) throw error
      }
      count(outcome)
      if (outcome === 'written') acknowledge(name, self)
      else if (outcome !== 'taken') {
        // Nobody else writes this count, so the object itself tells what happened.
        const counts = countsIn((await insist(() => store.read(name)))?.bytes)
        if (counts[self]?.last === last) acknowledge(name, self)
      }
    }
    if (tag % 5 === 0) await insist(() => store.drop(name, version - 3))
    if (tag % 7 === 0) {
      const late = await insist(() => given.write(name, Math.max(1, version - 6), bytes))
      if (late) complain(`a late write of version ${version - 6} to ${name}`)
    }
  }
  await pool.end()
}

await Promise.all(Array.from({ length: Number(connections) }, (_, connection) => addThrough(connection)))
