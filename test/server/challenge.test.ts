// Challenges: who issued them, when they are valid, and that each is accepted once. Also the key of the registry.
import { createHash, createHmac } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Client, deriveClient } from '../../src/client.ts'
import { encodeEnrolment, encodeProof } from '../../src/client/proof.ts'
import { KeystrataError } from '../../src/index.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { claimantOf, failure, flipped, hex, patched, quickly, sample } from '../fixtures.ts'
import { commitFor, connectTo, enrolIn, OWN, rowName, WatchedStore } from '../registry-fixtures.ts'

const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const ACME = { account: 'acme' }
const NOW = Date.UTC(2030, 0, 1)
const MINUTE = 60_000

const make = (text = 'desktop', more: object = {}): Promise<Client> =>
  quickly(() => deriveClient({ ...NAMES, privateKey: { type: 'AES-256', text }, ...more }))
const desktop = await make()
const changed = await make('another')
const stranger = await make('stranger', { account: 'nobody' })
const elsewhere = await make('desktop', { realm: 'elsewhere' })

const registryOn = (store: WatchedStore, more: { realm?: string; server?: string } = {}) =>
  openKeyRegistry(store, { realm: 'tests', ...OWN, ...more })
function newRegistry() {
  const store = new WatchedStore()
  return { store, registry: registryOn(store) }
}

/** Stops the clock, of this server and of the store in memory. */
const stopClock = () => vi.useFakeTimers({ now: NOW, toFake: ['Date'] })

afterEach(() => void vi.useRealTimers())

describe('a challenge', () => {
  it('has the bytes of SPEC §17.1', async () => {
    const { registry, store } = newRegistry()
    stopClock()
    const challenge = Buffer.from(await registry.challenge())
    const key = (await store.read('registry'))!.bytes
    expect(key).toHaveLength(32)
    const header = Buffer.from('4b53545201120000000000010000000000000000', 'hex').subarray(0, 16)
    expect(challenge.subarray(0, 48)).toEqual(Buffer.concat([header, Buffer.alloc(32)]))
    expect(challenge.subarray(48, 66).toString('latin1')).toBe('\0\x05tests\0\x09storage-1')
    expect(challenge.readBigUInt64BE(66 + 32)).toBe(BigInt(NOW))
    const mac = createHmac('sha256', key).update(challenge.subarray(0, -32)).digest()
    expect(challenge.subarray(66 + 40)).toEqual(mac)
  })

  it('costs no row, and no request after the first', async () => {
    const { registry, store } = newRegistry()
    await registry.challenge()
    const { reads } = store
    expect(store.writes).toEqual(['registry'])
    const all = await Promise.all(Array.from({ length: 100 }, () => registry.challenge()))
    expect(new Set(all.map(hex)).size).toBe(100)
    expect([store.reads, store.writes, store.taken]).toEqual([reads, ['registry'], []])
  })

  it('can be answered once', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const challenge = await registry.challenge()
    const proof = desktop.prove(challenge, OWN)
    await registry.connect(proof)
    const { key, until } = store.taken.at(-1)!
    expect(key).toBe(createHash('sha256').update(challenge).digest('hex'))
    expect(until.getTime()).toBe(Number(Buffer.from(challenge).readBigUInt64BE(66 + 32)) + 10 * MINUTE)
    await failure(() => registry.connect(proof), 'expired')
    // Another proof with the same challenge, another server over the same store, and an enrolment.
    await failure(() => registry.connect(desktop.prove(challenge, OWN)), 'expired')
    await failure(() => registryOn(store).connect(proof), 'expired')
    await failure(() => registry.enrol(desktop.enrolment(challenge, OWN), ACME), 'expired')
  })

  it('is taken by an enrolment too, which so cannot be replayed', async () => {
    const { registry } = newRegistry()
    const enrolment = desktop.enrolment(await registry.challenge(), OWN)
    await registry.enrol(enrolment, ACME)
    await enrolIn(registry, changed)
    // Whoever saw the first enrolment could otherwise put the old key back.
    await failure(() => registry.enrol(enrolment, ACME), 'expired')
    await connectTo(registry, changed)
  })

  it('is accepted once of many answers at the same time, by two servers', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const proof = desktop.prove(await registry.challenge(), OWN)
    const servers = [registry, registryOn(store)]
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => servers[index % 2]!.connect(proof)),
    )
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('is not taken by a client that is refused', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    await commitFor(registry, desktop)
    const [taken, writes] = [store.taken.length, store.writes.length]
    const challenge = await registry.challenge()
    await failure(() => registry.connect(changed.prove(challenge, OWN)), 'key-changed')
    await failure(() => registry.connect(stranger.prove(challenge, OWN)), 'key-not-found')
    await failure(() => registry.enrol(changed.enrolment(challenge, OWN), ACME), 'key-changed')
    await failure(() => registry.enrol(desktop.enrolment(challenge, OWN), { account: 'nobody' }), 'policy')
    await failure(() => registry.connect(flipped(desktop.prove(challenge, OWN), 200)), 'authentication-failed')
    expect([store.taken.length, store.writes.length]).toEqual([taken, writes])
    await registry.connect(desktop.prove(challenge, OWN))
  })

  it('costs no row for an unknown client that asks in a loop', async () => {
    const { registry, store } = newRegistry()
    await registry.challenge()
    for (let round = 0; round < 200; round++) {
      await failure(async () => connectTo(registry, stranger), 'key-not-found')
    }
    expect([store.writes, store.taken]).toEqual([['registry'], []])
  })

  it('must be from this registry, realm and server', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const challenge = await registry.challenge()
    // A client that knows whom it talks to refuses, for an enrolment as for a proof.
    for (const action of [
      () => desktop.prove(challenge, { server: 'evil' }),
      () => desktop.enrolment(challenge, { server: 'evil' }),
      () => elsewhere.prove(challenge, OWN),
      () => elsewhere.enrolment(challenge, OWN),
    ]) {
      await failure(action, 'authentication-failed')
    }
    const proof = desktop.prove(challenge, OWN)
    const enrolment = desktop.enrolment(challenge, OWN)
    for (const other of [
      registryOn(store, { server: 'storage-2' }),
      registryOn(store, { realm: 'elsewhere' }),
      // The same names, with another key.
      registryOn(new WatchedStore()),
    ]) {
      await failure(() => other.connect(proof), 'authentication-failed')
      await failure(() => other.enrol(enrolment, ACME), 'authentication-failed')
    }
    // One that nobody issued.
    const made = patched(challenge, challenge.length - 32, sample(32))
    await failure(() => registry.connect(desktop.prove(made, OWN)), 'authentication-failed')
    await failure(() => registry.enrol(desktop.enrolment(made, OWN), ACME), 'authentication-failed')
    await registry.connect(proof)
  })

  it('of another realm than the enrolment is refused', async () => {
    const { registry } = newRegistry()
    // A client that does not check what it is given, as an attacker may write one.
    const enrolment = encodeEnrolment(claimantOf(elsewhere), await registry.challenge())
    await failure(() => registry.enrol(enrolment, ACME), 'authentication-failed')
  })

  it('with any byte changed is refused, also if the client signs it', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const taken = store.taken.length
    const challenge = await registry.challenge()
    const codes = ['authentication-failed', 'malformed', 'unsupported'] as const
    for (let index = 0; index < challenge.length; index++) {
      const altered = flipped(challenge, index, index % 8)
      await failure(() => registry.connect(encodeProof(claimantOf(desktop), altered)), ...codes)
      await failure(() => registry.enrol(encodeEnrolment(claimantOf(desktop), altered), ACME), ...codes)
    }
    for (const odd of [challenge.subarray(1), challenge.subarray(0, -1), patched(challenge, 8, [0, 0, 0, 0])]) {
      await failure(() => registry.connect(encodeProof(claimantOf(desktop), odd)), 'malformed', 'unsupported')
      await failure(async () => desktop.prove(odd, OWN), 'malformed', 'unsupported')
    }
    expect(store.taken).toHaveLength(taken)
  })

  it('needs the name of the server', async () => {
    const { registry } = newRegistry()
    const challenge = await registry.challenge()
    for (const options of [undefined, {}, { server: undefined }]) {
      expect(() => desktop.prove(challenge, options as never)).toThrow('prove needs { server }')
      expect(() => desktop.enrolment(challenge, options as never)).toThrow(TypeError)
    }
  })
})

describe('the clock', () => {
  it('lets a challenge be answered for 60 seconds from its date', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    stopClock()
    const [early, late, enrolment] = [
      await registry.challenge(),
      await registry.challenge(),
      await registry.challenge(),
    ]
    vi.setSystemTime(NOW + MINUTE - 1)
    await registry.connect(desktop.prove(early, OWN))
    vi.setSystemTime(NOW + MINUTE)
    const error = await failure(() => registry.connect(desktop.prove(late, OWN)), 'expired')
    expect(error.detail).toEqual({ object: 'challenge', date: '2030-01-01T00:00:00.000Z' })
    await failure(() => registry.enrol(desktop.enrolment(enrolment, OWN), ACME), 'expired')
  })

  it('of another server may be up to 5 minutes ahead', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    stopClock()
    vi.setSystemTime(NOW + 5 * MINUTE)
    const ahead = await registry.challenge()
    vi.setSystemTime(NOW - 1)
    const error = await failure(() => registry.connect(desktop.prove(ahead, OWN)), 'expired')
    expect(error.message).toContain('more than 5 minutes ahead')
    vi.setSystemTime(NOW)
    await registry.connect(desktop.prove(ahead, OWN))
  })

  it('before 1970 issues a challenge that is expired soon, not one that cannot be encoded', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    stopClock()
    vi.setSystemTime(-5)
    await registry.connect(desktop.prove(await registry.challenge(), OWN))
  })

  it('may jump in any way: no challenge is accepted twice while the store’s clock is right within 9 minutes', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    stopClock()
    // The store has its own clock, which is ahead. Its key lives until 10 minutes after the date.
    let ahead = 0
    const seen: Map<string, number> = new Map()
    store.changed.once = async (key, until) => {
      for (const [each, end] of seen) if (end <= Date.now() + ahead) seen.delete(each)
      if (seen.has(key)) return false
      seen.set(key, until.getTime())
      return true
    }
    const accepts = async (proof: Uint8Array) => {
      try {
        await registry.connect(proof)
        return true
      } catch (error) {
        expect((error as KeystrataError).code).toBe('expired')
        return false
      }
    }
    for (ahead of [0, 5 * MINUTE, 9 * MINUTE]) {
      // The server issues with a clock that is wrong by `wrong`, and is set right in between.
      for (const wrong of [-60 * MINUTE, -6 * MINUTE, 0, 4 * MINUTE, 5 * MINUTE, 20 * MINUTE]) {
        vi.setSystemTime(NOW + wrong)
        const proof = desktop.prove(await registry.challenge(), OWN)
        let accepted = (await accepts(proof)) ? 1 : 0
        for (const minutes of [-60, -10, -5, 0, 0.5, 0.9, 4, 5, 5.9, 9, 10, 15, 20, 20.9, 25, 30, 35]) {
          vi.setSystemTime(NOW + minutes * MINUTE)
          if (await accepts(proof)) accepted++
        }
        expect(accepted, `wrong by ${wrong}, store ahead by ${ahead}`).toBe(1)
      }
    }
    // The bound is real: a store that is further ahead forgets too early.
    ahead = 9 * MINUTE
    vi.setSystemTime(NOW)
    const proof = desktop.prove(await registry.challenge(), OWN)
    vi.setSystemTime(NOW + MINUTE - 1)
    expect([await accepts(proof), await accepts(proof)]).toEqual([true, false])
    ahead += 1
    expect(await accepts(proof)).toBe(true)
  })

  it('is looked at again after the store has remembered the challenge', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    stopClock()
    for (const answer of [
      (challenge: Uint8Array) => registry.connect(desktop.prove(challenge, OWN)),
      (challenge: Uint8Array) => registry.enrol(desktop.enrolment(challenge, OWN), ACME),
    ]) {
      vi.setSystemTime(NOW)
      const challenge = await registry.challenge()
      store.changed.once = async (...given) => {
        vi.setSystemTime(NOW + MINUTE)
        return store.inner.once(...given)
      }
      const [writes, taken] = [store.writes.length, store.taken.length]
      await failure(() => answer(challenge), 'expired')
      expect([store.writes.length, store.taken.length]).toEqual([writes, taken + 1])
    }
  })
})

describe('the store’s method once', () => {
  it.each([undefined, null, 1, 'true', { rowCount: 1 }])(
    'must answer true or false: %j is a TypeError',
    async (odd) => {
      const { registry, store } = newRegistry()
      await enrolIn(registry, desktop)
      store.changed.once = async () => odd as never
      await expect(connectTo(registry, desktop)).rejects.toThrow(TypeError)
      await expect(connectTo(registry, desktop)).rejects.toThrow('once of the store returned')
      const writes = store.writes.length
      await expect(enrolIn(registry, changed)).rejects.toThrow(TypeError)
      expect(store.writes).toHaveLength(writes)
    },
  )

  it('that throws refuses the answer, which may then be used up', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const proof = desktop.prove(await registry.challenge(), OWN)
    store.changed.once = async (...given) => {
      await store.inner.once(...given)
      throw new Error('the answer was lost')
    }
    const { length } = store.taken
    await expect(registry.connect(proof)).rejects.toThrow('the answer was lost')
    // It is not called again: a second call would be told that it is not the first.
    expect(store.taken).toHaveLength(length + 1)
    store.changed = {}
    await failure(() => registry.connect(proof), 'expired')
    await connectTo(registry, desktop)
  })

  it('is called one time for an enrolment, however often the row is written', async () => {
    const { registry, store } = newRegistry()
    await registry.challenge()
    let refusals = 3
    store.changed.write = async (name, version, bytes) => {
      if (refusals-- <= 0) return store.inner.write(name, version, bytes)
      // Another server was quicker.
      await store.inner.write(name, version, (await store.inner.read(name))?.bytes ?? EMPTY_ROW)
      return false
    }
    await enrolIn(registry, desktop)
    expect(store.writes.filter((name) => name === rowName('acme'))).toHaveLength(4)
    expect(store.taken).toHaveLength(1)
  })

  it('must be there', () => {
    const { read, readVersion, write, drop } = new WatchedStore().inner
    expect(() => openKeyRegistry({ read, readVersion, write, drop } as never, { realm: 'tests', ...OWN })).toThrow(
      'this is not a RegistryStore: it has no method once',
    )
    expect(() => openKeyRegistry({} as never, { realm: 'tests', ...OWN })).toThrow('it has no method read')
  })
})

/** The row of an account without clients. */
const EMPTY_ROW = Uint8Array.of(1, 0, 0, 0)

describe('the key of a registry', () => {
  it('is created once by many servers that start at the same time', async () => {
    const store = new WatchedStore()
    const servers = Array.from({ length: 5 }, () => registryOn(store))
    const challenges = await Promise.all(servers.map((each) => each.challenge()))
    await enrolIn(servers[0]!, desktop)
    for (const [index, challenge] of challenges.entries()) {
      await servers[(index + 1) % 5]!.connect(desktop.prove(challenge, OWN))
    }
    expect(await store.kept('registry')).toEqual([1])
  })

  it('is created by a store that loses answers, and whose reads are late', async () => {
    const store = new WatchedStore()
    let writes = 0
    store.changed.write = async (...given) => {
      const answer = await store.inner.write(...given)
      if (given[0] === 'registry' && writes++ === 0) throw new Error('the answer was lost')
      return answer
    }
    let late = 4
    store.changed.read = async (name) => (name === 'registry' && late-- > 0 ? undefined : store.inner.read(name))
    const first = registryOn(store)
    const challenge = await first.challenge()
    late = 4
    const second = registryOn(store)
    await enrolIn(second, desktop)
    await second.connect(desktop.prove(challenge, OWN))
    expect(await store.kept('registry')).toEqual([1])
  })

  it('is asked for again after an error of the store', async () => {
    const { registry, store } = newRegistry()
    store.changed.read = async () => {
      throw new Error('the database is down')
    }
    await expect(registry.challenge()).rejects.toThrow('the database is down')
    store.changed = {}
    await registry.challenge()
  })

  it('is never made up if the store neither takes nor returns one', async () => {
    const { registry, store } = newRegistry()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    store.changed = { read: async () => undefined, readVersion: async () => undefined, write: async () => false }
    const refused = failure(() => registry.challenge(), 'conflict')
    await vi.runAllTimersAsync()
    expect((await refused).detail).toEqual({ tries: 16 })
  })

  it.each([0, 31, 33])('of %i bytes is damaged, which is a plain Error', async (length) => {
    const { registry, store } = newRegistry()
    await store.write('registry', 1, sample(length))
    for (const action of [() => registry.challenge(), () => connectTo(registry, desktop)]) {
      await expect(action()).rejects.toThrow('the key of the registry is damaged')
      await expect(action()).rejects.not.toBeInstanceOf(KeystrataError)
    }
    // What the documentation says about replacing it.
    await store.write('registry', 2, sample(32))
    await store.drop('registry', 2)
    await enrolIn(registry, desktop)
    await connectTo(registry, desktop)
  })

  it('that was replaced is used by servers that start after that', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const old = await registry.challenge()
    await store.write('registry', 2, sample(32))
    const restarted = registryOn(store)
    await failure(() => restarted.connect(desktop.prove(old, OWN)), 'authentication-failed')
    await connectTo(restarted, desktop)
  })
})
