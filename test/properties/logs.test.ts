// Laws of logs, for any contents, any change to the stored bytes, and any order of appending and resealing.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openLog, openWriter } from '../../src/index.ts'
import { logIdOf, wellFormed } from '../../src/state/record-layout.ts'
import { withoutPauses } from '../pauses.ts'
import { all, failure, flipped, hex, numRuns } from '../fixtures.ts'
import { cheap, clientOf, epochName, filled, LOG, logIn, OpenStore, owner, type Owner } from '../state/log-fixtures.ts'

withoutPauses()

const runs = { numRuns: numRuns(60, 1500) }
const scope = (await clientOf('AES-256', 'laws')).scope('private')
const host = openWriter(owner.export('host'))
/** Signatures are slow, so most logs are of a vault or a scope. */
const keys = fc.oneof(
  { weight: 14, arbitrary: fc.constantFrom<Owner>(cheap, scope) },
  { weight: 1, arbitrary: fc.constant<Owner>(owner) },
)
const content = fc.uint8Array({ maxLength: 60 })
const ZEROS = '0'.repeat(32)

interface Entry {
  readonly position: string
  readonly content: string
}

const entriesIn = async (store: OpenStore, by: Owner, options: Parameters<ReturnType<typeof logIn>['read']>[0] = {}) =>
  (await all(logIn(store, by).read(options))).map((each): Entry => ({ ...each, content: hex(each.content) }))

/** Makes a log of these contents, of which some were left out by a resealing. */
async function makeLog(by: Owner, contents: readonly Uint8Array[], leftOut: readonly number[]) {
  const { store, log } = await filled([], by)
  const entries: Entry[] = []
  for (const each of contents) entries.push({ position: await log.append(each), content: hex(each) })
  const leaveOut = new Set(leftOut.map((index) => entries[index % entries.length]!))
  if (leaveOut.size > 0) {
    const atLeast = entries.at(-1)!.position
    await log.reseal({ atLeast, leaveOut: [...leaveOut].map(({ position }) => position) })
  }
  return { store, log, entries, kept: entries.filter((entry) => !leaveOut.has(entry)) }
}

describe('logs', () => {
  it('give back exactly what append said', async () => {
    await fc.assert(
      fc.asyncProperty(keys, fc.array(content, { maxLength: 6 }), fc.nat(6), async (by, contents, from) => {
        const { store, entries } = await makeLog(by, contents, [])
        expect(await entriesIn(store, by)).toEqual(entries)
        expect(entries.map(({ position }) => Number(position.split('-')[0]))).toEqual(
          entries.map((_, index) => index + 1),
        )
        const after = entries[from]
        if (after !== undefined)
          expect(await entriesIn(store, by, { after: after.position })).toEqual(entries.slice(from + 1))
        const newest = await logIn(store, by).last()
        expect(newest && { ...newest, content: hex(newest.content) }).toEqual(entries.at(-1))
      }),
      runs,
    )
  })

  it('with any flipped bit of any record give no other content: the record is damaged, or nothing has changed', async () => {
    await fc.assert(
      fc.asyncProperty(
        keys,
        // A single record with another owner id is a log of that owner.
        fc.array(content, { minLength: 2, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 1 }),
        fc.nat(),
        fc.nat(),
        fc.nat(7),
        async (by, contents, leftOut, object, position, bit) => {
          const { store, entries, kept } = await makeLog(by, contents, leftOut)
          const stored = [...store.objects].flatMap(([name, versions]) =>
            [...versions.keys()].map((version) => [name, version] as const),
          )
          const [name, version] = stored[object % stored.length]!
          const bytes = store.at(name, version)
          const isClose = wellFormed(bytes, logIdOf(LOG))?.kind === 'close'
          store.set(name, version, flipped(bytes, position % bytes.length, bit))
          const damaged: string[] = []
          const read = await entriesIn(store, by, { onDamaged: (_, at) => damaged.push(at) })
          const numbers = damaged.map((at) => Number(at.split('-')[0]))
          if (isClose && damaged.length > 0) {
            // A damaged close is reported, and hides nothing.
            expect(read).toEqual(kept)
            expect(damaged).toHaveLength(1)
          } else {
            // What is missing was reported with its number, and nothing else was.
            expect(read).toEqual(kept.filter(({ position: at }) => !numbers.includes(Number(at.split('-')[0]))))
            expect(read.length + damaged.length).toBe(kept.length)
          }
          expect(damaged.every((at) => at.endsWith(ZEROS))).toBe(true)
          if (damaged.length > 0)
            await failure(
              () => entriesIn(store, by),
              'authentication-failed',
              'malformed',
              'unsupported',
              'key-not-found',
            )
          // Appending goes on, and loses nothing.
          const next = await logIn(store, by).append(Uint8Array.of(1))
          expect(Number(next.split('-')[0])).toBe(entries.length + 1)
          const again = await entriesIn(store, by, { atLeast: next, onDamaged: () => undefined })
          expect(again).toEqual([...read, { position: next, content: '01' }])
        },
      ),
      { numRuns: numRuns(50, 2000) },
    )
  })

  it('are shortened only where positions notice it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 2 }),
        fc.nat(),
        async (contents, leftOut, cut) => {
          const { store, log, entries } = await makeLog(cheap, contents, leftOut)
          const more = await log.append(Uint8Array.of(1))
          const name = epochName(leftOut.length > 0 ? 1 : 0)
          const newest = store.newest(name)
          const first = 1 + (cut % newest)
          store.lose(name, ...Array.from({ length: newest - first + 1 }, (_, index) => first + index))
          for (const position of [more, entries.at(-1)!.position])
            await logIn(store)
              .last({ atLeast: position })
              .then(
                // The last record alone was cut off.
                () => expect([position, first]).toEqual([entries.at(-1)!.position, newest]),
                (error: unknown) => expect(['rollback', 'missing']).toContain((error as { code: string }).code),
              )
        },
      ),
      runs,
    )
  })

  it('keep positions and contents through any order of appending and resealing, by any number of handles', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ what: fc.constant('append' as const), handle: fc.nat(2), content }) },
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constantFrom('leaveOut' as const, 'upTo' as const, 'again' as const),
          handle: fc.nat(2),
          which: fc.nat(),
        }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        const store = new OpenStore()
        const logs = [logIn(store), logIn(store), logIn(store)]
        const everything: Entry[] = []
        let kept: Entry[] = []
        // What each resealing found, and what it took over.
        const resealings: { length: number; kept: readonly Entry[] }[] = []
        const indexOf = (entry: Entry) => everything.indexOf(entry)
        for (const each of steps) {
          const log = logs[each.handle]!
          if (each.what === 'append') {
            const entry = { position: await log.append(each.content), content: hex(each.content) }
            expect(Number(entry.position.split('-')[0])).toBe(everything.length + 1)
            everything.push(entry)
            kept.push(entry)
            continue
          }
          if (everything.length === 0) continue
          const index = each.which % everything.length
          const { position } = everything[index]!
          const atLeast = everything.at(-1)!.position
          const before = kept
          if (each.what === 'leaveOut') {
            await log.reseal({ atLeast, leaveOut: [position] })
            kept = kept.filter((entry) => entry.position !== position)
            if (kept.length < before.length) resealings.push({ length: everything.length, kept: [...kept] })
          } else if (each.what === 'upTo') {
            await log.reseal({ atLeast, upTo: position })
            // If an earlier one left out everything behind it, what was appended since then stays.
            const isCut = resealings.some(
              ({ length, kept: taken }) => length > index + 1 && taken.every((entry) => indexOf(entry) <= index),
            )
            if (isCut) continue
            kept = kept.filter((entry) => indexOf(entry) <= index)
            if (everything.length > index + 1) resealings.push({ length: everything.length, kept: [...kept] })
          } else {
            const written = store.written.length
            await log.reseal({ atLeast })
            // Nothing was to be done, unless a pointer was to be raised.
            expect(store.written.slice(written).every(([name]) => !/\/\d+$/.test(name))).toBe(true)
          }
          expect(await entriesIn(store, cheap)).toEqual(kept)
        }
        for (const handle of [...logs, logIn(store)]) {
          expect((await all(handle.read())).map((each) => ({ ...each, content: hex(each.content) }))).toEqual(kept)
          for (const { position } of everything) await handle.last({ atLeast: position })
        }
      }),
      runs,
    )
  })

  it('of a keyset keep everything through regenerating and resealing, whoever appends', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(content, { maxLength: 2 }), { maxLength: 3 }), async (rounds) => {
        const store = new OpenStore()
        const entries: Entry[] = []
        let keyset = owner
        for (const [round, contents] of rounds.entries()) {
          const writer = round === 0 ? host : openWriter(keyset.export('host'))
          for (const each of contents)
            entries.push({ position: await openLog(store, LOG, writer).append(each), content: hex(each) })
          if (entries.length === 0) continue
          const regenerated = keyset.regenerate()
          await logIn(store, regenerated).reseal({ atLeast: entries.at(-1)!.position })
          keyset = regenerated.forgetRetired('unchecked')
          expect(await entriesIn(store, keyset)).toEqual(entries)
        }
      }),
      { numRuns: numRuns(5, 60) },
    )
  })
})
