// Every public function and method that takes bytes, text or a store is called by a target of the fuzzer, or says here
// why not. The list comes from the TypeScript compiler, so a new function cannot be forgotten.
import { expect, it } from 'vitest'
import { publicReaders } from './public-readers.ts'

/** What no target calls, and why. */
const REASONS: Readonly<Record<string, string>> = {
  'Bcrypt.compare': 'the caller implements it',
  'Bcrypt.hash': 'the caller implements it',
  'Rekeyer.rekey': 'the interface of Keyset.rekey and Delegation.rekey, which have targets',
  'Keyset.adopt': 'takes a handle, which this copy of the library made',
  createPool:
    'takes the URL of a worker, which the program chooses; test/pool/messages.test.ts sends messages that are not replies',
  indexedDbBlobStore: 'needs IndexedDB, which only browsers have: test/stores/indexeddb.test.ts',
  indexedDbStateStore: 'needs IndexedDB, which only browsers have: test/stores/indexeddb.test.ts',
}

const { readers, called } = publicReaders()

it('finds functions, methods and calls', () => {
  expect(readers.size).toBeGreaterThan(140)
  for (const name of [
    'parseCard',
    'Keyset.rekey',
    'loadKeyset',
    'Log.reseal',
    'KeystrataError.from',
    'RecordReader.openRecord',
  ])
    expect([...readers]).toContain(name)
  expect([...called]).toContain('unlockKeyset')
})

it('every public function that takes bytes, text or a store has a target, or a reason', () => {
  const missing = [...readers].filter((name) => !called.has(name) && !Object.hasOwn(REASONS, name))
  expect(missing).toEqual([])
})

it('no reason is out of date', () => {
  const needless = Object.keys(REASONS).filter((name) => !readers.has(name) || called.has(name))
  expect(needless).toEqual([])
})
