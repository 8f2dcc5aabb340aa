// Logs in a store, in every key model (SPEC §7.4).
import { describe, expect, it } from 'vitest'
import { type Keyset, openLog, openWriter, unlockKeyset } from '../../src/index.ts'
import { memoryStateStore, prefixed, type StateStore } from '../../src/stores.ts'
import { withoutPauses } from '../pauses.ts'
import { all, expectSame, failure, hex, PASSWORD, quickly, sample } from '../fixtures.ts'
import {
  appendAll,
  bytesOf,
  cheap,
  clientOf,
  doors,
  epochName,
  fieldsOf,
  filled,
  LOG,
  LOG_ID,
  logIn,
  OpenStore,
  owner,
  owners,
  POINTER,
  quickKeyset,
  sha256,
  sharedOwner,
  shareId,
  stranger,
  textOf,
  textsIn,
  vaultOf,
} from './log-fixtures.ts'

withoutPauses()

describe.each(doors)('a log of $name', ({ writer, reader, stranger: other, suite }) => {
  it('gives back what was appended, in order, in the format of a log', async () => {
    const store = new OpenStore()
    const log = openLog(store, LOG, writer)
    const positions = await appendAll(log, 'one', '', 'three')
    expect([...store.objects.keys()]).toContain(epochName(0))
    for (const [index, position] of positions.entries()) {
      const record = store.at(epochName(0), index + 1)
      expect(position).toBe(`${index + 1}-${fieldsOf(record).id}`)
      const previous = index === 0 ? '0'.repeat(64) : hex(sha256(store.at(epochName(0), index)))
      const place = { sequence: index + 1, number: index + 1, previous, epoch: 0, suite, flags: 8 }
      expect(fieldsOf(record)).toMatchObject(place)
    }
    const read = openLog(store, LOG, reader)
    const entries = await all(read.read())
    expect(entries.map(({ position, content }) => [position, textOf(content)])).toEqual([
      [positions[0], 'one'],
      [positions[1], ''],
      [positions[2], 'three'],
    ])
    expect(await textsIn(read, { after: positions[0]! })).toEqual(['', 'three'])
    expect(await textsIn(read, { after: positions[2]!, atLeast: positions[1]! })).toEqual([])
    expect(await textsIn(read, { atLeast: positions[2]! })).toEqual(['one', '', 'three'])
    expect(await read.last()).toEqual({ position: positions[2], content: bytesOf('three') })
    expect(await read.last({ atLeast: positions[2]! })).toEqual({ position: positions[2], content: bytesOf('three') })
    // Nothing but the log is in the store, and no name shows what it is called.
    expect([...store.objects].filter(([, versions]) => versions.size > 0).map(([name]) => name)).toEqual([epochName(0)])
  })

  it('is empty before the first record', async () => {
    const log = openLog(new OpenStore(), LOG, reader)
    expect(await log.last()).toBeUndefined()
    expect(await all(log.read())).toEqual([])
    const atLeast = `1-${'ab'.repeat(16)}`
    await failure(() => log.last({ atLeast }), 'rollback')
    await failure(() => all(log.read({ after: atLeast })), 'rollback')
  })

  it('belongs to its owner: others neither read it nor append to it', async () => {
    const store = new OpenStore()
    await appendAll(openLog(store, LOG, writer), 'one')
    const foreign = openLog(store, LOG, other)
    const error = await failure(() => foreign.append(bytesOf('two')), 'policy')
    expect(error.detail).toEqual({ rule: 'log-owner', log: LOG_ID })
    expect(store.written).toHaveLength(1)
    if (!('openRecord' in other)) return
    const theirs = logIn(store, other as Keyset)
    await failure(() => theirs.last(), 'policy')
    await failure(() => all(theirs.read()), 'policy')
    await failure(() => theirs.reseal({ atLeast: `1-${'ab'.repeat(16)}` }), 'policy')
  })

  it('refuses content that is too large, and copies content before the promise is returned', async () => {
    const store = new OpenStore()
    const log = openLog(store, LOG, writer)
    await failure(() => log.append(new Uint8Array(64 * 2 ** 20 + 1)), 'limit-exceeded')
    await expect(log.append('text' as never)).rejects.toThrow(TypeError)
    expect(store.calls.write).toBe(0)
    const content = sample(1000)
    const appending = log.append(content)
    content.fill(0)
    await appending
    expectSame((await openLog(store, LOG, reader).last())!.content, sample(1000))
  })
})

describe.each(owners)('the owner of a log of $name', ({ keys }) => {
  it('reseals it: numbers, ids and contents stay', async () => {
    const { store, log, positions } = await filled(['one', 'two', 'three'], keys)
    // A log of which all records are current is not touched.
    const before = store.written.length
    expect(await log.reseal({ atLeast: positions[1]! })).toEqual({ position: positions[2], copied: 0 })
    expect([store.written.length, store.calls.drop]).toEqual([before, 0])
    const done = await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[1]!] })
    expect(done).toEqual({ position: positions[2], copied: 2 })
    for (const each of [log, logIn(store, keys)]) {
      const entries = await all(each.read())
      expect(entries.map(({ position, content }) => [position, textOf(content)])).toEqual([
        [positions[0], 'one'],
        [positions[2], 'three'],
      ])
    }
    // Of the old epoch one small record stays: the seal-off.
    expect([...store.versionsOf(epochName(0)).keys()]).toEqual([4])
    expect([1, 2, 3].map((version) => fieldsOf(store.at(epochName(1), version)).flags)).toEqual([8, 8, 9])
    expect(fieldsOf(store.at(epochName(0), 4))).toMatchObject({ flags: 10, sequence: 4, number: 3, epoch: 0 })
    expect(hex(store.at(POINTER, 1))).toBe('00000001')
    const next = await logIn(store, keys).append(bytesOf('four'))
    expect(next.split('-')[0]).toBe('4')
    expect(await textsIn(log, { after: positions[2]! })).toEqual(['four'])
  })
})

describe('the position of a record', () => {
  it('is checked before anything is read', async () => {
    const store = new OpenStore()
    const log = logIn(store)
    const id = 'ab'.repeat(16)
    const wrong: unknown[] = [
      '',
      '1',
      `1-${id}0`,
      `0-${id}`,
      `01-${id}`,
      `-1-${id}`,
      `1-${id}-2`,
      `1.5-${id}`,
      `x-${id}`,
    ]
    wrong.push(`9007199254740992-${id}`, `1-${'zz'.repeat(16)}`, 5, null, {}, [`1-${id}`])
    for (const position of wrong as string[]) {
      await expect(log.last({ atLeast: position })).rejects.toThrow(TypeError)
      await expect(all(log.read({ after: position }))).rejects.toThrow(TypeError)
      await expect(all(log.read({ atLeast: position }))).rejects.toThrow(TypeError)
      await expect(log.reseal({ atLeast: position })).rejects.toThrow(TypeError)
      await expect(log.reseal({ atLeast: `1-${id}`, upTo: position })).rejects.toThrow(TypeError)
      await expect(log.reseal({ atLeast: `1-${id}`, leaveOut: [position] })).rejects.toThrow(TypeError)
    }
    for (const options of [undefined, null, {}, { atLeast: `1-${id}`, leaveOut: `1-${id}` }])
      await expect(log.reseal(options as never)).rejects.toThrow(TypeError)
    expect(store.calls).toEqual({ read: 0, readVersion: 0, write: 0, drop: 0 })
  })

  it('that another record has is forked; behind the end it is a rollback', async () => {
    const { log, positions } = await filled(['one', 'two'])
    const other = `2-${positions[0]!.slice(2)}`
    const later = `3-${positions[0]!.slice(2)}`
    const calls = (position: string) => [
      () => log.last({ atLeast: position }),
      () => all(log.read({ atLeast: position })),
      () => all(log.read({ after: position })),
      () => log.reseal({ atLeast: position }),
      () => log.reseal({ atLeast: positions[0]!, upTo: position }),
      () => log.reseal({ atLeast: positions[0]!, leaveOut: [position] }),
    ]
    for (const call of calls(other))
      expect((await failure(call, 'forked')).detail).toEqual({ object: 'log', position: other })
    for (const call of calls(later))
      expect((await failure(call, 'rollback')).detail).toEqual({ object: 'log', atLeast: later, last: 2, log: LOG_ID })
  })

  it('that was left out still counts for after and atLeast', async () => {
    const { store, log, positions } = await filled(['1', '2', '3', '4', '5'])
    await log.reseal({ atLeast: positions[4]!, leaveOut: [positions[1]!, positions[2]!, positions[4]!] })
    for (const each of [log, logIn(store)]) {
      for (const position of positions) expect(textOf((await each.last({ atLeast: position }))!.content)).toBe('4')
      expect(await textsIn(each, { after: positions[0]! })).toEqual(['4'])
      expect(await textsIn(each, { after: positions[1]! })).toEqual(['4'])
      expect(await textsIn(each, { after: positions[2]!, atLeast: positions[4]! })).toEqual(['4'])
      expect(await textsIn(each, { after: positions[4]! })).toEqual([])
    }
    await log.append(bytesOf('6'))
    expect(await textsIn(logIn(store), { after: positions[4]! })).toEqual(['6'])
  })
})

describe('openLog', () => {
  it('refuses what is no store, no handle or no name, and reads nothing', async () => {
    const store = new OpenStore()
    for (const [given, keys] of [
      [{}, cheap],
      [undefined, cheap],
      [{ ...memoryStateStore(), drop: undefined }, cheap],
      [store, {}],
      [store, { sealRecord: cheap.sealRecord, openRecord: cheap.openRecord }],
      [store, undefined],
    ]) {
      expect(() => openLog(given as StateStore, LOG, keys as Keyset)).toThrow(TypeError)
    }
    for (const name of ['', 'x'.repeat(256)]) await failure(() => openLog(store, name, cheap), 'invalid-text')
    expect(() => openLog(store, 5 as never, cheap)).toThrow(TypeError)
    expect(store.calls.read).toBe(0)
  })

  it('refuses scopes without records, and handles that were disposed of', async () => {
    const client = await clientOf('AES-256', 'short-lived')
    const error = await failure(() => openLog(new OpenStore(), LOG, client.scope('public')), 'policy')
    expect(error.detail).toEqual({ rule: 'records' })
    client.dispose()
    await failure(() => openLog(new OpenStore(), LOG, client.scope('private')), 'disposed')
    const short = vaultOf(11)
    const store = new OpenStore()
    const used = logIn(store, short)
    const position = await used.append(bytesOf('one'))
    short.dispose()
    for (const call of [
      () => used.append(sample(5)),
      () => used.last(),
      () => all(used.read()),
      () => used.reseal({ atLeast: position }),
    ])
      await failure(call, 'disposed')
    await failure(() => logIn(store, short), 'disposed')
    // The log is as it was.
    expect(await textsIn(logIn(store, vaultOf(11)))).toEqual(['one'])
  })

  it('gives a writer and a reader only what their keys can do', async () => {
    const { store, positions } = await filled(['one'], owner)
    const host = openLog(store, LOG, openWriter(owner.export('host'))) as ReturnType<typeof logIn>
    for (const call of [() => host.last(), () => all(host.read()), () => host.reseal({ atLeast: positions[0]! })])
      await expect(call()).rejects.toThrow(TypeError)
    const share = sharedOwner.share(shareId)
    const shared = new OpenStore()
    await openLog(shared, LOG, share).append(bytesOf('one'))
    const accepted = doors.find(({ writer }) => 'invite' in writer)!.reader
    const reading = openLog(shared, LOG, accepted) as ReturnType<typeof logIn>
    await expect(reading.append(bytesOf('two'))).rejects.toThrow(TypeError)
    await expect(reading.reseal({ atLeast: positions[0]! })).rejects.toThrow(TypeError)
    expect(await textsIn(reading)).toEqual(['one'])
  })

  it('keeps logs with different names apart, and takes one name in its two spellings', async () => {
    const store = new OpenStore()
    for (const name of ['a', 'b', 'caf\u00e9']) await openLog(store, name, cheap).append(bytesOf(name))
    expect(await textsIn(openLog(store, 'a', cheap))).toEqual(['a'])
    expect(await textsIn(openLog(store, 'cafe\u0301', cheap))).toEqual(['café'])
    // Two owners share a store by prefixes.
    const shared = memoryStateStore()
    await logIn(prefixed(shared, 'one/'), cheap).append(bytesOf('mine'))
    await logIn(prefixed(shared, 'two/'), vaultOf(12)).append(bytesOf('yours'))
    expect(await textsIn(logIn(prefixed(shared, 'one/'), cheap))).toEqual(['mine'])
    expect(await textsIn(logIn(prefixed(shared, 'two/'), vaultOf(12)))).toEqual(['yours'])
  })
})

describe('many appenders', () => {
  it('through one handle and through many lose nothing, and nothing comes twice', async () => {
    const store = new OpenStore()
    const logs = Array.from({ length: 4 }, () => logIn(store))
    const texts = Array.from({ length: 24 }, (_, index) => `text ${index}`)
    const positions = await Promise.all(texts.map((text, index) => logs[index % 4]!.append(bytesOf(text))))
    expect(new Set(positions).size).toBe(24)
    const entries = await all(logIn(store).read())
    expect(entries.map(({ position }) => Number(position.split('-')[0]))).toEqual(texts.map((_, index) => index + 1))
    for (const [index, text] of texts.entries())
      expect(
        entries.filter(({ position }) => position === positions[index]).map(({ content }) => textOf(content)),
      ).toEqual([text])
    // Of one handle they stay in the order of the calls.
    const own = texts.map((_, index) => index).filter((index) => index % 4 === 0)
    const numbers = own.map((index) => Number(positions[index]!.split('-')[0]))
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  })

  it('beside readers: a reader sees what was there when it began, or more, and always in order', async () => {
    const { store, log } = await filled(['0', '1', '2'])
    const reading = log.read()
    const seen = [textOf(((await reading.next()).value as { content: Uint8Array }).content)]
    await appendAll(logIn(store), '3', '4')
    for await (const { content } of reading) seen.push(textOf(content))
    expect(seen).toEqual(['0', '1', '2', '3', '4'].slice(0, seen.length))
    expect(seen.length).toBeGreaterThanOrEqual(3)
  })

  it('that lose every race say so after 100 tries', async () => {
    const store = new OpenStore()
    const rival = logIn(store)
    let isOpen = true
    store.beforeWrite = async (name) => {
      if (name !== epochName(0) || !isOpen) return undefined
      isOpen = false
      await rival.append(bytesOf('rival'))
      isOpen = true
      return undefined
    }
    const { detail } = await failure(() => logIn(store).append(bytesOf('mine')), 'conflict')
    expect(detail).toEqual({ object: 'log', tries: 100 })
    expect((await textsIn(logIn(store))).every((text) => text === 'rival')).toBe(true)
    store.beforeWrite = () => undefined
    expect(await textsIn(rival)).toHaveLength(100)
  })

  it('cost few reads and writes each', async () => {
    const { store, log } = await filled(['1', '2', '3'])
    const before = { ...store.calls }
    await log.append(bytesOf('4'))
    expect([store.calls.read - before.read, store.calls.readVersion - before.readVersion]).toEqual([1, 0])
    expect(store.calls.write - before.write).toBe(1)
    const fresh = logIn(store)
    const start = { ...store.calls }
    await fresh.last()
    expect(store.calls.read - start.read + store.calls.readVersion - start.readVersion).toBeLessThanOrEqual(4)
  })
})

describe('a definition', () => {
  it('reads and appends to the log of its keyset, also after a reseal, and cannot reseal it', async () => {
    const { store, log, positions } = await filled(['one', 'two'], owner)
    using definition = await quickly(() => unlockKeyset(owner.export('definition'), PASSWORD))
    const theirs = logIn(store, definition)
    expect(await textsIn(theirs)).toEqual(['one', 'two'])
    await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    for (const each of [theirs, logIn(store, definition)]) expect(await textsIn(each)).toEqual(['two'])
    const third = await theirs.append(bytesOf('three'))
    expect(await textsIn(log, { atLeast: third })).toEqual(['two', 'three'])
    const before = store.written.length
    const error = await failure(() => theirs.reseal({ atLeast: third, leaveOut: [third] }), 'policy')
    expect(error.detail).toEqual({ rule: 'all-keys', what: 'resealing a log' })
    expect([store.written.length, store.calls.drop]).toEqual([before, 1])
  })
})

describe('a log under several key pairs', () => {
  it('is read by who has them all, and says which record is under another one', async () => {
    const old = await quickKeyset()
    const { store, positions } = await filled(['one'], old)
    const regenerated = old.regenerate()
    await logIn(store, regenerated).append(bytesOf('two'))
    expect(await textsIn(logIn(store, regenerated))).toEqual(['one', 'two'])
    using forgotten = regenerated.forgetRetired('unchecked')
    const log = logIn(store, forgotten)
    expect(textOf((await log.last({ atLeast: positions[0]! }))!.content)).toBe('two')
    const error = await failure(() => all(log.read()), 'key-not-found')
    expect(error.detail).toEqual({ position: positions[0], epoch: 0, version: 1, log: LOG_ID })
    const damaged: string[] = []
    expect(await textsIn(log, { onDamaged: (_, position) => damaged.push(position) })).toEqual(['two'])
    expect(damaged).toEqual([positions[0]])
    // The last record may be the one that does not open.
    await failure(() => logIn(store, old).last(), 'key-not-found')
    await failure(() => log.reseal({ atLeast: positions[0]! }), 'key-not-found')
    await log.reseal({ atLeast: positions[0]!, leaveOut: [positions[0]!] })
    expect(await textsIn(log, { atLeast: positions[0]! })).toEqual(['two'])
    expect(await textsIn(logIn(store, stranger)).catch((each: unknown) => (each as { code: string }).code)).toBe(
      'policy',
    )
  })
})
