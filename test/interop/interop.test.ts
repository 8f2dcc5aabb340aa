// What the readers of this version say of objects that version 0.2 made. The objects are frozen: `npm run test:interop`
// builds 0.2 from the history, makes them again, and also asks 0.2 about the objects of this version.
import { expect, it } from 'vitest'
import { readText } from '../files.ts'
import { unhex } from '../fixtures.ts'
import { outcomesFor } from './readers.ts'

const frozen = JSON.parse(readText('interop', 'objects-0.2.json')) as Record<string, string>
const old = Object.fromEntries(Object.entries(frozen).map(([name, text]) => [name, unhex(text)]))

/** Whatever has changed since 0.2 says so. */
const UNSUPPORTED = [
  ...['host export', 'storage export', 'definition export', 'record', 'challenge', 'enrolment', 'proof'],
  ...['profile', 'profile at a server', 'profile behind the guard'],
]

/** What both versions write and read alike. */
const TAKEN = [
  ...['card', 'escrow', 'registration', 'device key', 'protected device key', 'saved client', 'text value'],
  'block of a client',
]

/** What has the same form in both versions, but whose keys lie in an object that is `unsupported`. */
const WITHOUT_KEYS = {
  block: 'key-not-found',
  invite: 'key-not-found',
  'block of a vault': 'authentication-failed',
  // The code that goes with the file is not in the frozen objects.
  'registration with its code': 'authentication-failed',
  // It had no checksum, and that is checked before the header (SPEC §1.8). The profile above it is `unsupported`.
  keyring: 'malformed',
}

it('an object of 0.2 is unsupported, or has not changed', async () => {
  const same = (names: readonly string[], outcome: string) => Object.fromEntries(names.map((name) => [name, outcome]))
  expect(await outcomesFor(old)).toEqual({
    ...same(UNSUPPORTED, 'unsupported'),
    ...same(TAKEN, 'taken'),
    ...WITHOUT_KEYS,
  })
})

it('none of it looks like a wrong password', async () => {
  expect(Object.values(await outcomesFor(old))).not.toContain('wrong-password')
})
