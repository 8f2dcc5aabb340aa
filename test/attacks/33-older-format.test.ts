// Row 33. Somebody who can write to the storage serves objects in the format of an earlier version, which had fewer
// protections: its keysets had no history, and its profiles no identity. They want this version to read them.
import { describe, expect, it } from 'vitest'
import { changeKeyset, loadKeyset, openLog, saveKeyset } from '../../src/index.ts'
import { guardProfiles } from '../../src/server.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, loadProfile, saveProfile } from '../../src/vault.ts'
import { readText } from '../files.ts'
import {
  ALICE,
  all,
  expectSame,
  failure,
  hex,
  newestBytes,
  PASSWORD,
  patched,
  quickly,
  resummed,
  sample,
  unhex,
} from '../fixtures.ts'
import { objects, readersOf } from '../interop/readers.ts'
import { quickKeyset } from './known.ts'

const frozen = JSON.parse(readText('interop', 'objects-0.2.json')) as Record<string, string>
const old = Object.fromEntries(Object.entries(frozen).map(([name, text]) => [name, unhex(text)]))

/** Where the header has the generation, and where it has the flags. Records have a flag instead of a generation. */
const GENERATION = 11
const FLAGS = 15

/** Returns an object as an earlier version would have written its header. */
function madeOlder(name: string, bytes: Uint8Array): Uint8Array {
  return name === 'record' ? patched(bytes, FLAGS, [0]) : patched(bytes, GENERATION, [0])
}

describe('a writer of storage wants this version to read older formats', () => {
  const newer = ['host export', 'storage export', 'definition export', 'record', 'challenge', 'enrolment', 'profile']

  it.each(newer)('rewrites the header of what has changed, a %s: it is unsupported', async (name) => {
    const bytes = objects[name]!
    const older = madeOlder(name, bytes)
    expect(older).not.toEqual(bytes)
    const read = readersOf(old)[name]!
    await failure(() => read(resummed(older)), 'unsupported')
    await failure(() => read(older), 'unsupported', 'malformed')
  })

  it.each(Object.keys(objects).filter((name) => !newer.includes(name)))(
    'rewrites the header of what has not changed, a %s, to a newer one: it is refused',
    async (name) => {
      const newest = patched(objects[name]!, GENERATION, [objects[name]![GENERATION]! + 1])
      for (const bytes of [newest, resummed(newest)]) {
        await failure(() => readersOf(old)[name]!(bytes), 'unsupported', 'malformed', 'authentication-failed')
      }
    },
  )

  it('serves a keyset of 0.2: it does not open, and nothing is written behind it', async () => {
    const store = memoryStateStore()
    await store.write('keyset', 1, old['storage export']!)
    const keyset = await quickKeyset()
    await failure(() => quickly(() => loadKeyset(store, PASSWORD)), 'unsupported')
    await failure(() => saveKeyset(store, keyset), 'unsupported')
    await failure(() => changeKeyset(store, keyset, (newest) => newest.regenerate()), 'unsupported')
    expect((await store.read('keyset'))!.version).toBe(1)
    expectSame(await newestBytes(store, 'keyset'), old['storage export']!)
  })

  it('serves a profile of 0.2, which no identity has signed, in place of the newest one or as the first', async () => {
    const login = await quickly(() => deriveLogin(PASSWORD, ALICE))
    const store = memoryStateStore()
    await store.write('profile', 1, old['profile']!)
    await failure(() => loadProfile(store, login), 'unsupported')
    await failure(
      () => saveProfile(store, createProfile(login, { zeroTrust: true })),
      'unsupported',
      'conflict',
      'policy',
    )
    const behind = memoryStateStore()
    const profile = createProfile(login, { zeroTrust: true })
    await saveProfile(behind, profile)
    await behind.write('profile', 2, old['profile']!)
    await failure(() => loadProfile(behind, login), 'unsupported')
    await failure(() => guardProfiles(behind).write('profile', 3, old['profile']!), 'unsupported')
  })

  it('serves records of 0.2 in a log: they are damage that readers report', async () => {
    const keyset = await quickKeyset()
    const store = memoryStateStore()
    const position = await openLog(store, 'log', keyset).append(sample(5))
    const name = `log/${hex(logIdOf('log'))}/0`
    await store.write(name, 2, old['record']!)
    const log = openLog(store, 'log', keyset)
    await failure(() => all(log.read()), 'unsupported')
    const damaged: unknown[] = []
    const read = await all(log.read({ onDamaged: ({ code }) => void damaged.push(code) }))
    expect(read.map((each) => each.position)).toEqual([position])
    expect(damaged).toEqual(['unsupported'])
  })
})
