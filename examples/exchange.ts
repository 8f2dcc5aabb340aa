// Two users with three clients exchange a share through a service that neither of them trusts. Run: `npm run exchange`
import { PGlite } from '@electric-sql/pglite'
import {
  type Argon2Costs,
  type Card,
  changeKeyset,
  createKeyset,
  type Keyset,
  loadKeyset,
  openWriter,
  saveKeyset,
  type SharedReader,
} from 'keystrata'
import { type Blocks, blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from 'keystrata/stores'
import { postgresSchema, postgresStateStore } from 'keystrata/stores/postgres'
import { ExchangeClient } from './exchange-client.ts'
import { createService } from './exchange-service.ts'
import { close, listen } from './http.ts'
import { refused } from './refused.ts'
import { say } from './terminal.ts'

/** One client of a user. It has its own keyset, and so its own card. */
interface Device {
  name: string
  keyset: Keyset
}

/**
 * Runs the whole exchange once.
 * @param state what the service stores
 * @param costs the Argon2id costs of the keysets; by default those of the library
 */
export async function exchange(state: StateStore, costs?: Argon2Costs): Promise<void> {
  const server = createService(state)
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
  const [state, blocks] = [memoryStateStore(), blocksIn(memoryBlobStore())]
  await saveKeyset(state, alice.keyset)
  using host = openWriter(alice.keyset.export('host'))
  const [photo, diary] = [await host.seal(Buffer.from('a photo')), await host.seal(Buffer.from('a diary'))]
  for (const block of [photo, diary]) await blocks.put(block)

  using created = await changeKeyset(state, alice.keyset, (newest) => newest.createShare())
  const { share } = created
  await blocks.shared(share.id).put({ ...photo, envelope: share.add(photo) })

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
    await assertOpens(reader, blocks.shared(reader.id), photo.label, 'a photo')
    await refused('key-not-found', async () => reader.open((await blocks.get(diary.label))!))
    say(`${name} can open the photo, but not the diary`)
  }
  // An invite is for one card.
  const [forPhone] = await bobOnline.invitesFor('bob-phone')
  await refused('key-not-found', async () => bobs[0]!.keyset.acceptShare(forPhone!.invite, aliceCard))
  say('the laptop cannot use the invite for the phone')

  // The next night, Alice's host seals new blocks for the share as it writes them. It needs no password for that.
  using restarted = await loadKeyset(state, 'password of alice', { atLeast: created.keyset.revision })
  using nightly = openWriter(restarted.export('host'))
  const letter = await nightly.seal(Buffer.from('a letter'), { shares: nightly.shares })
  await blocks.put(letter)
  for (const reader of readers) await assertOpens(reader, blocks.shared(reader.id), letter.label, 'a letter')
  say('a block written while the share is active opens on both of bob’s clients')

  using revoked = await changeKeyset(state, restarted, (newest) => newest.revokeShare(share.id))
  using after = openWriter(revoked.export('host'))
  const later = await after.seal(Buffer.from('a later letter'), { shares: after.shares })
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

/** Opens a block of a share, as its recipient does. */
async function assertOpens(reader: SharedReader, blocks: Blocks, label: string, expected: string): Promise<void> {
  const block = await blocks.get(label)
  const content = block && Buffer.from(await reader.open(block)).toString()
  if (content !== expected) throw new Error('the opened content differs from what was sealed')
}

if (process.argv[1] === import.meta.filename) {
  const database = new PGlite()
  await database.exec(postgresSchema())
  await exchange(postgresStateStore(database))
  await database.close()
}
