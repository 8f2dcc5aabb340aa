// A log in a store that has the honest versions of one epoch in any arrangement: missing, repeated, moved or cut, with
// junk between them. The store itself keeps to its contract, unlike a junk store. Whatever the arrangement is, every
// operation ends soon, readers see only what was appended, each record once and in order, and what succeeds has lost
// nothing.
import { type Keyset, KeystrataError, type Log, openLog } from '../../src/index.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { hex, makeKeyset, sample } from '../fixtures.ts'
import type { Target } from './inputs.ts'
import { type Objects, objectsIn } from './junk.ts'

/** How many versions an arranged epoch has at most. */
const MOST_VERSIONS = 12

/** More calls than any operation needs with so few versions. */
const MOST_CALLS = 20_000

const POINTER = `log/${hex(logIdOf('backups'))}`
const nameOf = (epoch: number): string => `${POINTER}/${epoch}`

/**
 * Returns what stands at the versions of an object, from 1 on. Byte n of the script decides about version n, and byte 0
 * how many there are. A script of zeros is the honest object.
 */
function arranged(honest: readonly (Uint8Array | undefined)[], script: Uint8Array): (Uint8Array | undefined)[] {
  const [first = 0] = script
  const length = first === 0 ? honest.length : first % MOST_VERSIONS
  const versions = Array.from({ length }, (_, index) => {
    const byte = script[index + 1] ?? 0
    const kind = byte % 10
    if (kind === 7) return undefined
    if (kind === 8) return new Uint8Array(byte)
    if (kind === 9) return honest[index]?.subarray(0, byte)
    return honest[kind === 0 ? index : kind - 1]
  })
  return versions.slice(0, versions.findLastIndex((bytes) => bytes !== undefined) + 1)
}

/** Returns a store with these objects, one of them arranged. */
function arrangedStore(objects: Objects, arrangedName: string, script: Uint8Array): StateStore {
  const stored = new Map(
    [...objects].map(([name, versions]) => [name, name === arrangedName ? arranged(versions, script) : [...versions]]),
  )
  let calls = 0
  const versionsOf = (name: string) => {
    if (++calls > MOST_CALLS) throw new Error(`more than ${MOST_CALLS} calls of a store`)
    const versions = stored.get(name) ?? []
    stored.set(name, versions)
    return versions
  }
  return {
    read: async (name) => {
      const versions = versionsOf(name)
      const bytes = versions.at(-1)
      return bytes && { version: versions.length, bytes: new Uint8Array(bytes) }
    },
    readVersion: async (name, version) => {
      const bytes = versionsOf(name)[version - 1]
      return bytes && new Uint8Array(bytes)
    },
    write: async (name, version, bytes) => {
      const versions = versionsOf(name)
      if (version !== versions.length + 1) return false
      versions.push(new Uint8Array(bytes))
      return true
    },
    drop: async (name, below) => {
      const versions = versionsOf(name)
      versions.fill(undefined, 0, Math.min(below, versions.length) - 1)
    },
  }
}

const numberOf = (position: string): number => Number(position.split('-')[0])

type Options = NonNullable<Parameters<Log['read']>[0]>

function assertThat(holds: boolean, rule: string): void {
  if (!holds) throw new Error(`an arranged log breaks a rule: ${rule}`)
}

/** Reads a log, and checks that it has nothing but what was appended. Returns the positions. */
async function positionsIn(log: Log, appended: ReadonlyMap<string, number>, options: Options): Promise<string[]> {
  const positions: string[] = []
  for await (const { position, content } of log.read(options)) {
    const size = appended.get(position)
    assertThat(size !== undefined, `nobody appended ${position}`)
    assertThat(Buffer.compare(content, sample(size ?? 0)) === 0, `${position} has another content`)
    positions.push(position)
  }
  const numbers = positions.map(numberOf)
  assertThat(
    numbers.every((number, index) => index === 0 || number > numbers[index - 1]!),
    'numbers ascend',
  )
  return positions
}

/** Returns a log in which record 1 was left out, and everything that its store ever held. */
async function made(keys: Keyset | OpenedVault): Promise<{ objects: Objects; positions: string[] }> {
  const memory = memoryStateStore()
  const host = openLog(memory, 'backups', keys)
  const positions: string[] = []
  const append = async () => void positions.push(await host.append(sample(10 * (positions.length + 1))))
  for (let record = 1; record <= 3; record++) await append()
  let isLate = false
  const store: StateStore = {
    ...memory,
    write: async (name, version, bytes) => {
      // One more record before the seal-off, so that the new epoch has a close that another one supersedes.
      if (name === nameOf(0) && !isLate) {
        isLate = true
        await append()
      }
      return memory.write(name, version, bytes)
    },
    // An attacker may have kept what was dropped.
    drop: async () => undefined,
  }
  await openLog(store, 'backups', keys).reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
  await append()
  await append()
  return { objects: await objectsIn(memory, nameOf(0), nameOf(1), POINTER), positions }
}

/** Makes all calls, and throws the last error. Any error but a KeystrataError ends this at once. */
async function eachOf(calls: readonly (() => Promise<void>)[]): Promise<void> {
  let failed: KeystrataError | undefined
  for (const call of calls) {
    try {
      await call()
    } catch (error) {
      if (!(error instanceof KeystrataError)) throw error
      failed = error
    }
  }
  if (failed !== undefined) throw failed
}

const isSame = (one: readonly string[], other: readonly string[]): boolean => one.join() === other.join()

const owners = [
  { of: 'vault', keys: new OpenedVault(sample(16, 3), new SecretKey('data', sample(32, 3))) },
  { of: 'keyset', keys: await makeKeyset({ encryption: 'x25519' }) },
]
const madeLogs = await Promise.all(owners.map(async ({ of, keys }) => ({ of, keys, ...(await made(keys)) })))

export const arrangedTargets: readonly Target[] = madeLogs.flatMap(({ of, keys, objects, positions }) => {
  const appended = new Map(positions.map((position, index) => [position, 10 * (index + 1)]))
  const kept = positions.slice(1)
  const [cut = '', last = ''] = [positions[2], positions.at(-1)]
  return [0, 1].map((epoch): Target => {
    /** Returns a function that opens the log anew each time, in one store. */
    const opening = (script: Uint8Array) => {
      const store = arrangedStore(objects, nameOf(epoch), script)
      return () => openLog(store, 'backups', keys)
    }
    const read = (open: () => Log, options: Options, known: ReadonlyMap<string, number> = appended) =>
      positionsIn(open(), known, options)
    const calls = (script: Uint8Array) => [
      async () => {
        const all = await read(opening(script), { atLeast: last })
        assertThat(isSame(all, kept), 'a reader without onDamaged sees everything up to its floor')
      },
      async () => {
        const damaged: string[] = []
        const options = { atLeast: last, onDamaged: (_: unknown, position: string) => void damaged.push(position) }
        const seen = await read(opening(script), options)
        const lost = kept.filter((position) => !seen.includes(position))
        assertThat(lost.length <= damaged.length, 'onDamaged hears of every record that is lost')
      },
      async () => {
        const some = await read(opening(script), { after: cut, onDamaged: () => undefined })
        assertThat(
          some.every((position) => numberOf(position) > numberOf(cut)),
          'nothing up to `after` is read',
        )
      },
      async () => {
        const found = await opening(script)().last({ atLeast: last })
        assertThat(found?.position === last, 'the last record is the floor')
      },
      async () => {
        const open = opening(script)
        const position = await open().append(sample(1))
        const known = new Map([...appended, [position, 1]])
        const all = await read(open, { atLeast: position, onDamaged: () => undefined }, known)
        assertThat(all.at(-1) === position, 'what was appended is the last record')
      },
      async () => {
        const open = opening(script)
        await open().reseal({ atLeast: last })
        assertThat(isSame(await read(open, { atLeast: last }), kept), 'resealing keeps everything')
      },
      async () => {
        const open = opening(script)
        await open().reseal({ atLeast: cut, upTo: cut })
        const all = await read(open, { atLeast: cut })
        assertThat(all.at(-1) === cut, '`upTo` leaves out what is behind it, and keeps the record itself')
      },
    ]
    return {
      name: `arranged-${of}-${epoch}`,
      seeds: [new Uint8Array(1), new Uint8Array(8)],
      isScript: true,
      isImpatient: true,
      isSlow: true,
      // Several operations, each on a store of its own.
      slack: 64 * 1024 * 1024,
      reads: [(script) => eachOf(calls(script))],
    }
  })
})
