import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  changeKeyset,
  checkRetired,
  checkWriter,
  createKeyset,
  type Keyset,
  loadKeyset,
  openWriter,
  saveKeyset,
  unlockKeyset,
} from '../../src/index.ts'
import { blocksIn, memoryBlobStore, memoryStateStore, prefixed, routed, type StateStore } from '../../src/stores.ts'
import { copyKeys } from '../../src/core/secret.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import {
  CHEAP,
  expectSame,
  failure,
  flipped,
  makeKeyset,
  PASSWORD,
  patched,
  quick,
  resummed,
  sample,
} from '../fixtures.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { withoutPauses } from '../pauses.ts'

// Password hashes that cost almost nothing.
useBackend(quick)
afterAll(() => useBackend(undefined))

const NEXT = 'another password'
const first = await makeKeyset()
const regenerated = first.regenerate()
const shared = regenerated.createShare().keyset
const branch = regenerated.createShare().keyset
const other = await makeKeyset()

let store: StateStore
beforeEach(() => {
  store = memoryStateStore()
})
withoutPauses()

const versionIn = async (of: StateStore) => (await of.read('keyset'))?.version
const load = (options = {}) => loadKeyset(store, PASSWORD, options)

describe('saveKeyset', () => {
  it('stores the first keyset, and loadKeyset unlocks it', async () => {
    await saveKeyset(store, first)
    using keyset = await load()
    expect([keyset.id, keyset.revision, await versionIn(store)]).toEqual([first.id, first.revision, 1])
  })

  it('does nothing if this revision is stored already', async () => {
    for (let time = 0; time < 3; time++) await saveKeyset(store, first)
    expect(await versionIn(store)).toBe(1)
  })

  it('stores a keyset behind one that it descends from, also several versions later', async () => {
    await saveKeyset(store, first)
    await saveKeyset(store, shared)
    expect([(await load()).revision, await versionIn(store)]).toEqual([shared.revision, 2])
  })

  it('throws conflict if what is stored descends from the keyset', async () => {
    await saveKeyset(store, shared)
    const error = await failure(() => saveKeyset(store, first), 'conflict')
    expect(error.detail).toEqual({ revision: first.revision, stored: shared.revision })
    expect((await load()).revision).toBe(shared.revision)
  })

  it('throws forked for another branch and for another keyset, and stores nothing', async () => {
    await saveKeyset(store, shared)
    for (const each of [branch, other]) {
      const error = await failure(() => saveKeyset(store, each), 'forked')
      expect(error.detail).toEqual({ revision: each.revision, stored: shared.revision })
    }
    expect([(await load()).revision, await versionIn(store)]).toEqual([shared.revision, 1])
  })

  it('says whether two machines changed the keyset, or the store has another one', async () => {
    await saveKeyset(store, shared)
    await expect(saveKeyset(store, branch)).rejects.toThrow('let it adopt this one')
    const change = (keyset: Keyset) => changeKeyset(store, keyset, (newest) => newest.regenerate())
    await expect(change(branch)).rejects.toThrow('let it adopt this one')
    const check = `the store has the keyset ${first.id}, not ${other.id}: check the store`
    await expect(saveKeyset(store, other)).rejects.toThrow(check)
    await expect(change(other)).rejects.toThrow(check)
  })

  it('throws forked if the history does not reach back to what is stored', async () => {
    await saveKeyset(store, first)
    const { contents, master } = insidesOf(first, 'first')
    const history = Array.from({ length: 255 }, (_, index) => ({ version: 299 - index, id: sample(16, index) }))
    using far = unlocked(
      { ...copyKeys(contents), version: 300, revision: sample(16, 999), history },
      master.copy(),
      undefined,
    )
    await failure(() => saveKeyset(store, far), 'forked')
    expect(await versionIn(store)).toBe(1)
  })

  it('refuses a keyset from a definition', async () => {
    using definition = await unlockKeyset(first.export('definition'), PASSWORD)
    await failure(() => saveKeyset(store, definition), 'policy')
    expect(await versionIn(store)).toBeUndefined()
  })

  it.each([
    ['an empty object', new Uint8Array(0), 'malformed'],
    ['a damaged keyset', patched(first.export('storage'), 100, [1, 2, 3]), 'malformed'],
    ['an export to a host', first.export('host'), 'policy'],
    ['a definition', first.export('definition'), 'policy'],
    ['a keyset of version 0.2', resummed(patched(first.export('storage'), 8, [0, 0, 0, 0])), 'unsupported'],
  ] as const)('throws over %s, and leaves it as it is', async (_, bytes, code) => {
    await store.write('keyset', 1, bytes)
    for (const act of [
      () => saveKeyset(store, first),
      () => load(),
      () => changeKeyset(store, first, (newest) => newest.regenerate()),
      () => checkWriter(store, first),
    ]) {
      await failure(act, code)
    }
    expect(await store.read('keyset')).toEqual({ version: 1, bytes })
  })

  it('refuses what was altered under the same revision', async () => {
    const altered = first.export('storage')
    await store.write('keyset', 1, resummed(flipped(altered, altered.length - 30)))
    await failure(() => saveKeyset(store, first), 'authentication-failed')
  })

  it('keeps users apart in one store', async () => {
    await saveKeyset(prefixed(store, 'user-1/'), first)
    await saveKeyset(prefixed(store, 'user-2/'), other)
    expect((await loadKeyset(prefixed(store, 'user-1/'), PASSWORD)).id).toBe(first.id)
    expect((await loadKeyset(prefixed(store, 'user-2/'), PASSWORD)).id).toBe(other.id)
    await failure(() => load(), 'missing')
  })
})

describe('loadKeyset', () => {
  it('throws missing if there is no keyset, and wrong-password for a wrong password', async () => {
    const error = await failure(() => load(), 'missing')
    expect(error.detail).toEqual({ object: 'keyset' })
    await saveKeyset(store, first)
    await failure(() => loadKeyset(store, NEXT), 'wrong-password')
  })

  it('throws rollback or forked only after it has read again, five times', async () => {
    await saveKeyset(store, first)
    const read = vi.spyOn(store, 'read')
    await failure(() => load({ atLeast: shared.revision }), 'rollback')
    expect(read).toHaveBeenCalledTimes(6)
    await saveKeyset(store, branch)
    read.mockClear()
    await failure(() => load({ atLeast: shared.revision }), 'forked')
    expect(read).toHaveBeenCalledTimes(6)
  })

  it('waits for a read that is late', async () => {
    await saveKeyset(store, first)
    const late = await store.read('keyset')
    await saveKeyset(store, shared)
    vi.spyOn(store, 'read').mockResolvedValueOnce(undefined).mockResolvedValueOnce(late).mockResolvedValueOnce(late)
    expect((await load({ atLeast: shared.revision })).revision).toBe(shared.revision)
  })

  it('accepts what the options of unlockKeyset accept', async () => {
    await saveKeyset(store, first)
    await failure(() => load({ costs: { ...CHEAP, memoryKiB: 8192 } }), 'limit-exceeded')
    await failure(() => load({ signal: AbortSignal.abort() }), 'aborted')
    await expect(load({ atLeast: undefined })).rejects.toThrow(TypeError)
  })
})

describe('changeKeyset', () => {
  beforeEach(() => saveKeyset(store, first))

  it('changes the newest keyset, from any older handle', async () => {
    using one = await changeKeyset(store, first, (newest) => newest.regenerate())
    using two = await changeKeyset(store, first, (newest) => newest.regenerate())
    expect([one.retired, two.retired, await versionIn(store)]).toEqual([1, 2, 3])
    expect((await load({ atLeast: one.revision })).revision).toBe(two.revision)
  })

  it('returns what change returned, such as a new share', async () => {
    using created = await changeKeyset(store, first, (newest) => newest.createShare())
    expect(created.keyset.shares).toEqual([created.share.id])
    expect((await load()).shares).toEqual([created.share.id])
    expect(created.share.invite(other.card()).length).toBeGreaterThan(3000)
  })

  it('loses no change of several machines at once', async () => {
    const results = await Promise.all(
      Array.from({ length: 5 }, () => changeKeyset(store, first, (newest) => newest.createShare())),
    )
    const ids = results.map(({ share }) => share.id)
    expect([...(await load()).shares].sort()).toEqual([...ids].sort())
    expect(await versionIn(store)).toBe(6)
  })

  it('takes a change of several steps', async () => {
    using changed = await changeKeyset(store, first, (newest) => newest.regenerate().forgetRetired('unchecked'))
    expect((await load()).revision).toBe(changed.revision)
    expect(await versionIn(store)).toBe(2)
  })

  it('disposes of what it opened and of results that lost, and leaves the rest to the caller', async () => {
    const given: Keyset[] = []
    const made: ReturnType<Keyset['createShare']>[] = []
    const result = await changeKeyset(store, first, async (newest) => {
      given.push(newest)
      if (made.length < 2) await changeKeyset(store, first, (again) => again.regenerate())
      made.push(newest.createShare())
      return made.at(-1)!
    })
    expect(made).toHaveLength(3)
    expect(result).toBe(made[2])
    for (const newest of given) await failure(() => newest.card(), 'disposed')
    for (const lost of made.slice(0, 2)) {
      await failure(() => lost.keyset.card(), 'disposed')
      await failure(() => lost.share.invite(other.card()), 'disposed')
    }
    result.keyset.card()
    result.share.invite(other.card())
    first.card()
  })

  it.each<[string, (newest: Keyset) => unknown]>([
    ['the keyset that it was given', (newest) => newest],
    ['a handle from before', () => first],
    ['a handle from before that another machine has overtaken', () => shared],
    ['another keyset', () => other],
    ['nothing', () => undefined],
    ['null', () => null],
    ['an object without a keyset', () => ({})],
    ['only the share', (newest) => newest.createShare().share],
    ['a writer', (newest) => openWriter(newest.export('host'))],
  ])('refuses a change that returns %s, and stores nothing', async (_, change) => {
    using __ = await changeKeyset(store, first, (newest) => newest.regenerate())
    await expect(changeKeyset(store, first, change as never)).rejects.toThrow(TypeError)
    expect(await versionIn(store)).toBe(2)
    first.card()
    other.card()
    shared.card()
  })

  it('passes on what change throws', async () => {
    const mine = new Error('mine')
    await expect(changeKeyset(store, first, () => Promise.reject(mine))).rejects.toBe(mine)
    expect(await versionIn(store)).toBe(1)
  })

  it('gives up with conflict if other machines are always quicker', async () => {
    let tries = 0
    const error = await failure(
      () =>
        changeKeyset(store, first, async (newest) => {
          tries++
          await changeKeyset(store, first, (again) => again.forgetRetired('unchecked'))
          return newest.regenerate()
        }),
      'conflict',
    )
    expect(error.detail).toEqual({ tries })
    expect((await load()).retired).toBe(0)
  })

  it('throws wrong-password if the master key was replaced', async () => {
    using __ = await changeKeyset(store, first, (newest) =>
      newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }),
    )
    const error = await failure(() => changeKeyset(store, first, (newest) => newest.regenerate()), 'wrong-password')
    expect(error.detail).toEqual({ rule: 'new-master' })
  })

  it('goes on with the old handle after a new password for the same master key', async () => {
    using __ = await changeKeyset(store, first, (newest) => newest.changePassword(NEXT, { costs: CHEAP }))
    using regenerated = await changeKeyset(store, first, (newest) => newest.regenerate())
    expect((await loadKeyset(store, NEXT)).revision).toBe(regenerated.revision)
    await failure(() => load(), 'wrong-password')
  })

  it('says in detail.written that the change is in, although the master key was replaced since', async () => {
    const changed = await changeKeyset(lossy(store, 1), first, async (newest) => newest.regenerate()).catch(
      (error: unknown) => error,
    )
    expect(changed).toMatchObject({
      code: 'wrong-password',
      detail: { written: expect.stringMatching(/^2-/) as string },
    })
    expect((await loadKeyset(store, NEXT)).retired).toBe(1)
  })

  /** Returns the store, but the answer to one write gets lost, and another machine sets a new master key meanwhile. */
  function lossy(to: StateStore, lost: number): StateStore {
    let writes = 0
    return {
      ...to,
      write: async (name, version, bytes) => {
        const written = await to.write(name, version, bytes)
        if (writes++ >= lost) return written
        await changeKeyset(to, first, (newest) => newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }))
        throw new Error('connection reset')
      },
    }
  }

  /** Returns the store, but its reads are late: they show the first version until the change gives up. */
  const late = (to: StateStore, isLate: () => boolean): StateStore => {
    const old = to.readVersion('keyset', 1)
    return {
      ...to,
      read: async (name) => (isLate() && name === 'keyset' ? { version: 1, bytes: (await old)! } : to.read(name)),
      readVersion: async (name, version) => (isLate() && version > 1 ? undefined : to.readVersion(name, version)),
      write: async (name, version, bytes) => (await to.write(name, version, bytes), false),
    }
  }

  it('finds its change in the end, if false was wrong and all reads were late', async () => {
    let made = 0
    const slow = late(store, () => made < 12)
    using changed = await changeKeyset(slow, first, (newest) => (made++, newest.regenerate()))
    expect([(await load()).revision, await versionIn(store)]).toEqual([changed.revision, 2])
  })

  it('says which revision may be stored, if the store never tells', async () => {
    const error = await failure(
      () =>
        changeKeyset(
          late(store, () => true),
          first,
          (newest) => newest.regenerate(),
        ),
      'conflict',
    )
    expect(error.detail).toEqual({ tries: 12, unsettled: expect.stringMatching(/^2-/) as string })
    expect(error.message).toContain('does not say')
  })

  it('throws the error of a store that never answers, which says that the write may have happened', async () => {
    const reset = new Error('connection reset')
    const dead: StateStore = { ...store, write: () => Promise.reject(reset) }
    await expect(changeKeyset(dead, first, (newest) => newest.regenerate())).rejects.toBe(reset)
    expect(reset.message).toContain('may have been written')
  })

  it('throws rollback if the handle was never stored, and forked if it is on another branch', async () => {
    await failure(() => changeKeyset(store, shared, (newest) => newest.regenerate()), 'rollback')
    await saveKeyset(store, branch)
    await failure(() => changeKeyset(store, shared, (newest) => newest.regenerate()), 'forked')
    await failure(() => changeKeyset(memoryStateStore(), first, (newest) => newest.regenerate()), 'missing')
  })

  it('refuses what a store has altered', async () => {
    const altered = first.regenerate().export('storage')
    const forged = resummed(flipped(altered, altered.length - 30))
    await store.write('keyset', 2, forged)
    await failure(() => changeKeyset(store, first, (newest) => newest.regenerate()), 'authentication-failed')
  })
})

describe('old versions in the store', () => {
  const keptIn = async () => {
    const newest = (await versionIn(store)) ?? 0
    const there = await Promise.all(
      Array.from({ length: newest }, (_, index) => store.readVersion('keyset', index + 1)),
    )
    return there.flatMap((bytes, index) => (bytes === undefined ? [] : [index + 1]))
  }
  const change = (password?: string) =>
    changeKeyset(store, first, (newest) =>
      password === undefined
        ? newest.forgetRetired('unchecked')
        : newest.changePassword(password, { newMaster: true, costs: CHEAP }),
    )

  beforeEach(() => saveKeyset(store, first))

  it('are the last eight', async () => {
    for (let time = 0; time < 10; time++) (await change()).dispose()
    expect(await keptIn()).toEqual([4, 5, 6, 7, 8, 9, 10, 11])
  })

  it('go after a new master key, because the old password opens them', async () => {
    for (let time = 0; time < 3; time++) (await change()).dispose()
    ;(await change(NEXT)).dispose()
    expect(await keptIn()).toEqual([5])
  })

  it('go with the next change, if the machine that set a new master key stopped before it dropped them', async () => {
    const stops: StateStore = { ...store, drop: () => Promise.reject(new Error('killed')) }
    const act = () =>
      changeKeyset(stops, first, (newest) => newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }))
    await expect(act()).rejects.toThrow('killed')
    expect(await keptIn()).toEqual([1, 2])
    using renewed = await loadKeyset(store, NEXT)
    ;(await changeKeyset(store, renewed, (newest) => newest.regenerate())).dispose()
    expect(await keptIn()).toEqual([2, 3])
  })

  it('say in the error of a store that cannot drop them that the new keyset is stored', async () => {
    const full: StateStore = { ...store, drop: () => Promise.reject(new Error('disk full')) }
    const act = () =>
      changeKeyset(full, first, (newest) => newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }))
    await expect(act()).rejects.toThrow(/disk full .*the keyset is stored/)
    using renewed = await loadKeyset(store, NEXT)
    // Calling it again is enough.
    await saveKeyset(store, renewed)
    expect(await keptIn()).toEqual([2])
  })

  it('are dropped in a store without a place for recovery slots', async () => {
    const only = routed({ keyset: store })
    ;(
      await changeKeyset(only, first, (newest) => newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }))
    ).dispose()
    expect(await keptIn()).toEqual([2])
  })

  it('stay after a new master key while there are recovery slots, which are sealed anew first', async () => {
    await store.write('slots', 1, Uint8Array.of(1))
    ;(await change(NEXT)).dispose()
    expect(await keptIn()).toEqual([1, 2])
  })

  it('are no reason to fail a change that is stored, if the store cannot drop them now', async () => {
    for (let time = 0; time < 8; time++) (await change()).dispose()
    const full: StateStore = { ...store, drop: () => Promise.reject(new Error('disk full')) }
    using changed = await changeKeyset(full, first, (newest) => newest.regenerate())
    expect((await load()).revision).toBe(changed.revision)
    expect(await keptIn()).toHaveLength(9)
  })
})

describe('a store that answers wrongly', () => {
  const answers: [string, (good: StateStore) => Partial<StateStore>, RegExp][] = [
    [
      'a version as text',
      (good) => ({ read: async (name) => textVersion(await good.read(name)) }),
      /read\(\)\.version.*string/,
    ],
    ['null for no row', () => ({ read: async () => null as never }), /read of the store returned null/],
    ['a row of its driver', () => ({ read: async () => [{ version: 1 }] as never }), /version/],
    ['bytes as text', () => ({ read: async () => ({ version: 1, bytes: 'a2V5' as never }) }), /bytes.*string/],
  ]
  const textVersion = (found: Awaited<ReturnType<StateStore['read']>>) =>
    found && { ...found, version: String(found.version) as never }

  it.each(answers)('%s is a TypeError that names the method', async (_, broken, message) => {
    await saveKeyset(store, first)
    const bad = { ...store, ...broken(store) }
    for (const act of [
      () => saveKeyset(bad, shared),
      () => loadKeyset(bad, PASSWORD),
      () => changeKeyset(bad, first, (newest) => newest.regenerate()),
      () => checkWriter(bad, first),
    ]) {
      const error: unknown = await act().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toMatch(message)
    }
    expect(await versionIn(store)).toBe(1)
  })

  it('a result object of a driver does not count as true', async () => {
    const bad: StateStore = { ...store, write: async () => ({ rowCount: 0 }) as never }
    await expect(saveKeyset(bad, first)).rejects.toThrow(/write of the store returned an object/)
    expect(await versionIn(store)).toBeUndefined()
  })

  it('a store without a method is refused', async () => {
    const lacking = { ...store, drop: undefined }
    await expect(saveKeyset(lacking as never, first)).rejects.toThrow('it has no method drop')
    await expect(saveKeyset(undefined as never, first)).rejects.toThrow(TypeError)
  })
})

describe('checkWriter', () => {
  const writerOf = (keyset: Keyset) => openWriter(keyset.export('host'))

  it('accepts the export of the stored keyset', async () => {
    await saveKeyset(store, first)
    await checkWriter(store, writerOf(first))
    await checkWriter(store, first)
  })

  it('throws stale-export after every change, a new password too', async () => {
    await saveKeyset(store, first)
    await saveKeyset(store, await first.changePassword(NEXT, { costs: CHEAP }))
    const error = await failure(() => checkWriter(store, writerOf(first)), 'stale-export')
    expect(error.detail).toEqual({ revision: first.revision, stored: expect.stringMatching(/^2-/) as string })
  })

  it('throws stale-export for another keyset and for another branch', async () => {
    await saveKeyset(store, shared)
    for (const each of [other, other.regenerate().regenerate().regenerate(), branch, branch.regenerate()]) {
      const code = each.id === other.id || each === branch ? 'stale-export' : 'rollback'
      await failure(() => checkWriter(store, writerOf(each)), code)
    }
  })

  it('throws rollback if the store has lost the keyset of the export, and missing if it has none', async () => {
    await failure(() => checkWriter(store, writerOf(first)), 'missing')
    await saveKeyset(store, first)
    await failure(() => checkWriter(store, writerOf(shared)), 'rollback')
  })

  it('waits for a read that is late', async () => {
    await saveKeyset(store, first)
    const late = await store.read('keyset')
    await saveKeyset(store, shared)
    vi.spyOn(store, 'read').mockResolvedValueOnce(undefined).mockResolvedValueOnce(late)
    await checkWriter(store, writerOf(shared))
  })

  it('throws TypeError for something that is no writer', async () => {
    for (const none of [{}, { id: first.id }, { id: first.id, revision: 3 }]) {
      await expect(checkWriter(store, none as never)).rejects.toThrow(TypeError)
    }
  })
})

describe('two machines and one keyset', () => {
  const contents = [sample(100, 1), sample(200, 2)]

  it('lose nothing through changeKeyset: one regenerates, rekeys and forgets, the other creates shares', async () => {
    const blocks = blocksIn(memoryBlobStore())
    await saveKeyset(store, first)
    for (const content of contents) await blocks.put(await first.seal(content))
    const [a, b] = [await load(), await load()]

    using regenerated = await changeKeyset(store, a, (newest) => newest.regenerate())
    using created = await changeKeyset(store, b, (newest) => newest.createShare())
    for await (const head of blocks.heads()) await blocks.replaceEnvelope(head, regenerated.rekey(head))
    using newest = await load()
    const checked = await checkRetired(blocks, newest, { logs: [] })
    using forgotten = await changeKeyset(store, a, (keyset) => keyset.forgetRetired(checked))

    expect([forgotten.retired, forgotten.shares]).toEqual([0, [created.share.id]])
    for (const content of contents) {
      const { label } = await first.seal(content)
      expectSame(await forgotten.open((await blocks.get(label))!), content)
    }
  })

  it('see the fork without changeKeyset, and adopt brings back every block and share', async () => {
    await saveKeyset(store, first)
    // B works from an old handle and never stores. It seals for its new share.
    const b = first.createShare()
    const [sealedByB] = [await openWriter(b.keyset.export('host')).seal(contents[1]!, { shares: [b.share.id] })]
    // A regenerates, rekeys what it knows, and forgets.
    const a = first.regenerate().forgetRetired('unchecked')
    await saveKeyset(store, a)
    const sealedByA = await a.seal(contents[0]!)

    await failure(() => a.open(sealedByB), 'key-not-found')
    await failure(() => saveKeyset(store, b.keyset), 'forked')
    using stored = await load()
    using merged = stored.adopt(b.keyset)
    await saveKeyset(store, merged)

    using after = await load({ atLeast: a.revision })
    await load({ atLeast: b.keyset.revision })
    expectSame(await after.open(sealedByA), contents[0]!)
    expectSame(await after.open(sealedByB), contents[1]!)
    expect(after.shares).toEqual([b.share.id])
    expect(after.isCurrent(sealedByB.envelope)).toBe(false)
    expect(after.isCurrent(after.rekey(sealedByB))).toBe(true)
  })
})

it('a store that takes a prefix cannot be left by a name', async () => {
  expect(() => prefixed(store, 'User/')).toThrow(TypeError)
  using keyset = await createKeyset(PASSWORD, { costs: CHEAP })
  await saveKeyset(prefixed(store, 'a/b/'), keyset)
  expect(await store.read('a/b/keyset')).toBeDefined()
})
