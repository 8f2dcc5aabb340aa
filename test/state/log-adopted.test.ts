// Logs of keysets that were adopted (SPEC §7.4).
import { describe, expect, it } from 'vitest'
import { openLog, openWriter, unlockKeyset } from '../../src/index.ts'
import { withoutPauses } from '../pauses.ts'
import { all, failure, PASSWORD, quickly } from '../fixtures.ts'
import {
  bytesOf,
  epochName,
  fieldsOf,
  filled,
  forgeRecord,
  LOG,
  logIn,
  POINTER,
  quickKeyset,
  stranger,
  textOf,
  textsIn,
} from './log-fixtures.ts'

withoutPauses()

describe('an adopted keyset', () => {
  it('that had resealed its log itself stops appending once the adopter has resealed it', async () => {
    const old = await quickKeyset()
    const { store, log, positions } = await filled(['1', '2'], old)
    await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    const adopter = (await quickKeyset()).adopt(old)
    await logIn(store, adopter).reseal({ atLeast: positions[1]! })
    for (const each of [log, logIn(store, old)]) {
      await failure(() => each.append(bytesOf('lost')), 'policy')
      await failure(() => each.last(), 'policy')
      await failure(() => all(each.read()), 'policy')
    }
    expect(await textsIn(logIn(store, adopter))).toEqual(['2'])
  })

  async function adoption() {
    const old = await quickKeyset()
    const fresh = await quickKeyset()
    const { store, positions } = await filled(['1', '2'], old)
    return { old, fresh, adopter: fresh.adopt(old), store, positions }
  }

  it('has a log that its adopter reads, appends to after resealing, and reads for ever', async () => {
    const { old, fresh, adopter, store, positions } = await adoption()
    const log = logIn(store, adopter)
    expect(await textsIn(log, { atLeast: positions[1]! })).toEqual(['1', '2'])
    await failure(() => logIn(store, fresh).last(), 'policy')
    const error = await failure(() => log.append(bytesOf('3')), 'policy')
    expect(error.detail).toEqual({ rule: 'reseal-first' })
    await failure(() => openLog(store, LOG, openWriter(adopter.export('host'))).append(bytesOf('3')), 'policy')
    expect(store.written).toHaveLength(2)
    // Old hosts still append, until the log is resealed.
    const third = await logIn(store, old).append(bytesOf('3'))
    expect(await log.reseal({ atLeast: third })).toEqual({ position: third, copied: 3 })
    expect(fieldsOf(store.at(epochName(0), 4)).ownerId).toBe(adopter.id)
    using forgotten = adopter.forgetRetired('unchecked')
    for (const keys of [adopter, forgotten]) expect(await textsIn(logIn(store, keys))).toEqual(['1', '2', '3'])
    const fourth = await openLog(store, LOG, openWriter(forgotten.export('host'))).append(bytesOf('4'))
    expect(await textsIn(log, { after: third })).toEqual(['4'])
    // For the old keyset this log now belongs to another owner.
    for (const each of [logIn(store, old)]) {
      await failure(() => each.append(bytesOf('lost')), 'policy')
      await failure(() => each.last(), 'policy')
    }
    expect((await log.reseal({ atLeast: fourth })).copied).toBe(0)
  })

  it('cannot put its records into an epoch of the adopter', async () => {
    const { old, adopter, store, positions } = await adoption()
    const log = logIn(store, adopter)
    await log.reseal({ atLeast: positions[1]! })
    const place = { epoch: 1, sequence: 4, number: 3 }
    store.set(epochName(1), 4, await forgeRecord(old, place, bytesOf('planted')))
    expect(textOf((await log.last())!.content)).toBe('2')
    await failure(() => all(log.read()), 'authentication-failed')
    const position = await log.append(bytesOf('4'))
    expect(fieldsOf(store.at(epochName(1), 5)).flags).toBe(12)
    const damaged: string[] = []
    expect(await textsIn(log, { atLeast: position, onDamaged: (_, at) => damaged.push(at) })).toEqual(['1', '2', '4'])
    expect(damaged).toEqual([`3-${'0'.repeat(32)}`])
  })

  it('is read by a definition of the adopter once its log is resealed', async () => {
    const { adopter, store, positions } = await adoption()
    using definition = await quickly(() => unlockKeyset(adopter.export('definition'), PASSWORD))
    const log = logIn(store, definition)
    for (const call of [() => log.last(), () => all(log.read()), () => log.append(bytesOf('3'))])
      expect((await failure(call, 'policy')).detail['rule']).toBe('all-keys')
    const before = store.written.length
    await failure(() => log.reseal({ atLeast: positions[1]! }), 'policy')
    expect(store.written.length).toBe(before)
    await logIn(store, adopter).reseal({ atLeast: positions[1]! })
    expect(await textsIn(logIn(store, definition))).toEqual(['1', '2'])
    expect(await textsIn(logIn(store, definition), { after: positions[0]! })).toEqual(['2'])
    await logIn(store, definition).append(bytesOf('3'))
    expect(await textsIn(logIn(store, definition))).toEqual(['1', '2', '3'])
  })

  it('and a keyset that it had adopted itself are resealed by the last adopter', async () => {
    const { adopter, store, positions } = await adoption()
    const last = (await quickKeyset()).adopt(adopter)
    // The middle one resealed; a third one adopted it.
    await logIn(store, adopter).reseal({ atLeast: positions[1]! })
    const third = await logIn(store, adopter).append(bytesOf('3'))
    const log = logIn(store, last)
    await failure(() => log.append(bytesOf('4')), 'policy')
    await log.reseal({ atLeast: third })
    expect(await textsIn(logIn(store, last), { atLeast: third })).toEqual(['1', '2', '3'])
    store.objects.delete(POINTER)
    expect(await textsIn(logIn(store, last))).toEqual(['1', '2', '3'])
    await failure(() => logIn(store, stranger).last(), 'policy')
  })
})
