import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { KeystrataError } from '../../src/index.ts'
import { CheckedStore, StoreMistake } from '../../src/state/checked.ts'
import { readSettled, writeSettled, writeShared } from '../../src/state/settle.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { failure } from '../fixtures.ts'
import { instantTimers } from '../stores/instant.ts'

let waits: readonly number[] = []
beforeEach(() => void (waits = instantTimers()))
afterEach(() => void vi.restoreAllMocks())

const NAME = 'keyset'
const mine = Uint8Array.of(1, 2, 3)
const theirs = Uint8Array.of(1, 2, 4)

type Step = (store: StateStore, write: () => Promise<boolean>) => Promise<unknown>

/** A store whose first writes are `steps`. Later writes are ordinary ones. Counts the calls. */
function scripted(...steps: readonly Step[]) {
  const inner = memoryStateStore()
  const calls = { write: 0, readVersion: 0, read: 0 }
  const offered: [name: string, version: number, bytes: Uint8Array][] = []
  const store: StateStore = {
    ...inner,
    async read(name) {
      calls.read++
      return inner.read(name)
    },
    async readVersion(name, version) {
      calls.readVersion++
      return inner.readVersion(name, version)
    },
    async write(name, version, bytes) {
      const step = steps[calls.write++]
      offered.push([name, version, bytes])
      const write = () => inner.write(name, version, bytes)
      return step === undefined ? write() : ((await step(inner, write)) as boolean)
    },
  }
  return { inner, store, calls, offered, write: () => writeSettled(new CheckedStore(store), NAME, 1, mine) }
}

const fails =
  (error: unknown): Step =>
  async () => {
    throw error
  }
const writesAndFails =
  (error: unknown): Step =>
  async (_, write) => {
    await write()
    throw error
  }
const lost = new Error('socket hang up')

describe('writeShared', () => {
  const shared = (store: StateStore) => writeShared(new CheckedStore(store), NAME, 1, mine)

  it('is written only if the store says true', async () => {
    expect(await shared(scripted().store)).toBe('written')
    expect(await shared(scripted(fails(lost)).store)).toBe('written')
  })

  it('is the same, and not written, if these bytes are there after another answer', async () => {
    expect(await shared(scripted(writesAndFails(lost)).store)).toBe('same')
    const { store, inner } = scripted()
    await inner.write(NAME, 1, mine)
    await inner.write(NAME, 2, theirs)
    expect(await shared(store)).toBe('same')
  })

  it('is taken or unknown as writeSettled is', async () => {
    const { store, inner } = scripted()
    await inner.write(NAME, 1, theirs)
    expect(await shared(store)).toBe('taken')
    await inner.write(NAME, 2, theirs)
    await inner.drop(NAME, 2)
    expect(await shared(store)).toBe('unknown')
  })
})

describe('writeSettled', () => {
  it('asks once if the store says true', async () => {
    const { write, calls } = scripted()
    expect(await write()).toBe('written')
    expect(calls).toEqual({ write: 1, readVersion: 0, read: 0 })
    expect(waits).toEqual([])
  })

  it('finds its own bytes after the answer to the write that worked was lost', async () => {
    const { write, calls, offered } = scripted(writesAndFails(lost))
    expect(await write()).toBe('written')
    expect(calls).toEqual({ write: 2, readVersion: 1, read: 0 })
    for (const offer of offered) expect(offer).toEqual([NAME, 1, mine])
  })

  it('writes again after a write that failed', async () => {
    const { write, calls, inner } = scripted(fails(lost), fails(lost), fails(lost))
    expect(await write()).toBe('written')
    expect(calls.write).toBe(4)
    expect((await inner.read(NAME))?.bytes).toEqual(mine)
  })

  it('believes the stored bytes, and not a false of a driver that repeats requests', async () => {
    const { write } = scripted(async (_, really) => {
      await really()
      return false
    })
    expect(await write()).toBe('written')
  })

  it('is taken if other bytes are stored at this version', async () => {
    const { write, inner } = scripted()
    await inner.write(NAME, 1, theirs)
    expect(await write()).toBe('taken')
  })

  it('reads the version that it wrote, and not the newest', async () => {
    const { write, calls } = scripted(async (inner, really) => {
      await really()
      await inner.write(NAME, 2, theirs)
      throw lost
    })
    expect(await write()).toBe('written')
    expect(calls.read).toBe(0)
  })

  it('is unknown if this version was dropped since', async () => {
    const { write, calls } = scripted(async (inner, really) => {
      await really()
      await inner.write(NAME, 2, theirs)
      await inner.drop(NAME, 2)
      throw lost
    })
    expect(await write()).toBe('unknown')
    expect(calls).toEqual({ write: 2, readVersion: 2, read: 1 })
  })

  it.each([
    ['its own bytes', mine, 'written'],
    ['other bytes', theirs, 'taken'],
  ])('compares %s again when a late read missed them', async (_, bytes, outcome) => {
    const { store, inner, calls } = scripted(async () => false)
    await inner.write(NAME, 1, bytes)
    await inner.write(NAME, 2, theirs)
    let isLate = true
    const late = {
      ...store,
      readVersion: async (name: string, version: number) => {
        const found = await store.readVersion(name, version)
        if (!isLate) return found
        isLate = false
        return undefined
      },
    }
    expect(await writeSettled(new CheckedStore(late), NAME, 1, mine)).toBe(outcome)
    expect(calls).toEqual({ write: 1, readVersion: 2, read: 1 })
  })

  it('takes the newest version if it is the one, though reading that version was late', async () => {
    for (const [bytes, outcome] of [[mine, 'written'] as const, [theirs, 'taken'] as const]) {
      const { store, inner } = scripted(async () => false)
      await inner.write(NAME, 1, bytes)
      const late = { ...store, readVersion: async () => undefined }
      expect(await writeSettled(new CheckedStore(late), NAME, 1, mine)).toBe(outcome)
    }
  })

  it('reads again, with pauses, while all reads are late', async () => {
    const { store, calls } = scripted(async (_, really) => {
      await really()
      return false
    })
    let reads = 0
    const late: StateStore = {
      ...store,
      read: async (name) => (reads < 4 ? undefined : store.read(name)),
      readVersion: async (name, version) => (++reads < 4 ? undefined : store.readVersion(name, version)),
    }
    expect(await writeSettled(new CheckedStore(late), NAME, 1, mine)).toBe('written')
    expect(reads).toBe(4)
    expect(waits.length).toBe(3)
    expect(calls.write).toBe(1)
  })

  it('is unknown if the store says false, and has nothing after six reads', async () => {
    const { write, calls } = scripted(async () => false)
    expect(await write()).toBe('unknown')
    expect(calls).toEqual({ write: 1, readVersion: 6, read: 6 })
  })

  it('offers the write again if the read after false fails', async () => {
    const { store, inner } = scripted()
    await inner.write(NAME, 1, mine)
    let failures = 2
    const flaky: StateStore = {
      ...store,
      readVersion: async (name, version) => {
        if (failures-- > 0) throw lost
        return store.readVersion(name, version)
      },
    }
    expect(await writeSettled(new CheckedStore(flaky), NAME, 1, mine)).toBe('written')
  })

  it('pauses for random times of at most a second, which do not shrink to nothing', async () => {
    const down = scripted(...Array<Step>(6).fill(fails(lost)))
    await expect(down.write()).rejects.toThrow()
    expect(waits.length).toBe(5)
    for (const wait of waits) {
      expect(wait).toBeGreaterThanOrEqual(0)
      expect(wait).toBeLessThanOrEqual(1000)
    }
    expect(new Set(waits).size).toBeGreaterThan(1)
  })

  it('waits as long as a busy store asks for', async () => {
    const busy = Object.assign(new Error('busy'), { status: 503, retryAfter: 5 })
    const store = scripted(fails(busy))
    expect(await store.write()).toBe('written')
    expect(waits.filter((wait) => wait === 5000)).toHaveLength(1)
  })

  it('ends at once if a busy store asks for more than a minute', async () => {
    const store = scripted(fails(Object.assign(new Error('busy'), { retryAfter: 61 })))
    await expect(store.write()).rejects.toMatchObject({ retryAfter: 61 })
    expect(waits).toEqual([])
    expect(store.offered).toHaveLength(1)
  })

  it.each([NaN, -1, '5', Infinity, null])(
    'ignores %s as the time to wait, except for an endless one',
    async (retryAfter) => {
      const store = scripted(fails(Object.assign(new Error('busy'), { retryAfter })))
      if (retryAfter === Infinity) await expect(store.write()).rejects.toThrow('busy')
      else expect(await store.write()).toBe('written')
      expect(waits.every((wait) => wait <= 1000)).toBe(true)
    },
  )

  it('does not give the store the buffer of the caller', async () => {
    const { write, offered } = scripted(async (_, really) => {
      await really()
      offered[0]![2].fill(9)
      throw lost
    })
    expect(await write()).toBe('written')
    expect(offered[1]).toEqual([NAME, 1, mine])
    expect(mine).toEqual(Uint8Array.of(1, 2, 3))
  })
})

/** Runs a write to a store that throws `error` every time, and returns what it throws. */
async function thrownBy(error: unknown) {
  const down = scripted(...Array<Step>(20).fill(fails(error)))
  const thrown: unknown = await down.write().then(
    () => expect.unreachable(),
    (reason: unknown) => reason,
  )
  return { thrown, writes: down.calls.write }
}

const NOTE = ' (version 1 of keyset may have been written nevertheless)'

describe('writeSettled to a store that never answers', () => {
  it("throws the store's own error, which says that the write may have happened", async () => {
    const error = Object.assign(new Error('ECONNREFUSED'), { code: 111 })
    const { thrown, writes } = await thrownBy(error)
    expect(thrown).toBe(error)
    expect(error.message).toBe(`ECONNREFUSED${NOTE}`)
    expect(error.code).toBe(111)
    expect(writes).toBe(6)
  })

  it('does not name the object of a verifier, because its name tests passwords', async () => {
    const down: StateStore = { ...memoryStateStore(), write: () => Promise.reject(new Error('down')) }
    const name = `login/${'a1'.repeat(16)}`
    await expect(writeSettled(new CheckedStore(down), name, 1, mine)).rejects.toThrow(
      /^down \(version 1 of a verifier may have been written nevertheless\)$/,
    )
  })

  it('says it once, though the store throws one and the same error again and again', async () => {
    const error = new Error('down')
    await thrownBy(error)
    await thrownBy(error)
    expect(error.message).toBe(`down${NOTE}`)
  })

  it('says it in a DOMException, whose message is inherited', async () => {
    const error = new DOMException('the disk is full', 'QuotaExceededError')
    const { thrown } = await thrownBy(error)
    expect(thrown).toBe(error)
    expect(error.message).toBe(`the disk is full${NOTE}`)
    expect(error.name).toBe('QuotaExceededError')
  })

  it('says it in an error that cannot be extended', async () => {
    const error = Object.preventExtensions(new Error('sealed'))
    await thrownBy(error)
    expect(error.message).toBe(`sealed${NOTE}`)
  })

  it('leaves a frozen error as it is', async () => {
    const error = Object.freeze(new Error('frozen'))
    const { thrown, writes } = await thrownBy(error)
    expect(thrown).toBe(error)
    expect(error.message).toBe('frozen')
    expect(writes).toBe(6)
  })

  it.each([['a text'], [undefined], [null], [Object.freeze({ status: 503 })]])(
    'throws %s as it is, if the store throws that',
    async (value) => {
      const { thrown, writes } = await thrownBy(value)
      expect(thrown).toBe(value)
      expect(writes).toBe(6)
    },
  )

  it('throws the last error', async () => {
    const errors = Array.from({ length: 6 }, (_, index) => new Error(`try ${index}`))
    const down = scripted(...errors.map(fails))
    await expect(down.write()).rejects.toBe(errors[5])
    expect(errors[0]!.message).toBe('try 0')
  })

  it('retries a TypeError that the store itself throws, as fetch does without a network', async () => {
    const { thrown, writes } = await thrownBy(new TypeError('fetch failed'))
    expect(thrown).toBeInstanceOf(TypeError)
    expect(writes).toBe(6)
    const once = scripted(fails(new TypeError('fetch failed')))
    expect(await once.write()).toBe('written')
  })
})

describe('writeSettled to a store that refuses', () => {
  it('does not retry a KeystrataError', async () => {
    const error = new KeystrataError('policy', 'not on this server')
    const { thrown, writes } = await thrownBy(error)
    expect(thrown).toBe(error)
    expect(error.message).toBe('not on this server')
    expect(writes).toBe(1)
  })

  it('does not retry a mistake in how the store is used', async () => {
    const { writes } = await thrownBy(new StoreMistake('this client is inside a transaction'))
    expect(writes).toBe(1)
  })

  it.each([[{ rowCount: 0 }], [1], [undefined], ['true']])('does not retry the answer %j', async (answer) => {
    const { write, calls } = scripted(async () => answer)
    await expect(write()).rejects.toThrow(/write of the store returned/)
    await expect(write()).resolves.toBe('written')
    expect(calls.write).toBe(2)
  })

  it('does not retry an invalid answer to a read', async () => {
    const { store, calls } = scripted(async () => false)
    const broken = { ...store, readVersion: async () => null as never }
    await expect(writeSettled(new CheckedStore(broken), NAME, 1, mine)).rejects.toThrow(/readVersion.*null/)
    const text = { ...store, read: async () => ({ version: '1', bytes: mine }) as never }
    await expect(writeSettled(new CheckedStore(text), NAME, 2, mine)).rejects.toThrow(/version.*a string/)
    expect(calls.write).toBe(2)
  })
})

describe('readSettled', () => {
  const versions = (...found: readonly (number | undefined)[]): { store: CheckedStore; reads: () => number } => {
    let reads = 0
    const read: StateStore['read'] = async () => {
      const version = found[Math.min(reads++, found.length - 1)]
      return version === undefined ? undefined : { version, bytes: Uint8Array.of(version) }
    }
    return { store: new CheckedStore({ ...memoryStateStore(), read }), reads: () => reads }
  }
  const atLeast =
    (floor: number, code: 'rollback' | 'forked' | 'missing' | 'malformed') => (stored?: { version: number }) => {
      if ((stored?.version ?? 0) < floor) throw new KeystrataError(code)
      return stored!.version
    }

  it('reads once if the read is not late', async () => {
    const { store, reads } = versions(3)
    expect(await readSettled(store, NAME, true, atLeast(3, 'rollback'))).toBe(3)
    expect(reads()).toBe(1)
    expect(waits).toEqual([])
  })

  it.each(['rollback', 'forked'] as const)('reads again after %s, with pauses', async (code) => {
    const { store, reads } = versions(1, 1, 2, 3)
    expect(await readSettled(store, NAME, false, atLeast(3, code))).toBe(3)
    expect(reads()).toBe(4)
    expect(waits.length).toBe(3)
  })

  it.each(['rollback', 'forked'] as const)('throws %s after it has read again five times', async (code) => {
    const { store, reads } = versions(1)
    await failure(() => readSettled(store, NAME, false, atLeast(3, code)), code)
    expect(reads()).toBe(6)
  })

  it('reads an object again that must be there', async () => {
    const there = versions(undefined, undefined, 1)
    expect(await readSettled(there.store, NAME, true, atLeast(1, 'missing'))).toBe(1)
    const absent = versions(undefined)
    await failure(() => readSettled(absent.store, NAME, true, atLeast(1, 'missing')), 'missing')
    expect(absent.reads()).toBe(6)
  })

  it('reads an object once that may be missing', async () => {
    const { store, reads } = versions(undefined, 1)
    await failure(() => readSettled(store, NAME, false, atLeast(1, 'missing')), 'missing')
    expect(reads()).toBe(1)
  })

  it('throws other errors at once', async () => {
    const { store, reads } = versions(1, 2)
    await failure(() => readSettled(store, NAME, true, atLeast(2, 'malformed')), 'malformed')
    const error = new TypeError('a mistake in the caller')
    const fail = () => {
      throw error
    }
    await expect(readSettled(store, NAME, true, fail)).rejects.toBe(error)
    expect(reads()).toBe(2)
  })

  it("throws the store's own error at once", async () => {
    const store = new CheckedStore({ ...memoryStateStore(), read: fails(lost) as never })
    await expect(readSettled(store, NAME, true, () => 1)).rejects.toBe(lost)
  })
})
