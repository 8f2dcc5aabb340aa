// Taking in another branch of a keyset, and another keyset (SPEC §9.4).
import { afterAll, describe, expect, it } from 'vitest'
import { publicKeyId } from '../../src/core/key-pairs.ts'
import { copyKeys } from '../../src/core/secret.ts'
import { type Keyset, openLog, openWriter, saveKeyset, type SealedBlock, unlockKeyset } from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, resetProfile, saveProfile } from '../../src/vault.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import {
  ALICE,
  anywhere,
  atStart,
  following,
  expectSame,
  failure,
  flipped,
  hex,
  makeKeyset,
  PASSWORD,
  quick,
  sample,
  unhex,
} from '../fixtures.ts'

const DEDUP = ['scoped', 'global', 'off'] as const
const writerOf = (keyset: Keyset, options = {}) =>
  openWriter(keyset.export('host'), { encryption: 'hybrid', ...options })
const reopened = (keyset: Keyset, to: 'host' | 'definition' | 'storage' = 'storage') =>
  unlockKeyset(keyset.export(to), PASSWORD)
const versionOf = ({ revision }: Keyset) => Number(revision.split('-')[0])

// Password hashes that cost almost nothing.
useBackend(quick)
afterAll(() => useBackend(undefined))

const root = await makeKeyset()
const stranger = await makeKeyset()

describe('adopting another branch of the same keyset', () => {
  const mine = root.createShare()
  const theirs = root.regenerate().createShare()
  const blockOf = async (keyset: Keyset, seed: number) => ({
    content: sample(60, seed),
    block: await writerOf(keyset).seal(sample(60, seed)),
  })

  it('gives a keyset that opens what either branch opens, and that descends from both', async () => {
    const sealed = [await blockOf(mine.keyset, 1), await blockOf(theirs.keyset, 2)]
    for (const merged of [mine.keyset.adopt(theirs.keyset), theirs.keyset.adopt(mine.keyset)]) {
      expect([merged.id, versionOf(merged)]).toEqual([root.id, 4])
      for (const { block, content } of sealed) expectSame(await merged.open(block), content)
      expect([...merged.shares].sort()).toEqual([mine.share.id, theirs.share.id].sort())
      for (const id of merged.shares) merged.share(id).invite(stranger.card())
      for (const atLeast of [root, mine.keyset, theirs.keyset, merged].map(({ revision }) => revision)) {
        await unlockKeyset(merged.export('host'), PASSWORD, { atLeast })
      }
      expect(merged.card()).toEqual(root.card())
    }
  })

  it('keeps the newest key pair: a branch that regenerated is not undone by one that did not', () => {
    const later = theirs.keyset
    for (const merged of [mine.keyset.adopt(later), later.adopt(mine.keyset)]) {
      expect(merged.retired).toBe(1)
      expect(keyOf(merged)).toBe(keyOf(later))
    }
    // Each branch regenerated: the adopter's pair is current, and the other one is retired.
    const other = mine.keyset.regenerate()
    expect([keyOf(other.adopt(later)), keyOf(later.adopt(other))]).toEqual([keyOf(other), keyOf(later)])
    expect([other.adopt(later).retired, later.adopt(other).retired]).toEqual([2, 2])
  })

  it('generates a new key pair if one branch has forgotten, because nobody can tell whose is newer', () => {
    const a = root.regenerate().forgetRetired('unchecked')
    const b = mine.keyset
    for (const merged of [a.adopt(b), b.adopt(a)]) {
      expect([keyOf(a), keyOf(b)]).not.toContain(keyOf(merged))
      expect(merged.retired).toBe(2)
    }
    // A branch that descends from the other one is newer.
    expect([keyOf(a.adopt(root)), keyOf(root.adopt(a))]).toEqual([keyOf(a), keyOf(a)])
  })

  it('raises the default encryption if the newest key pair demands it', async () => {
    const lax = await makeKeyset({ encryption: 'x25519' })
    const merged = lax.createShare().keyset.adopt(lax.regenerate({ encryption: 'hybrid' }))
    expect((await merged.seal(sample(5))).envelope.length).toBe(1713)
    const kept = lax.regenerate({ encryption: 'hybrid' }).adopt(lax.createShare().keyset)
    expect((await kept.seal(sample(5))).envelope.length).toBe(1713)
  })

  it('keeps a share revoked if either branch revoked it', () => {
    const both = mine.keyset.createShare()
    const revoked = both.keyset.revokeShare(mine.share.id)
    for (const merged of [both.keyset.adopt(revoked), revoked.adopt(both.keyset), mine.keyset.adopt(revoked)]) {
      expect(merged.shares).toEqual([both.share.id])
      expect(merged.adopt(mine.keyset).shares).toEqual([both.share.id])
    }
  })

  it('remembers the last 255 revoked shares', () => {
    /** Returns the root with this share revoked, and then as many others. */
    const revokedBefore = (others: number) => {
      const { contents, master } = insidesOf(root, 'root')
      const ids = [...Array.from({ length: others }, (_, index) => sample(16, index + 1)), unhex(mine.share.id)]
      const copy = copyKeys(contents)
      const additional = { ...copy.additional!, revoked: ids }
      return unlocked({ ...copy, additional }, master.copy(), undefined)
    }
    const known = revokedBefore(254)
    expect(known.adopt(mine.keyset).shares).toEqual([])
    // One more pushes the oldest out.
    const { keyset, share } = known.createShare()
    expect(keyset.revokeShare(share.id).adopt(mine.keyset).shares).toEqual([mine.share.id])
  })

  it('keeps the newest revoked shares of both branches', () => {
    const both = root.createShare()
    const withMany = (from: Keyset, count: number) => {
      const { contents, master } = insidesOf(from, 'keyset')
      const copy = copyKeys(contents)
      const revoked = [
        ...copy.additional!.revoked,
        ...Array.from({ length: count }, (_, index) => sample(16, index + 1)),
      ]
      return unlocked({ ...copy, additional: { ...copy.additional!, revoked } }, master.copy(), undefined)
    }
    const theirs = both.keyset.revokeShare(both.share.id)
    expect(withMany(both.keyset, 255).adopt(theirs).adopt(both.keyset).shares).toEqual([])
  })

  it('refuses a keyset whose version would lock out all that adopt it', async () => {
    const { contents, master } = insidesOf(stranger, 'stranger')
    const versioned = (version: number) => unlocked({ ...copyKeys(contents), version }, master.copy(), undefined)
    expect(versionOf(root.adopt(versioned(2 ** 48)))).toBe(2 ** 48 + 1)
    const error = await failure(() => root.adopt(versioned(2 ** 48 + 1)), 'limit-exceeded')
    expect(error.detail).toEqual({ object: 'keyset', version: 2 ** 48 + 1 })
  })

  it('brings back a retired key pair that was forgotten too early', async () => {
    const { block, content } = await blockOf(root, 3)
    const forgotten = root.regenerate().forgetRetired('unchecked')
    await failure(() => forgotten.open(block), 'key-not-found')
    expectSame(await forgotten.adopt(root).open(block), content)
  })

  it('takes password and defaults from the adopter', async () => {
    const other = await root.changePassword('theirs', { newMaster: true })
    await unlockKeyset(root.adopt(other).export('storage'), PASSWORD)
    await unlockKeyset(other.adopt(root).export('storage'), 'theirs')
  })

  it('refuses keysets from a definition, and what is no keyset', async () => {
    using definition = await reopened(root, 'definition')
    await failure(() => root.adopt(definition), 'policy')
    await failure(() => definition.adopt(root), 'policy')
    for (const none of [undefined, null, {}, writerOf(root)]) {
      expect(() => root.adopt(none as never)).toThrow(TypeError)
    }
    const disposed = await reopened(root)
    disposed.dispose()
    await failure(() => root.adopt(disposed), 'disposed')
  })

  it('leaves both handles as they are', async () => {
    const [a, b] = [await reopened(mine.keyset), await reopened(theirs.keyset)]
    const merged = a.adopt(b)
    a.dispose()
    b.dispose()
    expectSame(await merged.open((await blockOf(root, 4)).block), sample(60, 4))
  })
})

/** Returns the id of the key pair that new blocks are sealed to. */
const keyOf = (keyset: Keyset): string => hex(publicKeyId(insidesOf(keyset, 'keyset').contents.blockPair.publicHalves))

describe('adopting another keyset', async () => {
  const old = await makeKeyset({ encryption: 'none' })
  const later = old.regenerate({ encryption: 'hybrid' })
  const content = (seed: number) => sample(70, seed)
  const blocks: Map<string, SealedBlock> = new Map()
  for (const [index, dedup] of DEDUP.entries()) {
    blocks.set(`${dedup}, first pair`, await writerOf(old, { dedup }).seal(content(index)))
    blocks.set(`${dedup}, second pair`, await writerOf(later, { dedup }).seal(content(index)))
  }
  const plain = await writerOf(old, { encryption: 'none' }).seal(content(9))
  const fresh = await makeKeyset()
  const adopter = fresh.adopt(later)
  const contentOf = (name: string) => content(DEDUP.findIndex((dedup) => name.startsWith(`${dedup},`)))

  it('gives the version after the higher one, and descends from both', async () => {
    expect([versionOf(adopter), adopter.id, adopter.retired]).toEqual([3, fresh.id, 2])
    for (const { revision: atLeast } of [fresh, old, later]) {
      await unlockKeyset(adopter.export('storage'), PASSWORD, { atLeast })
    }
    await failure(() => unlockKeyset(fresh.export('storage'), PASSWORD, { atLeast: old.revision }), 'forked')
  })

  it.each([...blocks.keys()])('opens a block of mode %s, also after rekeying', async (name) => {
    const block = blocks.get(name)!
    expectSame(await adopter.open(block), contentOf(name))
    await failure(() => fresh.open(block), 'key-not-found')
    expect(adopter.isCurrent(block.envelope)).toBe(false)
    const envelope = adopter.rekey(block)
    expect(hex(envelope.subarray(32, 48))).toBe(old.id)
    expect(adopter.isCurrent(envelope)).toBe(true)
    expect(writerOf(adopter).isCurrent(envelope)).toBe(true)
    expect(fresh.isCurrent(envelope)).toBe(false)
    const rekeyed = { ...block, envelope }
    for (const from of ['host', 'definition', 'storage'] as const) {
      using keyset = await reopened(adopter, from)
      expectSame(await keyset.open(rekeyed), contentOf(name))
    }
    using forgotten = adopter.forgetRetired('unchecked')
    expectSame(await forgotten.open(rekeyed), contentOf(name))
    await failure(() => forgotten.open(block), 'key-not-found')
  })

  it('seals under its own id and secrets, and not under those of the adopted keyset', async () => {
    const [own, before] = [await writerOf(adopter).seal(content(0)), await writerOf(fresh).seal(content(0))]
    expect([own.label, hex(own.ciphertext)]).toEqual([before.label, hex(before.ciphertext)])
    expect(own.label).not.toBe(blocks.get('scoped, second pair')!.label)
  })

  it('checks the content of an adopted block against the secrets of its source', async () => {
    const block = blocks.get('scoped, second pair')!
    const other = await writerOf(later).seal(content(50))
    await failure(() => adopter.open({ ...block, label: other.label }), 'authentication-failed')
    await failure(() => adopter.open({ ...block, ciphertext: other.ciphertext }), 'authentication-failed')
    const [first, second] = [hex(block.envelope.subarray(32, 48)), later.id]
    expect(first).toBe(second)
    await failure(() => adopter.open({ ...block, envelope: flipped(block.envelope, 33) }), 'authentication-failed')
  })

  it('refuses unencrypted blocks of the adopted keyset, unless the caller accepts them', async () => {
    const error = await failure(() => adopter.open(plain), 'policy')
    expect(error.detail).toEqual({ rule: 'minimum-encryption', strength: 0, minimum: 1 })
    await failure(() => adopter.rekey(plain), 'policy')
    using lax = await unlockKeyset(adopter.export('storage'), PASSWORD, { allowWeaker: 'none' })
    expectSame(await lax.open(plain), content(9))
    using half = await unlockKeyset(adopter.export('storage'), PASSWORD, { allowWeaker: 'x25519' })
    await failure(() => half.open(plain), 'policy')
  })

  it('opens the records of the adopted keyset, and reseals its log under its own keys', async () => {
    const writer = writerOf(later)
    const first = await writer.sealRecord(content(1), atStart)
    const second = await writer.sealRecord(content(2), following(first.record))
    expectSame((await adopter.openRecord(second.record, following(first.record))).content, content(2))
    await failure(() => fresh.openRecord(first.record, anywhere), 'key-not-found')
    const store = memoryStateStore()
    const position = await openLog(store, 'log', writer).append(content(1))
    await openLog(store, 'log', adopter).reseal({ atLeast: position })
    using forgotten = adopter.forgetRetired('unchecked')
    expectSame((await openLog(store, 'log', forgotten).last({ atLeast: position }))!.content, content(1))
    await failure(() => adopter.sealRecord(content(3), following(second.record)), 'authentication-failed')
    using definition = await reopened(later.adopt(old), 'definition')
    expectSame((await definition.openRecord(first.record, anywhere)).content, content(1))
  })

  it('refuses a record of the adopted keyset behind a record of its own', async () => {
    const own = await adopter.sealRecord(content(1), atStart)
    const foreign = await writerOf(later).sealRecord(
      content(2),
      following((await writerOf(later).sealRecord(content(1), atStart)).record),
    )
    await failure(() => adopter.openRecord(foreign.record, following(own.record)), 'authentication-failed')
  })

  it('says that a definition lacks what verifies the records of an adopted keyset', async () => {
    using definition = await reopened(adopter, 'definition')
    const { record } = await writerOf(later).sealRecord(content(1), atStart)
    const error = await failure(() => definition.openRecord(record, anywhere), 'policy')
    expect(error.detail).toEqual({ rule: 'all-keys', what: 'the records of an adopted keyset' })
  })

  it('leaves its shares behind, and still opens invites to its card', async () => {
    const sharer = stranger.createShare()
    const invite = sharer.share.invite(old.card())
    const block = await writerOf(sharer.keyset).seal(content(4), { shares: [sharer.share.id] })
    using reader = adopter.acceptShare(invite, stranger.card())
    expectSame(await reader.open({ ...block, envelope: block.shared!.get(sharer.share.id)! }), content(4))
    await failure(() => fresh.acceptShare(invite, stranger.card()), 'key-not-found')
    using direct = stranger.createShare({ to: old.card() })
    using _ = adopter.acceptShare(direct.share.invite(old.card()), stranger.card())
    expect(fresh.adopt(old.createShare().keyset).shares).toEqual([])
    expect(adopter.card()).toEqual(fresh.card())
  })

  it('resets profiles whose admin was the adopted keyset', async () => {
    const login = await deriveLogin(PASSWORD, ALICE)
    const next = await deriveLogin('next', ALICE)
    const store = memoryStateStore()
    const { profile, vault } = await createProfile(login, { admin: old.card() }).createVault(store)
    const block = await vault.seal(content(5))
    const pinned = { identity: profile.identity }
    using reset = resetProfile(profile.record, adopter, next, pinned)
    // The handover is by the card in the stored record, so it may follow that one.
    await saveProfile(store, reset)
    using opened = await reset.openVault(store, vault.id)
    expectSame(await opened.open(block), content(5))
    await failure(() => resetProfile(reset.record, fresh, login, { identity: reset.identity }), 'key-not-found')
    using again = resetProfile(reset.record, adopter, login, { identity: reset.identity })
    expect(again.vaults).toEqual(profile.vaults)
    await failure(() => resetProfile(profile.record, fresh, next, pinned), 'key-not-found')
  })

  it('can be stored behind either, however long the history of the other is', async () => {
    const { contents, master } = insidesOf(old, 'old')
    const past = Array.from({ length: 255 }, (_, index) => ({ version: 299 - index, id: sample(16, index + 1) }))
    const long = unlocked({ ...copyKeys(contents), version: 300, history: past }, master.copy(), undefined)
    for (const before of [fresh, long]) {
      const store = memoryStateStore()
      await saveKeyset(store, before)
      await saveKeyset(store, fresh.adopt(long))
    }
  })

  it('takes in what the other has adopted, and nothing twice', async () => {
    const grandchild = (await makeKeyset()).adopt(adopter)
    expectSame(await grandchild.open(blocks.get('scoped, first pair')!), content(0))
    const again = grandchild.adopt(adopter).adopt(later)
    expect(again.retired).toBe(grandchild.retired)
    // Two keysets that adopt each other.
    const circle = later.adopt(adopter)
    expectSame(await circle.open(blocks.get('off, first pair')!), content(2))
    expectSame(await circle.open(await writerOf(fresh).seal(content(7))), content(7))
  })

  it('takes at most 16', async () => {
    let keyset: Keyset = fresh
    const others = await Promise.all(Array.from({ length: 17 }, () => makeKeyset()))
    for (const each of others.slice(1)) keyset = keyset.adopt(each)
    const error = await failure(() => keyset.adopt(others[0]!), 'limit-exceeded')
    expect(error.detail).toEqual({ object: 'keyset', adopted: 17 })
    keyset = await reopened(keyset)
    expect(keyset.retired).toBe(16)
  })

  it('saves the adopted sources on a device, and survives every later change', async () => {
    const block = blocks.get('global, second pair')!
    const changed = (await (await reopened(adopter.regenerate())).changePassword(PASSWORD)).createShare().keyset
    for (const from of ['host', 'storage'] as const) {
      using keyset = await reopened(changed, from)
      expectSame(await keyset.open(block), content(1))
    }
  })
})
