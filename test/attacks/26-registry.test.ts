// Row 26. The attacker watches or carries what clients send to a storage server, asks it as anybody can, may read its
// database, or run another server of the same registry. They do not have the client's keys.
import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Client, deriveClient } from '../../src/client.ts'
import { storedChallenge, type StoredChallenge } from '../../src/client/layout.ts'
import { claimHeader, encodeEnrolment, encodeProof } from '../../src/client/proof.ts'
import { utf8 } from '../../src/core/bytes.ts'
import { decode, encode } from '../../src/core/codec.ts'
import { ObjectType } from '../../src/core/header.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { claimantOf, failure, quickly, sample } from '../fixtures.ts'
import { commitFor, connectTo, depositIn, enrolIn, OWN, rowName, WatchedStore } from '../registry-fixtures.ts'

const MINUTE = 60_000
const ACME = { account: 'acme' }
const make = (text: string, more: object = {}): Promise<Client> =>
  quickly(() =>
    deriveClient({
      ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
      privateKey: { type: 'AES-256', text },
      ...more,
    }),
  )
const old = await make('the first key')
const victim = await make('the right key')
const thief = await make('a guess')
const stranger = await make('x', { account: 'nobody' })

function newRegistry(store = new WatchedStore()) {
  return { store, registry: openKeyRegistry(store, { realm: 'tests', ...OWN, safeguarding: 'optional' }) }
}

/** Mints a challenge, as somebody could who has the registry's key. */
function mint(key: Uint8Array, more: Partial<StoredChallenge> = {}): Uint8Array {
  const body = {
    headerBytes: claimHeader(ObjectType.challenge),
    ...{ realm: utf8('tests'), server: utf8('storage-1'), random: sample(32), date: Date.now() },
    ...more,
  }
  const message = encode(storedChallenge, { ...body, mac: new Uint8Array(32) }).subarray(0, -32)
  return encode(storedChallenge, { ...body, mac: createHmac('sha256', key).update(message).digest() })
}

afterEach(() => void vi.useRealTimers())

describe('a witness of enrolments wants an old key back, or a client that was removed', () => {
  it('replays an enrolment, within its minute and after it', async () => {
    const { registry } = newRegistry()
    const seen = old.enrolment(await registry.challenge(), OWN)
    await registry.enrol(seen, ACME)
    await enrolIn(registry, victim)
    await failure(() => registry.enrol(seen, ACME), 'expired')
    await connectTo(registry, victim)
    await registry.removeClient({ account: 'acme', name: 'desktop' })
    await failure(() => registry.enrol(seen, ACME), 'expired')
    vi.useFakeTimers({ now: Date.now() + 11 * MINUTE, toFake: ['Date'] })
    await failure(() => registry.enrol(seen, ACME), 'expired')
    expect(await registry.listClients('acme')).toEqual([])
  })

  it('keeps back an enrolment that the server never got, until the client has another key', async () => {
    const { registry } = newRegistry()
    const kept = old.enrolment(await registry.challenge(), OWN)
    await enrolIn(registry, victim)
    vi.useFakeTimers({ now: Date.now() + MINUTE, toFake: ['Date'] })
    await failure(() => registry.enrol(kept, ACME), 'expired')
    await connectTo(registry, victim)
  })

  it('moves the challenge of one enrolment to another', async () => {
    const { registry } = newRegistry()
    const spent = old.enrolment(await registry.challenge(), OWN)
    await registry.enrol(spent, ACME)
    const fresh = await registry.challenge()
    const length = fresh.length
    const moved = new Uint8Array(spent)
    moved.set(fresh, 50)
    expect(decode(storedChallenge, moved.subarray(50, 50 + length), 'challenge').random).toEqual(
      decode(storedChallenge, fresh, 'challenge').random,
    )
    await failure(() => registry.enrol(moved, ACME), 'authentication-failed')
  })
})

describe('a stranger wants to fill the database', () => {
  it('asks for challenges, and sends proofs and enrolments that break a rule', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, victim)
    await commitFor(registry, victim)
    const before = [store.writes.length, store.taken.length]
    for (let round = 0; round < 30; round++) {
      await failure(() => connectTo(registry, stranger), 'key-not-found')
      await failure(() => connectTo(registry, thief), 'key-changed')
      await failure(() => enrolIn(registry, thief), 'key-changed')
      const foreign = stranger.enrolment(await registry.challenge(), OWN)
      await failure(() => registry.enrol(foreign, ACME), 'policy')
      const made = encodeProof(claimantOf(victim), sample(200, round))
      await failure(() => registry.connect(made), 'malformed')
    }
    expect([store.writes.length, store.taken.length]).toEqual(before)
  })

  it('sends the same valid proof again and again: the store remembers one key', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, victim)
    const proof = victim.prove(await registry.challenge(), OWN)
    await registry.connect(proof)
    for (let round = 0; round < 20; round++) await failure(() => registry.connect(proof), 'expired')
    expect(new Set(store.taken.map(({ key }) => key)).size).toBe(2)
  })
})

describe('somebody who can read the registry’s key mints challenges', () => {
  const stolen = async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, victim)
    return { registry, store, key: (await store.read('registry'))!.bytes }
  }

  it('and still has no proof of a key that they do not have', async () => {
    const { registry, key } = await stolen()
    const challenge = mint(key)
    await failure(() => registry.connect(encodeProof(claimantOf(thief), challenge)), 'key-changed')
    const proof = victim.prove(await registry.challenge(), OWN)
    const moved = new Uint8Array(proof)
    moved.set(challenge, 50)
    await failure(() => registry.connect(moved), 'authentication-failed')
  })

  it('collects a proof for later from a client that they pose to as its server, until the key is replaced', async () => {
    const { registry, store, key } = await stolen()
    const later = Date.now() + 24 * 60 * MINUTE
    const proof = victim.prove(mint(key, { date: later }), OWN)
    await failure(() => registry.connect(proof), 'expired')
    vi.useFakeTimers({ now: later, toFake: ['Date'] })
    // What docs/threat-model.md says that they can do: once, at that time.
    await registry.connect(proof)
    await failure(() => registry.connect(proof), 'expired')
    const another = victim.prove(mint(key, { date: later, random: sample(32, 2) }), OWN)
    // What the operator does about it: another key, and a restart.
    await store.write('registry', 2, sample(32, 3))
    await store.drop('registry', 2)
    const restarted = newRegistry(store).registry
    await failure(() => restarted.connect(another), 'authentication-failed')
    await connectTo(restarted, victim)
  })
})

describe('another server of the same registry wants to pose as a client', () => {
  it('forwards the proof that it got, and passes on the challenge of the server that it attacks', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, victim)
    const other = openKeyRegistry(store, { realm: 'tests', server: 'storage-2' })
    const got = victim.prove(await other.challenge(), { server: 'storage-2' })
    await failure(() => registry.connect(got), 'authentication-failed')
    const challenge = await registry.challenge()
    await failure(() => victim.prove(challenge, { server: 'storage-2' }), 'authentication-failed')
    await failure(() => victim.enrolment(challenge, { server: 'storage-2' }), 'authentication-failed')
    // An enrolment is for one server too: it cannot be enrolled at another one by whoever carries it.
    const enrolment = victim.enrolment(await other.challenge(), { server: 'storage-2' })
    await failure(() => registry.enrol(enrolment, ACME), 'authentication-failed')
  })

  it('sends a client of another realm, whose challenge it got honestly', async () => {
    const { registry } = newRegistry()
    const foreign = await make('the right key', { realm: 'elsewhere' })
    const challenge = await registry.challenge()
    const enrolment = encodeEnrolment(claimantOf(foreign), challenge)
    await failure(() => registry.enrol(enrolment, ACME), 'authentication-failed')
  })
})

describe('a thief of a sold or stolen machine wants to go on', () => {
  it('connects, enrols, deposits and commits with its keys after it was removed', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, victim)
    await depositIn(registry, victim)
    const session = await connectTo(registry, victim)
    const deposit = victim.safeguard()
    await registry.removeClient({ account: 'acme', name: 'desktop' })
    await failure(() => connectTo(registry, victim), 'key-not-found')
    await failure(() => registry.commitFirstBackup(session), 'key-not-found')
    await failure(() => registry.safeguard(deposit.escrow, ACME), 'key-not-found')
    // The escrow is in no version of the row.
    const versions = await store.kept(rowName('acme'))
    for (const version of versions) {
      const bytes = (await store.readVersion(rowName('acme'), version))!
      expect(Buffer.from(bytes).includes('KSTR')).toBe(false)
    }
    // The customer sets the machine up anew with another key.
    await enrolIn(registry, old)
    await commitFor(registry, old)
    await failure(() => connectTo(registry, victim), 'key-changed')
    await failure(() => enrolIn(registry, victim), 'key-changed')
  })
})
