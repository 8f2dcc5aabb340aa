// Adds the vectors of whole logs (SPEC §7.4) below to log.json, unless they are there already: the objects that the
// library leaves in a store, and the same with one fault. Run `npm run vectors`.
import { type Keys, type LogReader, openLog } from '../../src/index.ts'
import { concat } from '../../src/core/bytes.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { encodeClose, encodeSealOff } from '../../src/state/marker.ts'
import { logIdOf, parseRecord } from '../../src/state/record-layout.ts'
import type { StateStore } from '../../src/state/store.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { flipped, hex, sample } from '../fixtures.ts'
import { append } from './append.ts'
import { contents, full, master } from './generate-keyset.ts'
import { adopted } from './generate-adopted.ts'
import { frozenContents, keysFor, LOG, logId, marked, resigned, sealed } from './make-record.ts'
import { handleOf } from './owners.ts'
import { type LogVector, ownedRecordVectors } from './vectors.ts'

type Objects = Map<string, Map<number, Uint8Array>>
const nameOf = (epoch: number, log = logId) => `log/${hex(log)}/${epoch}`
const POINTER = `log/${hex(logId)}`

/** Returns what is in a store. Log ids are known, and no epoch here is above 4. */
async function objectsIn(store: StateStore): Promise<Objects> {
  const objects: Objects = new Map()
  for (const name of [POINTER, ...[0, 1, 2, 3, 4].map((epoch) => nameOf(epoch))]) {
    const newest = (await store.read(name))?.version ?? 0
    const versions: Map<number, Uint8Array> = new Map()
    for (let version = 1; version <= newest; version++) {
      const bytes = await store.readVersion(name, version)
      if (bytes !== undefined) versions.set(version, bytes)
    }
    if (newest > 0) objects.set(name, versions)
  }
  return objects
}

/** Returns a copy of objects with other bytes in one version; undefined takes the version away. */
function changed(objects: Objects, name: string, version: number, bytes: Uint8Array | undefined): Objects {
  const copy = new Map([...objects].map(([each, versions]) => [each, new Map(versions)]))
  const versions = copy.get(name) ?? new Map<number, Uint8Array>()
  if (bytes === undefined) versions.delete(version)
  else versions.set(version, bytes)
  return copy.set(name, versions)
}

type Read = Pick<LogVector, 'epoch' | 'records'>
const NOTHING: Read = { epoch: 0, records: [] }
const logs: LogVector[] = []
function log(
  id: string,
  comment: string,
  owner: LogVector['owner'],
  objects: Objects,
  read: Read | LogVector['expect'],
  more: Partial<LogVector> = {},
): void {
  const stored = [...objects].map(([name, versions]) => {
    return [name, Object.fromEntries([...versions].map(([version, bytes]) => [version, hex(bytes)]))] as const
  })
  const outcome = typeof read === 'string' ? { ...NOTHING, expect: read } : { ...read, expect: 'ok' as const }
  const common = { id, section: '7.4', comment, owner, log: LOG }
  logs.push({ ...common, objects: Object.fromEntries(stored), ...outcome, ...more })
}

async function recordsOf(reader: LogReader): Promise<LogVector['records']> {
  const records: LogVector['records'] = []
  for await (const { position, content } of reader.read()) records.push({ position, content: hex(content) })
  return records
}

/** Appends contents, each of another length. Returns their positions. */
async function appendTo(store: StateStore, keys: Keys, count: number, from = 0): Promise<string[]> {
  const positions: string[] = []
  for (let i = from; i < from + count; i++) positions.push(await openLog(store, LOG, keys).append(sample(i, i + 1)))
  return positions
}

/** A store that keeps everything, as one that may not delete. */
const keeping = (store: StateStore): StateStore => ({ ...store, drop: () => Promise.resolve() })

/** Two epochs: five records, of which the second and the last two are left out, and two more. */
async function resealed(store: StateStore, keys: Keys): Promise<{ positions: string[]; read: Read }> {
  const before = await appendTo(store, keys, 5)
  const opened = openLog(store, LOG, keys)
  await opened.reseal({ atLeast: before[4]!, upTo: before[2]!, leaveOut: [before[1]!] })
  const after = await appendTo(store, keys, 2, 5)
  return { positions: [...before, ...after], read: { epoch: 1, records: await recordsOf(opened) } }
}

// ── a keyset ─────────────────────────────────────────────────────────────────────────────────────────────────────────
// None of the handles is disposed of: that would wipe the keys of `contents`.
const keysetWith = (of: typeof contents) => unlocked(of, master.copy(), undefined)
const host = { kind: 'keyset', keyset: 'host' } as const
const keyset = keysetWith(contents)
const keys = keysFor(keyset)

log('empty', 'nothing was appended', host, new Map(), NOTHING)
const simple = memoryStateStore()
const [, , third] = await appendTo(simple, keyset, 3)
const three = await objectsIn(simple)
const readThree = { epoch: 0, records: await recordsOf(openLog(simple, LOG, keyset)) }
log('epoch-0', 'three records', host, three, readThree)
log('floor', 'three records, the third of which is known', host, three, readThree, { atLeast: third! })
log('definition', 'three records, by a definition', { kind: 'keyset', keyset: 'source-definition' }, three, readThree)
log('rollback', 'the third record is known, and gone', host, changed(three, nameOf(0), 3, undefined), 'rollback', {
  atLeast: third!,
})
const otherId = `1-${'00'.repeat(16)}`
log('forked', 'another record is known under the number of the first', host, three, 'forked', { atLeast: otherId })

const store = memoryStateStore()
const { positions, read } = await resealed(store, keyset)
const two = await objectsIn(store)
log('resealed', 'two epochs: the close leaves out numbers 2, 4 and 5; what was sealed off is dropped', host, two, read)
for (const index of [1, 4]) {
  const atLeast = positions[index]!
  log(`floor-left-out-${index + 1}`, 'the position of a record that was left out', host, two, read, { atLeast })
}
log('floor-copied', 'the position of a record that was copied', host, two, read, { atLeast: positions[2]! })
const nothingBehind = memoryStateStore()
const [firstOne, lastOne] = await appendTo(nothingBehind, keyset, 2)
await openLog(nothingBehind, LOG, keyset).reseal({ atLeast: lastOne!, upTo: lastOne!, leaveOut: [firstOne!] })
await appendTo(nothingBehind, keyset, 1, 2)
const readNothingBehind = { epoch: 1, records: await recordsOf(openLog(nothingBehind, LOG, keyset)) }
log(
  'up-to-the-end',
  'resealed up to its last record: number 3, which nobody has used, is left out, and 4 follows',
  host,
  await objectsIn(nothingBehind),
  readNothingBehind,
)
const forkedCopy = `3-${'00'.repeat(16)}`
log('forked-copied', 'another id under the number of a copy', host, two, 'forked', { atLeast: forkedCopy })
const withoutPointer = new Map(two)
withoutPointer.delete(POINTER)
log('no-pointer', 'the pointer is gone: it is a hint', host, withoutPointer, read)
log('lost-epoch', 'the epoch that the seal-off names is gone', host, withoutEpoch(two, 1), 'missing')
log('lost-copies', 'only the first copy is left of it', host, cut(two, nameOf(1), 1), 'missing')

/** Returns the objects with no more than the first versions of one. */
function cut(objects: Objects, name: string, count: number): Objects {
  const versions = new Map([...objects.get(name)!].filter(([version]) => version <= count))
  return new Map([...objects, [name, versions] as const])
}

const kept = memoryStateStore()
const { read: readKept } = await resealed(keeping(kept), keyset)
const whole = await objectsIn(kept)
log('kept', 'the same with nothing dropped', host, whole, readKept)
const sealOff = whole.get(nameOf(0))!.get(6)!
const stray = await sealed(keys, sample(9), { sequence: 7, number: 6, previous: sha256(sealOff) })
log(
  'behind-seal-off',
  'a record behind the seal-off does not count',
  host,
  changed(whole, nameOf(0), 7, stray),
  readKept,
)
log('not-sealed-off', 'the new epoch is closed, and the old one not sealed off: the old one counts', host, cutTo(5), {
  ...{ epoch: 0, records: await recordsOf(openLog(await storeOf(cutTo(5)), LOG, keyset)) },
})

function cutTo(count: number): Objects {
  return cut(whole, nameOf(0), count)
}
async function storeOf(objects: Objects): Promise<StateStore> {
  const filled = memoryStateStore()
  for (const [name, versions] of objects)
    for (const [version, bytes] of versions) await filled.write(name, version, bytes)
  return filled
}

const signers = { source: contents.sourceSigning, card: contents.additional!.cardSigning }
const byHost = resigned(sealOff, { source: signers.source, card: signers.source })
const planted = changed(cutTo(5), nameOf(0), 6, byHost)
log(
  'host-seals-off',
  'a seal-off that a host has signed counts as a damaged record',
  host,
  withoutEpoch(planted, 1),
  'authentication-failed',
)
function withoutEpoch(objects: Objects, epoch: number): Objects {
  return new Map([...objects].filter(([name]) => name !== nameOf(epoch)))
}
log('seal-off-lower', 'a seal-off that leads to its own epoch', host, backwards(), 'malformed')
function backwards(): Objects {
  const previous = sha256(two.get(nameOf(1))!.get(5)!)
  const { number } = parseRecord(two.get(nameOf(1))!.get(5)!, logId)
  const fields = { epoch: 1, sequence: 6, number, previous }
  return changed(two, nameOf(1), 6, marked(keys, 'seal-off', encodeSealOff({ epoch: 1, sequence: 4 }), fields))
}

const three0 = three.get(nameOf(0))!
log(
  'altered',
  'one bit of a record in the middle',
  host,
  changed(three, nameOf(0), 2, flipped(three0.get(2)!, 1780)),
  'authentication-failed',
)
log(
  'cut',
  'a record in the middle is cut short',
  host,
  changed(three, nameOf(0), 2, three0.get(2)!.subarray(0, 100)),
  'malformed',
)
const unchained = await sealed(keys, sample(9), { sequence: 2 })
log(
  'unchained',
  'a record that names no predecessor',
  host,
  changed(three, nameOf(0), 2, unchained),
  'authentication-failed',
)
const numbered = await sealed(keys, sample(9), { sequence: 4, number: 5, previous: sha256(three0.get(3)!) })
log(
  'number-gap',
  'a number is left out behind the start',
  host,
  changed(three, nameOf(0), 4, numbered),
  'authentication-failed',
)
const repeated = await sealed(keys, sample(9), { sequence: 3, number: 4, previous: sha256(three0.get(3)!) })
log(
  'sequence',
  'the sequence is not the version',
  host,
  changed(three, nameOf(0), 4, repeated),
  'authentication-failed',
)
const strange = await sealed(keys, sample(9), { epoch: 1, sequence: 4, previous: sha256(three0.get(3)!) })
log('epoch', 'a record of another epoch', host, changed(three, nameOf(0), 4, strange), 'authentication-failed')
const closing = encodeClose({ former: [], last: { number: 3, id: sample(16) } })
const close = marked(keys, 'close', closing, { sequence: 4, previous: sha256(three0.get(3)!) })
log('close-behind', 'a close behind the start', host, changed(three, nameOf(0), 4, close), 'authentication-failed')
const other = await sealed(keys, sample(9), { sequence: 4, previous: sha256(three0.get(3)!) }, logIdOf('other'))
log('other-log', 'a record of another log', host, changed(three, nameOf(0), 4, other), 'authentication-failed')
const afterDamage = { sequence: 4, previous: sha256(three0.get(3)!), isAfterDamage: true }
const passing = await sealed(keys, sample(9), { ...afterDamage, id: sample(16, 9) })
log('after-damage', 'flag 4 behind a record that is whole', host, changed(three, nameOf(0), 4, passing), {
  epoch: 0,
  records: [...readThree.records, { position: `4-${hex(sample(16, 9))}`, content: hex(sample(9)) }],
})

const deep = memoryStateStore()
const lax = keysetWith(await frozenContents('no-minimum'))
const early = await appendTo(keeping(deep), lax, 4)
await openLog(keeping(deep), LOG, lax).reseal({ atLeast: early[3]!, leaveOut: [early[0]!] })
const later = await appendTo(keeping(deep), lax, 2, 4)
await openLog(keeping(deep), LOG, lax).reseal({ atLeast: later[1]!, upTo: later[0]! })
await appendTo(keeping(deep), lax, 1, 6)
await openLog(keeping(deep), LOG, lax).reseal({ atLeast: later[0]!, leaveOut: [early[2]!] })
const readDeep = { epoch: 3, records: await recordsOf(openLog(deep, LOG, lax)) }
const owner = { kind: 'keyset', keyset: 'no-minimum' } as const
const four = await objectsIn(deep)
log(
  'four-epochs',
  'X25519 alone; each close leaves something out; the last epoch ends with its close',
  owner,
  four,
  readDeep,
)

// ── two epochs, made by hand ─────────────────────────────────────────────────────────────────────────────────────────
const idOf = (number: number) => sample(16, 40 + number) // as make-record.ts gives them
interface TwoEpochs {
  /** The numbers of the copies. */
  copies?: readonly number[]
  leftOut?: readonly { first: number; last: number }[]
  /** Whether a close that an earlier try left stands before the last copy. */
  isTriedTwice?: boolean
  /** Whether a record follows the close. */
  later?: boolean
}
/** A close of epoch 0, with this number of versions and last record. */
function closeOf(count: number, number: number, leftOut: TwoEpochs['leftOut'] = []): Uint8Array {
  const last = { number, id: idOf(number) }
  return encodeClose({ former: [{ epoch: 0, count, last, leftOut }], last })
}
/** Epoch 0 with three records and a seal-off, and epoch 1 with copies, a close, and one record. All of it is signed. */
async function twoEpochs(of: TwoEpochs = {}): Promise<{ objects: Objects; read: Read }> {
  const { copies = [1, 2, 3], leftOut = [], isTriedTwice = false, later = true } = of
  const chain = (objects: Uint8Array[]) => (objects.length > 0 ? sha256(objects.at(-1)!) : new Uint8Array(32))
  const old: Uint8Array[] = []
  for (const number of [1, 2, 3])
    old.push(await sealed(keys, sample(number, number), { sequence: number, previous: chain(old) }))
  const fresh: Uint8Array[] = []
  const place = () => ({ epoch: 1, sequence: fresh.length + 1, previous: chain(fresh) })
  for (const [i, number] of copies.entries()) {
    if (isTriedTwice && i === copies.length - 1)
      fresh.push(marked(keys, 'close', closeOf(2, 2), { ...place(), number: 2 }))
    fresh.push(await sealed(keys, sample(number, number), { ...place(), number }))
  }
  fresh.push(marked(keys, 'close', closeOf(3, copies.at(-1)!, leftOut), { ...place(), number: 3 }))
  const start = fresh.length
  old.push(
    marked(keys, 'seal-off', encodeSealOff({ epoch: 1, sequence: start }), {
      sequence: 4,
      number: 3,
      previous: chain(old),
    }),
  )
  if (later) fresh.push(await sealed(keys, sample(4, 4), { ...place(), number: 4 }))
  const versions = (objects: Uint8Array[]) => new Map(objects.map((bytes, i) => [i + 1, bytes]))
  const numbers = [...copies, ...(later ? [4] : [])]
  const records = numbers.map((number) => ({
    position: `${number}-${hex(idOf(number))}`,
    content: hex(sample(number, number)),
  }))
  return {
    objects: new Map([
      [nameOf(0), versions(old)],
      [nameOf(1), versions(fresh)],
    ]),
    read: { epoch: 1, records },
  }
}
async function byHand(id: string, comment: string, of: TwoEpochs): Promise<void> {
  const { objects, read } = await twoEpochs(of)
  log(`hand-${id}`, comment, host, objects, read)
}
await byHand('made', 'two epochs, made piece by piece', {})
await byHand('left-out', 'number 2 is left out', { copies: [1, 3], leftOut: [{ first: 2, last: 2 }] })
await byHand('close-alone', 'nothing behind the close', { later: false })
await byHand('two-closes', 'a close that an earlier try left among the copies', { isTriedTwice: true })
const { objects: handMade, read: readHandMade } = await twoEpochs()
log('hand-dropped', 'what was sealed off is dropped', host, dropped(handMade, nameOf(0), 4), readHandMade)
log('hand-lost-close', 'the close is gone, and what was behind it', host, cut(handMade, nameOf(1), 3), 'missing')
log('hand-forked-last', 'another id under the last number', host, handMade, 'forked', {
  atLeast: `4-${'00'.repeat(16)}`,
})
log('hand-rollback', 'a number behind the last', host, handMade, 'rollback', { atLeast: `5-${'00'.repeat(16)}` })
/** Returns the objects without the versions of one below this. */
function dropped(objects: Objects, name: string, lowest: number): Objects {
  const versions = new Map([...objects.get(name)!].filter(([version]) => version >= lowest))
  return new Map([...objects, [name, versions] as const])
}
const unread = await sealed(keys, sample(9), { sequence: 4, isAfterDamage: true, id: sample(16, 9) })
log('after-nothing', 'flag 4, and no hash', host, changed(three, nameOf(0), 4, unread), {
  epoch: 0,
  records: [...readThree.records, { position: `4-${hex(sample(16, 9))}`, content: hex(sample(9)) }],
})
const closeNumbered = marked(keys, 'close', closing, { sequence: 4, number: 4, previous: sha256(three0.get(3)!) })
log(
  'close-behind-number',
  'a close behind the start, with the number that is due',
  host,
  changed(three, nameOf(0), 4, closeNumbered),
  'authentication-failed',
)
const sealing0 = marked(keys, 'seal-off', concat(encodeSealOff({ epoch: 1, sequence: 4 }), new Uint8Array(1)), {
  sequence: 4,
  previous: sha256(three0.get(3)!),
})
log(
  'seal-off-trailing',
  'a byte behind what a seal-off says',
  host,
  changed(three, nameOf(0), 4, sealing0),
  'malformed',
)

// ── adopted sources ──────────────────────────────────────────────────────────────────────────────────────────────────
const source = keysetWith(adopted)
const adopter = keysetWith(full)
const taken = memoryStateStore()
const theirs = await appendTo(taken, source, 3)
const asAdopter = { kind: 'keyset', keyset: 'host-full' } as const
const readTheirs = { epoch: 0, records: await recordsOf(openLog(taken, LOG, source)) }
const unsealed = await objectsIn(taken)
log('adopted', 'the log of a source that was adopted', asAdopter, unsealed, readTheirs)
log('adopted-stranger', 'the same, by a keyset that has not adopted it', host, unsealed, 'policy')
log(
  'adopted-definition',
  'the same, by a definition',
  { kind: 'keyset', keyset: 'definition-full' },
  unsealed,
  'policy',
)
await openLog(keeping(taken), LOG, adopter).reseal({ atLeast: theirs[2]! })
await appendTo(taken, adopter, 1, 3)
const readTaken = { epoch: 1, records: await recordsOf(openLog(taken, LOG, adopter)) }
log(
  'adopted-resealed',
  'the adopter has resealed it: its seal-off ends the epoch',
  asAdopter,
  await objectsIn(taken),
  readTaken,
)
const mixed = await sealed(keysFor(adopter), sample(9), {
  sequence: 4,
  previous: sha256(unsealed.get(nameOf(0))!.get(3)!),
})
log(
  'adopted-mixed',
  'a record of the adopter in an epoch of the source',
  asAdopter,
  changed(unsealed, nameOf(0), 4, mixed),
  'authentication-failed',
)
const sealing = encodeSealOff({ epoch: 1, sequence: 1 })
const bySource = marked(keysFor(source), 'seal-off', sealing, { sequence: 4, previous: sha256(three0.get(3)!) })
log(
  'adopted-seals-off',
  'a seal-off of the source in an epoch of the adopter',
  asAdopter,
  await ofAdopter(),
  'authentication-failed',
)
async function ofAdopter(): Promise<Objects> {
  const own = memoryStateStore()
  await appendTo(own, adopter, 3)
  return changed(await objectsIn(own), nameOf(0), 4, bySource)
}

// A definition does not have the keys of an adopted source. In an epoch of its own it does not look for them.
const inOwn = memoryStateStore()
await appendTo(inOwn, adopter, 3)
const ofSource = await sealed(keysFor(source), sample(9), { sequence: 2 })
log(
  'definition-mixed',
  'a record of an adopted source in an epoch of its own, by a definition',
  { kind: 'keyset', keyset: 'definition-full' },
  changed(await objectsIn(inOwn), nameOf(0), 2, ofSource),
  'authentication-failed',
)

// ── vaults and scopes ────────────────────────────────────────────────────────────────────────────────────────────────
for (const name of ['vault', 'aes-128', 'aes-192', 'aes-256', 'account'] as const) {
  const of = ownedRecordVectors().find(({ id }) => id === `${name}-first`)!.owner
  const within = memoryStateStore()
  const made = await resealed(within, handleOf(of))
  const objects = await objectsIn(within)
  log(
    name,
    'two epochs: the close leaves out numbers 2, 4 and 5; what was sealed off is dropped',
    of,
    objects,
    made.read,
  )
  if (name !== 'vault') continue
  const altered = flipped(objects.get(nameOf(1))!.get(4)!, 115)
  log(
    `${name}-altered`,
    'one bit of a record behind the close',
    of,
    changed(objects, nameOf(1), 4, altered),
    'authentication-failed',
  )
}

// ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const [a1, a2, a3] = [1, 2, 3].map((version) => three0.get(version)!) as [Uint8Array, Uint8Array, Uint8Array]
const cutOff = (bytes: Uint8Array) => bytes.subarray(0, 100)
log('lost-middle', 'the store lost a record in the middle', host, changed(three, nameOf(0), 2, undefined), 'missing')
log('lost-first', 'the store lost the first record', host, changed(three, nameOf(0), 1, undefined), 'missing')
const cutSecond = changed(three, nameOf(0), 2, cutOff(a2))
log('damaged-rollback', 'a damaged record, and a log that ends too early', host, cutSecond, 'rollback', {
  atLeast: `4-${'00'.repeat(16)}`,
})
log('damaged-forked', 'a damaged record, and another id under the number of the third', host, cutSecond, 'forked', {
  atLeast: `3-${'00'.repeat(16)}`,
})
log('damaged-floor', 'the record that is known is damaged, and so is one before it', host, cutFirst(), 'malformed', {
  atLeast: `2-${hex(parseRecord(a2, logId).id)}`,
})
function cutFirst(): Objects {
  return changed(changed(three, nameOf(0), 1, flipped(a1, 1780)), nameOf(0), 2, cutOff(a2))
}
const sealOffWith = (payload: Uint8Array, number: number, previous: Uint8Array) =>
  changed(three, nameOf(0), 4, marked(keys, 'seal-off', payload, { sequence: 4, number, previous }))
const trailing = concat(encodeSealOff({ epoch: 1, sequence: 4 }), new Uint8Array(1))
log(
  'order-seal-off-number',
  'a number that is too low comes before an invalid payload',
  host,
  sealOffWith(trailing, 2, sha256(a3)),
  'authentication-failed',
)
log(
  'order-seal-off-previous',
  'an invalid payload comes before a wrong hash',
  host,
  sealOffWith(trailing, 3, sha256(a1)),
  'malformed',
)

// Epoch 1 has copies at versions 1 to 3, the close at 4, and a record at 5.
const inHand = (version: number) => handMade.get(nameOf(1))!.get(version)!
const withClose = (bytes: Uint8Array | undefined) => changed(handMade, nameOf(1), 4, bytes)
const handClose = inHand(4)
log('copy-cut', 'a copy is cut short', host, changed(handMade, nameOf(1), 2, cutOff(inHand(2))), 'malformed')
log('copy-lost', 'the store lost a copy', host, changed(handMade, nameOf(1), 2, undefined), 'missing')
log(
  'close-altered',
  'one bit of the close at the start',
  host,
  withClose(flipped(handClose, handClose.length - 1)),
  'authentication-failed',
)
log('close-cut', 'the close at the start is cut short', host, withClose(cutOff(handClose)), 'malformed')
log('close-lost', 'the store lost the close at the start', host, withClose(undefined), 'missing')
log('close-rollback', 'the same, and a log that ends too early', host, withClose(undefined), 'rollback', {
  atLeast: `5-${'00'.repeat(16)}`,
})
const atStart = { epoch: 1, sequence: 4, previous: sha256(inHand(3)) }
const instead = await sealed(keys, sample(9), { ...atStart, number: 3 })
log('close-content', 'a content record in place of the close', host, withClose(instead), 'authentication-failed')
const lower = marked(keys, 'close', closeOf(3, 3), { ...atStart, number: 2 })
log('close-number', 'the close at the start has another number', host, withClose(lower), 'authentication-failed')
const longer = marked(keys, 'close', concat(closeOf(3, 3), new Uint8Array(1)), { ...atStart, number: 3 })
log('close-trailing', 'a byte behind what the close at the start says', host, withClose(longer), 'malformed')
const planted3 = await sealed(keys, sample(9), { epoch: 1, sequence: 3, number: 3, previous: sha256(inHand(2)) })
log(
  'copy-replaced',
  'a host has replaced the copy before the close',
  host,
  changed(handMade, nameOf(1), 3, planted3),
  'authentication-failed',
)
log(
  'copy-replaced-close-lost',
  'the same, and the close is lost',
  host,
  changed(withClose(undefined), nameOf(1), 3, planted3),
  'missing',
)

// Epoch 1 has copies at 1 and 2, the close of an earlier attempt at 3, a copy at 4, the close at 5, and a record at 6.
const { objects: triedTwice } = await twoEpochs({ isTriedTwice: true })
const attempt = triedTwice.get(nameOf(1))!.get(3)!
for (const [id, comment, bytes, error] of [
  ['earlier-close-cut', 'the close of an earlier attempt is cut short', cutOff(attempt), 'malformed'],
  ['earlier-close-lost', 'the store lost the close of an earlier attempt', undefined, 'missing'],
] as const)
  log(id, comment, host, changed(triedTwice, nameOf(1), 3, bytes), error)
const { objects: gaps } = await twoEpochs({ copies: [1, 3], leftOut: [{ first: 2, last: 2 }] })
log(
  'floor-close-cut',
  'the position of a record that was left out, and the close is cut short',
  host,
  changed(gaps, nameOf(1), 3, cutOff(gaps.get(nameOf(1))!.get(3)!)),
  'malformed',
  { atLeast: `2-${hex(idOf(2))}` },
)

const planted1 = await sealed(keys, sample(9), { epoch: 1, sequence: 1, number: 1 })
const follows1 = { epoch: 1, sequence: 2, number: 2, previous: sha256(planted1) }
const bothPlanted = changed(
  changed(triedTwice, nameOf(1), 1, planted1),
  ...([nameOf(1), 2, await sealed(keys, sample(9), follows1)] as const),
)
log(
  'earlier-close-of-others',
  'a host has replaced the copies before the close of an earlier attempt',
  host,
  bothPlanted,
  'authentication-failed',
)
log(
  'earlier-close-of-others-cut',
  'the same, and that close is cut short',
  host,
  changed(bothPlanted, nameOf(1), 3, cutOff(attempt)),
  'malformed',
)
const { objects: without1 } = await twoEpochs({ copies: [2, 3], leftOut: [{ first: 1, last: 1 }] })
const planted2 = await sealed(keys, sample(9), { epoch: 1, sequence: 1, number: 2 })
log(
  'first-copy-replaced',
  'a host has replaced the first copy, behind a number that was left out',
  host,
  changed(without1, nameOf(1), 1, planted2),
  'authentication-failed',
)
const taking3 = await sealed(keys, sample(9), { epoch: 1, sequence: 1, number: 3 })
log(
  'copy-number-skipped',
  'a host has replaced the first copy by a record with the number of the second, and cut that short',
  host,
  changed(changed(without1, nameOf(1), 1, taking3), nameOf(1), 2, cutOff(without1.get(nameOf(1))!.get(2)!)),
  'authentication-failed',
)

append('log.json', logs)
