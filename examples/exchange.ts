// Two users with three clients exchange a share through a service that neither of them trusts. Run: `npm run exchange`
import {
  type Argon2Costs,
  type Card,
  createKeyset,
  encodeBlock,
  type Keyset,
  openWriter,
  parseBlock,
  type SharedReader,
  unlockKeyset,
} from 'keystrata'
import { PGlite } from '@electric-sql/pglite'
import { ExchangeClient } from './exchange-client.ts'
import { createService, createTables } from './exchange-service.ts'
import { close, listen } from './http.ts'
import { refused } from './refused.ts'
import type { Sql } from './sql-vault-store.ts'
import { say } from './terminal.ts'

/** The storage that both users' clients can read: anything that stores bytes by name. */
type Storage = Map<string, Uint8Array>

/** One client of a user. It has its own keyset, and so its own card. */
interface Device {
  name: string
  keyset: Keyset
}

/**
 * Runs the whole exchange once.
 * @param costs the Argon2id costs of the keysets; by default those of the library
 */
export async function exchange(sql: Sql, costs?: Argon2Costs): Promise<void> {
  await createTables(sql)
  const server = createService(sql)
  try {
    await story(await listen(server), costs === undefined ? {} : { costs })
  } finally {
    await close(server)
  }
}

async function story(url: string, options: { costs?: Argon2Costs }): Promise<void> {
  // Each user signs up once, and each client publishes its own card.
  const alice: Device = { name: 'alice-desktop', keyset: await createKeyset('password of alice', options) }
  const bobs: Device[] = [
    { name: 'bob-laptop', keyset: await createKeyset('password of bob', options) },
    { name: 'bob-phone', keyset: await createKeyset('another password of bob', options) },
  ]
  const aliceOnline = await join(url, 'alice', [alice])
  const bobOnline = await join(url, 'bob', bobs)
  say('alice has published one card, and bob two: one for the laptop and one for the phone')

  // Alice has a backup and shares part of it. Bob has read access to that storage by other means.
  const storage: Storage = new Map()
  const [photo, diary] = [Buffer.from('a photo'), Buffer.from('a diary')]
  const host = openWriter(alice.keyset.export('host'))
  const photoLabel = await put(storage, await host.seal(photo))
  const diaryLabel = await put(storage, await host.seal(diary))

  const { keyset: owner, share } = alice.keyset.createShare()
  const stored = owner.export('storage')
  const shareOf = (label: string) => `share-${share.id}/${label}`
  const head = parseBlock(storage.get(photoLabel)!, photoLabel)
  storage.set(shareOf(photoLabel), share.add(head))

  // They read the fingerprints to each other over the phone, because nobody trusts the service.
  const told = Object.fromEntries(bobs.map(({ name, keyset }) => [name, keyset.card().fingerprint]))
  for (const { client, card } of await aliceOnline.cardsOf('bob', told)) {
    await aliceOnline.sendInvite('bob', client, share.invite(card))
  }
  say('alice has shared one block, the photo, and sent an invite to each of bob’s cards')

  const aliceCard = await cardOf(bobOnline, 'alice', alice)
  const readers: SharedReader[] = []
  for (const { name, keyset } of bobs) {
    const [received] = await bobOnline.invitesFor(name)
    const reader = keyset.acceptShare(received!.invite, aliceCard)
    readers.push(reader)
    const block = { ...parseBlock(storage.get(photoLabel)!, photoLabel), envelope: storage.get(shareOf(photoLabel))! }
    assertSame(await reader.open(block), photo)
    await refused('key-not-found', () => reader.open(parseBlock(storage.get(diaryLabel)!, diaryLabel)))
    say(`${name} can open the photo, but not the diary`)
  }
  // An invite is for one card.
  const [forPhone] = await bobOnline.invitesFor('bob-phone')
  await refused('key-not-found', async () => bobs[0]!.keyset.acceptShare(forPhone!.invite, aliceCard))
  say('the laptop cannot use the invite for the phone')

  // The next night, Alice's host seals new blocks for the share as it writes them. It needs no password for that.
  const restarted = await unlockKeyset(stored, 'password of alice')
  const nightly = openWriter(restarted.export('host'))
  const letter = Buffer.from('a letter')
  const block = await nightly.seal(letter, { shares: nightly.shares })
  await put(storage, block)
  for (const reader of readers) {
    assertSame(await reader.open({ ...block, envelope: block.shared!.get(reader.id)! }), letter)
  }
  say('a block written while the share is active opens on both of bob’s clients')

  const revoked = restarted.revokeShare(share.id)
  const later = await openWriter(revoked.export('host')).seal(Buffer.from('a later letter'))
  for (const reader of readers) await refused('key-not-found', () => reader.open(later))
  say('a block written after alice revoked the share does not')
}

/** Signs a user up, logs them in, and publishes the card of each of their clients. */
async function join(url: string, user: string, devices: readonly Device[]): Promise<ExchangeClient> {
  const password = `${user}’s password for the service`
  await ExchangeClient.signUp(url, user, password)
  const online = await ExchangeClient.logIn(url, user, password)
  for (const { name, keyset } of devices) await online.publishCard(name, keyset.card())
  return online
}

async function cardOf(online: ExchangeClient, user: string, { name, keyset }: Device): Promise<Card> {
  const [found] = await online.cardsOf(user, { [name]: keyset.card().fingerprint })
  if (found === undefined) throw new Error(`${user} has not published a card: ask them to publish one`)
  return found.card
}

async function put(storage: Storage, block: Parameters<typeof encodeBlock>[0]): Promise<string> {
  if (!storage.has(block.label)) storage.set(block.label, encodeBlock(block))
  return block.label
}

function assertSame(content: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(content, expected) !== 0) throw new Error('the opened content differs from what was sealed')
}

if (process.argv[1] === import.meta.filename) {
  const database = new PGlite()
  await exchange(database)
  await database.close()
}
