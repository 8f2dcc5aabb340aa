// The parts of the soak that judge: the reference model finds every defect that it is there for, and complains about
// nothing else. The stores are in memory here; `npm run soak` uses real servers.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { SecretKey } from '../../src/core/secret.ts'
import { blocksIn, memoryBlobStore, memoryStateStore } from '../../src/stores.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { appendRecord, makeFiles, readArchive, sealFiles } from './archive.ts'
import { ClientModel, KeysetModel, UserModel } from './entities.ts'
import { growthOf, type Sample, slope } from './figures.ts'
import { type Facts, Journal, JournalTail, type Line } from './journal.ts'
import { Model } from './model.ts'
import { outcomeOf } from './outcome.ts'
import { Random } from './random.ts'
import { Register, SETTLE_MS } from './register.ts'
import { sabotagedBlobs, sabotagedState } from './sabotage.ts'
import { Schedule } from './schedule.ts'
import type { Task } from './tasks.ts'

const folder = mkdtempSync(join(tmpdir(), 'keystrata-soak-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const newJournal = () => {
  const path = join(folder, `${files++}.journal`)
  return { path, journal: new Journal(path, 'test'), tail: new JournalTail(path) }
}

describe('a journal', () => {
  it('is read line by line, also while a line is being written', () => {
    const { path, journal, tail } = newJournal()
    const id = journal.intend(1, 'touch', { entity: 'user-1' })
    expect(tail.read().map(({ kind }) => kind)).toEqual(['intent'])
    const line = JSON.stringify({ at: 1, kind: 'ack', id, facts: {} })
    appendFileSync(path, line.slice(0, 10))
    expect(tail.read()).toEqual([])
    appendFileSync(path, `${line.slice(10)}\n`)
    expect(tail.read()).toMatchObject([{ kind: 'ack', id }])
    journal.close()
    tail.close()
  })

  it('says of everything that was not acknowledged that it was lost', () => {
    const { journal, tail } = newJournal()
    const [first, second] = ['a', 'b'].map((entity) => journal.intend(1, 'touch', { entity }))
    journal.acknowledge(first!)
    journal.fail({ kind: 'lost', error: 'ECONNRESET' })
    expect(tail.read().slice(2)).toMatchObject([
      { kind: 'ack', id: first },
      { kind: 'lost', id: second },
    ])
    journal.close()
    tail.close()
  })
})

describe('the model of a password', () => {
  it('refuses earlier ones, and takes both after an answer was lost, until one was seen', () => {
    const password = new Register('a')
    password.begin('b')
    password.acknowledge(10)
    expect(password.see('a', 11, 12)).toMatch(/not the last one/)
    expect(password.see('a', 9, 12)).toBeUndefined()
    password.begin('c')
    password.lose(20)
    expect(password.possible).toEqual(['c', 'b'])
    expect(password.isSettled(21)).toBe(false)
    expect(password.see('b', 21, 22)).toBeUndefined()
    expect(password.possible).toEqual(['c', 'b'])
    expect(password.see('b', 21 + SETTLE_MS, 22 + SETTLE_MS)).toBeUndefined()
    expect(password.possible).toEqual(['b'])
    password.begin('d')
    password.lose(100_000)
    expect(password.see('d', 100_001, 100_002)).toBeUndefined()
    expect([password.possible, password.past]).toEqual([['d'], ['a', 'b']])
    expect(password.see('b', 100_003, 100_004)).toMatch(/not the last one/)
  })
})

describe('the growth of a figure', () => {
  const samples = (heap: (index: number) => number): Sample[] =>
    Array.from({ length: 40 }, (_, index) => ({
      ...{ at: index * 60_000, heap: heap(index), rss: 1e8, files: 20, threads: 11, connections: 3 },
    }))
  const verdict = (heap: (index: number) => number) => growthOf(samples(heap))?.find(({ figure }) => figure === 'heap')

  it('is found despite noise, and noise alone does not count as growth', () => {
    const random = new Random(1)
    expect(verdict(() => 3e7 + random.next() * 3e6)?.grows).toBe(false)
    expect(verdict((index) => 3e7 + random.next() * 3e6 + index * 4e5)?.grows).toBe(true)
    // What a process loads at first is not in the second half.
    expect(verdict((index) => Math.min(index, 10) * 5e6)?.grows).toBe(false)
  })

  it('is not judged from a few samples', () => {
    expect(growthOf(samples(() => 1).slice(0, 10))).toBeUndefined()
    expect(slope([[1, 1]])).toBe(0)
  })
})

/** Appends and reads over stores with this defect, and returns what the model and the library complain about. */
async function complaints(kind: string | undefined, seed: number): Promise<string[]> {
  const { journal, tail } = newJournal()
  const random = new Random(seed)
  const model = new Model()
  model.add(new KeysetModel('k', 'password', 's3'))
  const state = sabotagedState(memoryStateStore(), kind, random)
  const blocks = blocksIn(sabotagedBlobs(memoryBlobStore(), kind, random))
  using vault = new OpenedVault(new Uint8Array(16).fill(1), new SecretKey('data', new Uint8Array(32).fill(2)))
  for (let id = 1; id <= 60 && model.violations.length === 0; id++) {
    const archive = { key: 'keyset k', log: 'backups', floor: model.archives.get('keyset k')!.floor }
    const task: Task = { id, op: 'keyset.back-up', seed: id, since: 0 }
    try {
      const items = await sealFiles(blocks, vault, makeFiles(random, 'k'), { isPacked: random.happens(0.4) })
      await appendRecord(journal, task, archive, state, vault, items)
      if (id % 5 === 0) await readArchive(journal, task, archive, { blocks, state }, vault, true)
    } catch (error) {
      const found = outcomeOf(error)
      model.complain(JSON.stringify(found))
      journal.fail({ kind: 'lost', error: found.kind })
    }
    for (const line of tail.read()) model.apply('test', line)
  }
  journal.close()
  tail.close()
  return model.violations
}

describe('a log and its blocks', () => {
  it('give no cause for complaint over sound stores', async () => {
    expect(await complaints(undefined, 1)).toEqual([])
  })

  it.each(['dropped-write', 'write-twice', 'old-version', 'dropped-block', 'damaged-block'])(
    'are found defective over stores with the sabotage %s',
    async (kind) => {
      for (const seed of [1, 2, 3]) expect((await complaints(kind, seed)).length, String(seed)).toBeGreaterThan(0)
    },
  )
})

describe('the model of a log', () => {
  const model = () => {
    const made = new Model()
    made.add(new KeysetModel('k', 'password', 's3'))
    return made
  }
  const append = (to: Model, record: string, position: string | undefined, at: number) => {
    const facts: Facts = { archive: 'keyset k', record, sha: record, blocks: 1 }
    to.apply('w', { kind: 'intent', id: record, task: 1, what: 'append', facts, at })
    if (position !== undefined) to.apply('w', { kind: 'ack', id: record, facts: { position }, at: at + 1 })
  }
  const read = (to: Model, since: number, records: [string, string][]): readonly string[] => {
    const line: Line = {
      ...{ kind: 'reading', task: 2, archive: 'keyset k', since, at: since + 1, opened: true },
      records: records.map(([position, id]) => [position, id, id]),
    }
    to.apply('w', line)
    return to.violations
  }

  it('wants every acknowledged record once, at its place', () => {
    const log = model()
    append(log, 'a', '1-x', 10)
    append(log, 'b', undefined, 20)
    append(log, 'c', '3-x', 30)
    expect(read(log, 40, [['1-x', 'a'], ['3-x', 'c']])).toEqual([]) // prettier-ignore
    expect(read(log, 41, [['1-x', 'a'], ['2-x', 'b'], ['3-x', 'c']])).toEqual([]) // prettier-ignore
    // Once it was seen, it stays.
    expect(read(log, 43, [['1-x', 'a'], ['3-x', 'c']]).at(-1)).toMatch(/b at 2-x is lost/) // prettier-ignore
    expect(read(log, 44, [['1-x', 'a'], ['2-x', 'b']]).at(-1)).toMatch(/c at 3-x is lost/) // prettier-ignore
    expect(read(log, 45, [['1-x', 'a'], ['2-x', 'b'], ['3-x', 'c'], ['4-x', 'a']]).join()).toMatch(/a is there twice/) // prettier-ignore
    expect(read(log, 46, [['1-x', 'a'], ['2-x', 'b'], ['3-x', 'c'], ['4-x', 'z']]).at(-1)).toMatch(/nobody wrote/) // prettier-ignore
  })

  it('wants the order of time, and no record in a share after its end', () => {
    const log = model()
    append(log, 'a', '2-x', 10)
    append(log, 'b', '1-x', 20)
    expect(read(log, 30, [['1-x', 'b'], ['2-x', 'a']]).join()).toMatch(/a at 2-x was acknowledged before b began/) // prettier-ignore
    const ended = model()
    ended.archives.get('keyset k')!.closedAt = 5
    append(ended, 'a', '1-x', 10)
    expect(read(ended, 30, [['1-x', 'a']]).join()).toMatch(/written after the end/)
  })
})

describe('the schedule', () => {
  it('gives out one change of an entity at a time, the same ones for the same seed', () => {
    const run = () => {
      const model = new Model()
      const schedule = new Schedule(model, new Random(5))
      const ops: string[] = []
      for (let turn = 0; turn < 300; turn++) {
        const task = schedule.next()
        if (task === undefined) continue
        ops.push(task.op)
        for (const entity of model.entities.values()) if (entity.life === 'begun') entity.life = 'live'
        if (turn % 2 === 0) schedule.end(task)
      }
      return { model, ops }
    }
    const { model, ops } = run()
    const kinds = [UserModel, ClientModel, KeysetModel].map(
      (kind) => [...model.entities.values()].filter((each) => each instanceof kind).length,
    )
    expect(kinds).toEqual([8, 6, 6])
    expect(new Set(ops).size).toBeGreaterThan(8)
    expect(run().ops).toEqual(ops)
  })
})
