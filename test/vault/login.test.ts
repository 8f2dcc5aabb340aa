import { deriveLogin } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { withBytes } from '../../src/core/secret.ts'
import { ALICE, backends, failure, hex, PASSWORD, withBackend } from '../fixtures.ts'

const rootOf = (login: Parameters<typeof ownerOf>[0]) => withBytes(ownerOf(login).rootKey, hex)

describe('deriveLogin', () => {
  // The expected values come from Python's hashlib: test/reference.py.
  it.each([
    [PASSWORD, ALICE, 'l6fqLSxnRMThTPhEsamWBEC-3WBhfqIS', '0f9a6058a04bdf6687c3f422a87c5e5339f053f1153fa5b3'],
    [
      'p\u00e5ssw\u00f6rd \u{1f511}',
      { realm: 'com.example.backup', user: '\u00fc.user@example.com' },
      '8oMoDfl7wwAYYF2yfR5ygN1u6wsNN95A',
      '564768f32b2c3fce80f3f52559470e6ee330eebbae6ba91f',
    ],
  ])('derives the known L-key and R-key of %j', async (password, account, credential, rootKey) => {
    const login = await deriveLogin(password, account)
    expect(login.credential).toBe(credential)
    expect(rootOf(login)).toBe(rootKey)
  })

  it.each(backends)('derives the same L-key and reports progress on $name', (backend) =>
    withBackend(backend, async () => {
      const fractions: number[] = []
      const login = await deriveLogin(PASSWORD, ALICE, { onProgress: (fraction) => fractions.push(fraction) })
      expect(login.credential).toBe('l6fqLSxnRMThTPhEsamWBEC-3WBhfqIS')
      expect(fractions.at(0)).toBe(0)
      expect(fractions.at(-1)).toBe(1)
    }),
  )

  it('normalises texts that are typed in different ways', async () => {
    const composed = await deriveLogin('p\u00e5ss w\u00f6rd', { realm: 'tests', user: '\u00dcser name' })
    const typed = await deriveLogin('pa\u030ass\u00a0wo\u0308rd', { realm: 'tests', user: 'u\u0308SER\u3000name' })
    expect(typed.credential).toBe(composed.credential)
    expect(typed.user).toBe('\u00fcser name')
    expect(typed.realm).toBe('tests')
  })

  it('derives different keys for another realm and for another user', async () => {
    const credentials = await Promise.all(
      [ALICE, { ...ALICE, realm: 'tests2' }, { ...ALICE, user: 'alice2' }, { realm: 'test', user: 'salice' }].map(
        async (account) => (await deriveLogin(PASSWORD, account)).credential,
      ),
    )
    expect(new Set(credentials).size).toBe(4)
  })

  it('refuses empty texts, names that are too long, and values that are not well-formed text', async () => {
    await failure(() => deriveLogin('', ALICE), 'invalid-text')
    await failure(() => deriveLogin(PASSWORD, { ...ALICE, realm: '' }), 'invalid-text')
    await failure(() => deriveLogin(PASSWORD, { ...ALICE, user: '' }), 'invalid-text')
    await failure(() => deriveLogin(PASSWORD, { ...ALICE, user: 'ü'.repeat(128) }), 'invalid-text')
    await failure(() => deriveLogin(PASSWORD, { ...ALICE, user: '\ud800' }), 'invalid-text')
    await failure(() => deriveLogin(`${PASSWORD}\n`, ALICE), 'invalid-text')
    await expect(deriveLogin(PASSWORD, { realm: 'tests' } as never)).rejects.toThrow(TypeError)
    await expect(deriveLogin(7 as never, ALICE)).rejects.toThrow(TypeError)
  })

  it.each(backends)('can be aborted on $name', (backend) =>
    withBackend(backend, async () => {
      await failure(() => deriveLogin(PASSWORD, ALICE, { signal: AbortSignal.abort() }), 'aborted')
      // Firefox remembers keys that it derived, so no test has used this password.
      const unused = `${PASSWORD}, ${backend.name}`
      await failure(() => deriveLogin(unused, ALICE, { signal: AbortSignal.timeout(20) }), 'aborted')
    }),
  )

  it('does not expose the root key, and refuses use after disposal', async () => {
    const login = await deriveLogin(PASSWORD, ALICE)
    expect(Object.keys(login).sort()).toEqual(['dispose', 'realm', 'user'])
    expect(() => JSON.stringify(login)).toThrow(TypeError)
    expect(() => structuredClone(login)).toThrow()
    login.dispose()
    await failure(() => login.credential, 'disposed')
    await failure(() => ownerOf(login).rootKey, 'disposed')
    expect(() => ownerOf({ ...login })).toThrow(TypeError)
  })
})
