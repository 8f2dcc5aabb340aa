import { KeystrataError } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { arrivedError, arrivedKeys, moveError, moveKeys } from '../../src/pool/messages.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { createPool } from '../../src/pool.ts'
import { makeKeyset, sample } from '../fixtures.ts'

describe('between threads', () => {
  it.each([
    new KeystrataError('policy', 'not so', { rule: 'all-keys' }),
    new TypeError('no block'),
    new RangeError('no number'),
    new Error('the disk is gone'),
  ])('an error keeps its class, code and message: %s', (error) => {
    const arrived = arrivedError(structuredClone(moveError(error)))
    expect([arrived.constructor, arrived.message]).toEqual([error.constructor, error.message])
    if (error instanceof KeystrataError) expect(arrived).toMatchObject({ code: error.code, detail: error.detail })
  })

  it('a thrown value that is not an error becomes one', () => {
    expect(arrivedError(moveError('lost')).message).toBe('lost')
  })

  it('keys are transferred, and everything else is copied', () => {
    const more = [1, 'text', null, undefined, true]
    const recipe = { kind: 'vault' as const, id: sample(16), dataKey: new SecretKey('data', sample(32)) }
    const moved: ArrayBuffer[] = []
    const sent = moveKeys({ ...recipe, more }, moved)
    const message: unknown = structuredClone(sent, { transfer: moved })
    expect(moved.map(({ byteLength }) => byteLength)).toEqual([0])
    const arrived = arrivedKeys(message) as typeof recipe & { more: unknown[] }
    expect([arrived.kind, arrived.id, arrived.more]).toEqual(['vault', recipe.id, more])
    const bytesOf = (key: SecretKey<'data'>) => withBytes(key, (bytes) => new Uint8Array(bytes))
    expect([arrived.dataKey.role, bytesOf(arrived.dataKey)]).toEqual(['data', sample(32)])
    expect(bytesOf(recipe.dataKey)).toEqual(sample(32))
    // The bytes that arrived are wiped once they are a key again.
    expect((message as { dataKey: { bytes: Uint8Array } }).dataKey.bytes).toEqual(new Uint8Array(32))
  })
})

describe('a worker that sends something other than a reply', async () => {
  const keyset = await makeKeyset()
  type Listener = (event: { data: unknown }) => void

  /** Returns a function that starts workers, and how many it has started and ended. They send these messages to each task. */
  const workers = (first: unknown, reply: (id: number) => unknown) => {
    const counts = { started: 0, ended: 0 }
    const start = () => {
      counts.started++
      const listeners: Listener[] = []
      const send = (data: unknown) => {
        setTimeout(() => {
          for (const listener of listeners) listener({ data })
        })
      }
      if (first !== undefined) send(first)
      return {
        postMessage({ id }: { id: number }) {
          send(reply(id))
        },
        addEventListener(type: string, listener: Listener) {
          if (type === 'message') listeners.push(listener)
        },
        terminate() {
          counts.ended++
        },
      }
    }
    return { counts, start }
  }

  const junk: [string, (id: number) => unknown][] = [
    ['null', () => null],
    ['undefined', () => undefined],
    ['a text', () => 'done'],
    ['a number', (id) => id],
    ['an empty object', () => ({})],
    ['an id alone', (id) => ({ id })],
    ['the id of another task', (id) => ({ id: id + 100, value: 1 })],
    ['an id that is a text', (id) => ({ id: String(id), value: 1 })],
    ['an error that is null', (id) => ({ id, error: null })],
    ['an error without a message', (id) => ({ id, error: { name: 'Error' } })],
  ]

  it.each(junk)('has died, and is replaced: %s', async (_, reply) => {
    const { counts, start } = workers({ ready: true }, reply)
    const pool = createPool({ threads: 1, worker: start as never })
    for (const started of [1, 2]) {
      const failed = await pool
        .writer(keyset)
        .seal(sample(3))
        .catch((error: unknown) => error as Error)
      expect(failed).toMatchObject({ message: expect.stringContaining('a worker of the pool died') as string })
      expect((failed as Error).cause).toMatchObject({ code: 'malformed', detail: { object: 'reply of a worker' } })
      expect(counts).toEqual({ started, ended: started })
    }
    await pool.close()
  })

  it('could not start, if that is its first message', async () => {
    const { counts, start } = workers('hello', () => null)
    const pool = createPool({ threads: 1, worker: start as never })
    const sealing = pool.writer(keyset).seal(sample(3))
    await expect(sealing).rejects.toThrow(TypeError)
    await expect(sealing).rejects.toThrow('it sent a message that is not one of the worker of keystrata')
    expect(counts).toEqual({ started: 1, ended: 1 })
    await pool.close()
  })

  it('fails the tasks of a rekeyer, if what it answers for them is no list', async () => {
    const head = await keyset.seal(sample(3))
    const { start } = workers({ ready: true }, (id) => ({ id, value: null }))
    const pool = createPool({ threads: 1, worker: start as never })
    await expect(pool.rekeyer(keyset).rekey(head)).rejects.toThrow()
    await pool.close()
  })
})
