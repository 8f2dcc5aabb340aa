// Tests the exchange of shares through a service: the demo itself, and a dishonest service.
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { exchange } from '../../examples/exchange.ts'
import { ExchangeClient } from '../../examples/exchange-client.ts'
import { cardsName, createService, invitesName, type PublishedCard } from '../../examples/exchange-service.ts'
import { sha256, writeNext } from '../../examples/backup-store.ts'
import { type Card, parseCard } from '../../src/index.ts'
import { type StateStore } from '../../src/stores.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { CHEAP, failure, flipped, makeKeyset, quick, sample } from '../fixtures.ts'

const database = new PGlite()
const state = postgresStateStore(database)
let server: Server
let url = ''
let carol: ExchangeClient
let dave: ExchangeClient

beforeAll(async () => {
  useBackend(quick)
  await database.exec(postgresSchema())
  server = createService(state).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const name of ['carol', 'dave']) await ExchangeClient.signUp(url, name, `password of ${name}`)
  carol = await ExchangeClient.logIn(url, 'carol', 'password of carol')
  dave = await ExchangeClient.logIn(url, 'dave', 'password of dave')
})
afterAll(async () => {
  useBackend(undefined)
  server.close()
  server.closeAllConnections()
  await database.close()
})

const jsonOf = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString())

async function newestOf(store: StateStore, name: string): Promise<Buffer> {
  return Buffer.from((await store.read(name))!.bytes)
}

/** Changes the cards of a user, as only the service can. */
async function setCards(user: string, cards: Record<string, Card>): Promise<void> {
  const published: PublishedCard[] = Object.entries(cards).map(([client, { bytes }]) => ({
    client,
    card: Buffer.from(bytes).toString('base64'),
  }))
  await writeNext(state, cardsName(user), () => Buffer.from(JSON.stringify(published)))
}

it('two users with three clients exchange one share', async () => {
  const lines = vi.spyOn(console, 'log').mockReturnValue()
  const own = new PGlite()
  await own.exec(postgresSchema())
  const stored = postgresStateStore(own)
  await exchange(stored, CHEAP)
  expect(lines).toHaveBeenCalledTimes(7)
  lines.mockRestore()
  // The service has only password hashes, cards and invites.
  const names = (await own.query('SELECT name FROM keystrata_head')).rows as { name: string }[]
  expect(names.map(({ name }) => name.split('/')[0]).sort()).toEqual([
    ...['cards', 'cards', 'invites', 'invites', 'person', 'person'],
  ])
  const bytesIn = (text: string) => Buffer.from(text, 'base64')
  for (const [user, clients] of [
    ['alice', ['alice-desktop']],
    ['bob', ['bob-laptop', 'bob-phone']],
  ] as const) {
    expect((await newestOf(stored, `person/${sha256(user)}`)).toString()).toMatch(/^\$argon2id\$/)
    const cards = jsonOf(await newestOf(stored, cardsName(user))) as PublishedCard[]
    expect(cards.map(({ client, card }) => [client, parseCard(bytesIn(card)).bytes.length])).toEqual(
      clients.map((client) => [client, 1776]),
    )
  }
  for (const client of ['bob-laptop', 'bob-phone']) {
    const sent = jsonOf(await newestOf(stored, invitesName('bob', client))) as { from: string; invite: string }
    expect([sent.from, bytesIn(sent.invite).length]).toEqual(['alice', 3530])
  }
  await own.close()
})

describe('a dishonest service', () => {
  it('is detected if it swaps a card, by the pinned fingerprint', async () => {
    const [daves, mallorys] = [(await makeKeyset()).card(), (await makeKeyset()).card()]
    await dave.publishCard('phone', daves)
    const told = { phone: daves.fingerprint }
    expect((await carol.cardsOf('dave', told)).map(({ card }) => card)).toEqual([daves])
    await setCards('dave', { phone: mallorys })
    await failure(() => carol.cardsOf('dave', told), 'key-changed')
    // A client that Dave did not name is ignored.
    await setCards('dave', { phone: daves, planted: mallorys })
    expect((await carol.cardsOf('dave', told)).map(({ client }) => client)).toEqual(['phone'])
  })

  it('cannot pass off an invite for another card, from another sender, or with random bytes', async () => {
    const [erin, frank, mallory] = [await makeKeyset(), await makeKeyset(), await makeKeyset()]
    await dave.publishCard('tablet', frank.card())
    const pinned: Card = parseCard(erin.card().bytes, { fingerprint: erin.card().fingerprint })
    await carol.sendInvite('dave', 'tablet', erin.createShare().share.invite(mallory.card()))
    await carol.sendInvite('dave', 'tablet', mallory.createShare().share.invite(frank.card()))
    await carol.sendInvite('dave', 'tablet', sample(3530))
    const received = await dave.invitesFor('tablet')
    expect(received.map(({ from }) => from)).toEqual(['carol', 'carol', 'carol'])
    const codes = ['key-not-found', 'authentication-failed', 'malformed'] as const
    for (const [index, { invite }] of received.entries()) {
      await failure(() => frank.acceptShare(invite, pinned), codes[index]!)
    }
  })
})

describe('the service', () => {
  it('keeps every card and every invite that arrives at the same time', async () => {
    const clients = ['one', 'two', 'three', 'four']
    const card = (await makeKeyset()).card()
    const offers = [...clients, 'one']
    const published = await Promise.allSettled(offers.map((client) => carol.publishCard(client, card)))
    expect(published.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
    const told = Object.fromEntries(clients.map((client) => [client, card.fingerprint]))
    expect((await dave.cardsOf('carol', told)).map(({ client }) => client).sort()).toEqual([...clients].sort())
    await Promise.all(clients.map((_, index) => dave.sendInvite('carol', 'one', sample(10, index))))
    expect(await carol.invitesFor('one')).toHaveLength(4)
  })

  it('requires a login, and refuses invalid cards and requests', async () => {
    await expect(ExchangeClient.signUp(url, 'carol', 'x')).rejects.toThrow('that name is already taken')
    await expect(ExchangeClient.logIn(url, 'carol', 'x')).rejects.toThrow('wrong name or password')
    await expect(ExchangeClient.logIn(url, 'nobody', 'x')).rejects.toThrow('wrong name or password')
    const card = (await makeKeyset()).card()
    const damaged = { ...card, bytes: flipped(card.bytes, 100) }
    await expect(carol.publishCard('phone', damaged)).rejects.toThrow('invalid card')
    await carol.publishCard('phone', card)
    await expect(carol.publishCard('phone', card)).rejects.toThrow('this client already has a card')
    await expect(carol.sendInvite('carol', 'tablet', sample(10))).rejects.toThrow('no such client')
    await expect(carol.sendInvite('carol', 'phone', sample(20_000))).rejects.toThrow('too large')
    const status = async (path: string, init?: RequestInit) => (await fetch(url + path, init)).status
    expect(await status('/cards/carol')).toBe(401)
    expect(await status('/invites/phone', { headers: { authorization: 'Bearer x' } })).toBe(401)
    expect(await status('/nothing')).toBe(404)
    expect(await status('/cards/%E0%A4%A')).toBe(404)
    expect(await status('/users', { method: 'POST', body: '{' })).toBe(400)
  })
})
