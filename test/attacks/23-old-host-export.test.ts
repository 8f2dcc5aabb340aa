// Row 23. The thief broke into a host and has its export: block salt, dedup key and source signing key, but no private
// key. The owner notices, creates a new keyset, adopts the old one, rekeys everything, and forgets.
import {
  changeKeyset,
  checkRetired,
  checkWriter,
  loadKeyset,
  openLog,
  openWriter,
  saveKeyset,
  type Keyset,
} from '../../src/index.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { describe, expect, it } from 'vitest'
import { all, anywhere, atStart, expectSame, failure, hex, PASSWORD, quickly, sample } from '../fixtures.ts'
import { insides, quickKeyset } from './known.ts'

const before = sample(3000, 1)
const after = sample(3000, 2)

/** Returns all records of the log. */
async function* storedRecords(state: StateStore): AsyncGenerator<Uint8Array> {
  for (const epoch of [0, 1]) {
    const name = `log/${hex(logIdOf('log'))}/${epoch}`
    const { version: newest } = (await state.read(name))!
    for (let version = 1; version <= newest; version++) {
      const record = await state.readVersion(name, version)
      if (record !== undefined) yield record
    }
  }
}

/** Plays the whole way back, and returns what the owner and the thief have at its end. */
async function wayBack() {
  const state = memoryStateStore()
  const blobs = memoryBlobStore()
  const blocks = blocksIn(blobs)
  const old = await quickKeyset()
  await saveKeyset(state, old)
  await blocks.put(await old.seal(before))
  const position = await openLog(state, 'log', old).append(before)
  const stolen = old.export('host')

  const fresh = await quickKeyset()
  using adopted = fresh.adopt(old)
  await saveKeyset(state, adopted)
  const log = openLog(state, 'log', adopted)
  await log.reseal({ atLeast: position })
  for await (const head of blocks.heads()) await blocks.replaceEnvelope(head, adopted.rekey(head))
  const checked = await checkRetired(blocks, adopted, { logs: [log] })
  const owner = await changeKeyset(state, adopted, (newest) => newest.forgetRetired(checked))
  using host = openWriter(owner.export('host'))
  await checkWriter(state, host)
  await blocks.put(await host.seal(after))
  const records = await all(storedRecords(state))
  return { state, blobs, blocks, old, owner, stolen, position, records }
}

const { state, blobs, blocks, old, owner, stolen, position, records } = await wayBack()
const thief = openWriter(stolen, { encryption: 'hybrid' })

describe('a thief of an old host export wants to plant content, and to confirm or name what is sealed', () => {
  it('the owner has lost nothing, and the thief opens nothing', async () => {
    using keyset = await quickly(() => loadKeyset(state, PASSWORD))
    const stored = await Promise.all((await all(blocks.heads())).map(({ label }) => blocks.get(label)))
    const contents = await Promise.all(stored.map((block) => keyset.open(block!)))
    expect(new Set(contents.map(hex))).toEqual(new Set([before, after].map(hex)))
    expectSame((await openLog(state, 'log', keyset).last({ atLeast: position }))!.content, before)
    for (const each of ['open', 'openRecord', 'rekey']) expect(each in thief).toBe(false)
  })

  it('plants nothing after adopting and forgetting: no block and no record of the old export opens', async () => {
    for (const dedup of ['scoped', 'global', 'off'] as const) {
      const planted = await openWriter(stolen, { encryption: 'hybrid', dedup }).seal(sample(10, 3))
      await failure(() => owner.open(planted), 'key-not-found')
      await failure(() => owner.rekey(planted), 'key-not-found')
      expect(owner.isCurrent(planted.envelope)).toBe(false)
    }
    const record = await thief.sealRecord(sample(10, 3), atStart)
    await failure(() => owner.openRecord(record.record, anywhere), 'key-not-found')
    await failure(() => openLog(state, 'log', thief).append(sample(10, 3)), 'policy')
  })

  it('plants no unencrypted block under the old id either', async () => {
    const victim = await quickKeyset({ encryption: 'none' })
    using way = (await quickKeyset({ encryption: 'none' })).adopt(victim)
    using forgotten = way.forgetRetired('unchecked')
    const planted = await openWriter(victim.export('host'), { encryption: 'none' }).seal(sample(10, 3))
    await failure(() => way.open(planted), 'policy')
    await failure(() => forgotten.open(planted), 'policy')
  })

  it('finds no public key in the store to which it could seal', async () => {
    const { x25519, mlKem1024 } = insides(owner).blockPair.publicHalves
    const everything: Uint8Array[] = []
    for await (const { name } of blobs.list('')) everything.push((await blobs.get(name))!)
    everything.push((await state.read('keyset'))!.bytes, ...records, stolen)
    for (const bytes of everything) {
      for (const half of [x25519, mlKem1024.subarray(0, 32)])
        expect(Buffer.from(bytes).includes(Buffer.from(half))).toBe(false)
    }
  })

  it('signs nothing: the old signing key makes no invite, no card and no record of the new keyset', async () => {
    const { sourceSigning, additional } = insides(owner)
    const { sourceSigning: oldSigning } = insides(old)
    expect(hex(sourceSigning.publicKey)).not.toBe(hex(oldSigning.publicKey))
    expect(hex(additional!.cardSigning.publicKey)).not.toBe(hex(insides(old).additional!.cardSigning.publicKey))
    expect(owner.card().fingerprint).not.toBe(old.card().fingerprint)
  })

  it('names and confirms nothing sealed after adopting', async () => {
    const labels = new Set((await all(blocks.heads())).map(({ label }) => label))
    const names: string[] = []
    for await (const { name } of blobs.list('data/')) names.push(name)
    for (const dedup of ['scoped', 'global', 'off'] as const) {
      const guess = await openWriter(stolen, { encryption: 'hybrid', dedup }).seal(after)
      expect(labels.has(guess.label)).toBe(false)
      expect(await blobs.get(`data/${await sha256(guess.ciphertext)}`)).toBeUndefined()
    }
    expect(names).toHaveLength(2)
  })

  it('confirms what was sealed before, until its block and its ciphertext are deleted', async () => {
    const guess = await thief.seal(before)
    expect(await blocks.has(guess.label)).toBe(true)
    expect(await blobs.get(`data/${await sha256(guess.ciphertext)}`)).toBeDefined()
    await blocks.delete(guess.label)
    expect(await blocks.has(guess.label)).toBe(false)
    // Deleting the block deletes its name. The ciphertext is found by its content until it is deleted too.
    expect(await blobs.get(`data/${await sha256(guess.ciphertext)}`)).toBeDefined()
    await blobs.delete(`data/${await sha256(guess.ciphertext)}`)
    expect(await blobs.get(`data/${await sha256(guess.ciphertext)}`)).toBeUndefined()
  })

  it('goes on speaking in the old shares, so recipients must dispose of them', async () => {
    const victim = await quickKeyset()
    const recipient = await quickKeyset()
    using sharing = victim.createShare()
    const invite = sharing.share.invite(recipient.card())
    const host = openWriter(sharing.keyset.export('host'), { encryption: 'hybrid' })
    using way = (await quickKeyset()).adopt(sharing.keyset)
    using forgotten = way.forgetRetired('unchecked')
    expect(forgotten.shares).toEqual([])
    // No private key is needed for this, so nothing that the owner forgets ends it.
    using reader = recipient.acceptShare(invite, victim.card())
    const planted = await host.seal(sample(10, 3), { shares: [sharing.share.id] })
    expectSame(await reader.open({ ...planted, envelope: planted.shared!.get(sharing.share.id)! }), sample(10, 3))
    const line = await host.share(sharing.share.id).sealRecord(sample(10, 4), atStart)
    expectSame((await reader.openRecord(line.record, anywhere)).content, sample(10, 4))
    // The new card is another one: who has pinned it takes no invite of the old keyset for one of the owner.
    await failure(() => recipient.acceptShare(invite, forgotten.card()), 'authentication-failed')
  })

  it('until the owner forgets, it can plant: so forgetting is the cut-off', async () => {
    const victim: Keyset = await quickKeyset()
    using way = (await quickKeyset()).adopt(victim)
    const planted = await openWriter(victim.export('host'), { encryption: 'hybrid' }).seal(sample(10, 3))
    expectSame(await way.open(planted), sample(10, 3))
    using forgotten = way.forgetRetired('unchecked')
    await failure(() => forgotten.open(planted), 'key-not-found')
  })
})

const sha256 = async (bytes: Uint8Array<ArrayBuffer>) =>
  hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)))
