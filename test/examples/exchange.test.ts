// Tests the exchange of shares through a service: the demo itself, and a dishonest service.
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { exchange } from '../../examples/exchange.ts'
import { ExchangeClient } from '../../examples/exchange-client.ts'
import { createService, createTables } from '../../examples/exchange-service.ts'
import { type Card, parseCard } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { CHEAP, failure, makeKeyset, quick, sample } from '../fixtures.ts'

const database = new PGlite()
let server: Server
let url = ''
let carol: ExchangeClient
let dave: ExchangeClient

beforeAll(async () => {
  useBackend(quick)
  await createTables(database)
  server = createService(database).listen(0, '127.0.0.1')
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

it('two users with three clients exchange one share', async () => {
  const lines = vi.spyOn(console, 'log').mockReturnValue()
  const own = new PGlite()
  await exchange(own, CHEAP)
  expect(lines).toHaveBeenCalledTimes(7)
  lines.mockRestore()
  // The service has only password hashes, cards and invites.
  const rows = async (statement: string) => (await own.query(statement)).rows
  const people = (await rows('SELECT password FROM person')) as { password: string }[]
  expect(people.map(({ password }) => password.slice(0, 10))).toEqual(['$argon2id$', '$argon2id$'])
  const cards = (await rows('SELECT card FROM card')) as { card: Uint8Array }[]
  expect(cards.map(({ card }) => parseCard(card).bytes.length)).toEqual([1776, 1776, 1776])
  const invites = (await rows('SELECT invite FROM invite')) as { invite: Uint8Array }[]
  expect(invites.map(({ invite }) => invite.length)).toEqual([3530, 3530])
  await own.close()
})

describe('a dishonest service', () => {
  it('is detected if it swaps a card, by the pinned fingerprint', async () => {
    const [daves, mallorys] = [(await makeKeyset()).card(), (await makeKeyset()).card()]
    await dave.publishCard('phone', daves)
    const told = { phone: daves.fingerprint }
    expect((await carol.cardsOf('dave', told)).map(({ card }) => card)).toEqual([daves])
    await database.query(`UPDATE card SET card = $1 WHERE owner = 'dave'`, [mallorys.bytes])
    await failure(() => carol.cardsOf('dave', told), 'key-changed')
    // A client that Dave did not name is ignored.
    await database.query(`UPDATE card SET card = $1 WHERE owner = 'dave'`, [daves.bytes])
    await database.query(`INSERT INTO card VALUES ('dave', 'planted', $1)`, [mallorys.bytes])
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
  it('requires a login, and refuses invalid cards and requests', async () => {
    await expect(ExchangeClient.signUp(url, 'carol', 'x')).rejects.toThrow('that name is already taken')
    await expect(ExchangeClient.logIn(url, 'carol', 'x')).rejects.toThrow('wrong name or password')
    await expect(ExchangeClient.logIn(url, 'nobody', 'x')).rejects.toThrow('wrong name or password')
    const card = (await makeKeyset()).card()
    const damaged = { ...card, bytes: new Uint8Array(card.bytes).fill(7, 100, 101) }
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
