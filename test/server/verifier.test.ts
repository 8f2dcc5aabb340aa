import { compare, getRounds, hash } from 'bcryptjs'
import { describe, expect, it, vi } from 'vitest'
import { createVerifier, hashPassword, verifyLogin, verifyPassword } from '../../src/server.ts'
import { failure, quickly, sample } from '../fixtures.ts'

const CREDENTIAL = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYX'

// From libxcrypt 4.4 (crypt(3) of Debian, called from Perl), over the base64 of SHA-512(L) cut to 72 characters.
// The SHA-512 of the second credential begins with a NUL byte.
const SALT = '$2b$10$abcdefghijklmnopqrstuu'
const KNOWN = [
  [CREDENTIAL, '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'],
  ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAy', '$2b$10$abcdefghijklmnopqrstuunvEm5K0N5cgk0SMrdm/mR.C6.JPAL/m'],
] as const
const BASE64 = 'UzAkHm8BpJshqw0Bqcdq1mLpejJb+OJMTrgsbzt9JTit2Y9iMH82+QDzk0hhuA/JhEt2G+FUYKGxAsJs8EEOgw=='

describe('verifyLogin', () => {
  it.each(KNOWN)('accepts %s with a verifier from another implementation', async (credential, verifier) => {
    expect(await verifyLogin(verifier, credential)).toBe(true)
    for (const [other] of KNOWN) {
      if (other !== credential) expect(await verifyLogin(verifier, other)).toBe(false)
    }
  })

  it('does not hash the raw digest, in which bcrypt would stop at a NUL byte', async () => {
    expect(await verifyLogin('$2b$10$abcdefghijklmnopqrstuujr5dF95nlffmIUNubpV71FPx1zncrEm', KNOWN[1][0])).toBe(false)
  })

  it('cuts at 72 characters: 71 give another verifier, and more change nothing', async () => {
    expect(await verifyLogin('$2b$10$abcdefghijklmnopqrstuuii3aVUehS.kpz475GnQTBTqo2nrm4Z.', CREDENTIAL)).toBe(false)
    expect(await hash(BASE64.slice(0, 71), SALT)).toBe('$2b$10$abcdefghijklmnopqrstuuii3aVUehS.kpz475GnQTBTqo2nrm4Z.')
    for (const length of [72, 73, 88])
      expect(await hash(BASE64.slice(0, length), SALT)).toBe(
        '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.',
      )
  })

  it('returns false for an unknown user and an invalid credential, at the cost of a known user', async () => {
    const known = await createVerifier(CREDENTIAL)
    expect(known).toMatch(/^\$2b\$12\$.{53}$/)
    vi.mocked(compare).mockClear()
    expect(await verifyLogin(undefined, CREDENTIAL)).toBe(false)
    expect(await verifyLogin(undefined, '')).toBe(false)
    expect(await verifyLogin(known, '')).toBe(false)
    expect(await verifyLogin(known, CREDENTIAL)).toBe(true)
    const costs = vi.mocked(compare).mock.calls.map(([, verifier]) => getRounds(verifier))
    expect(costs).toEqual([12, 12, 12, 12])
  })

  it.each([
    '',
    'short',
    'A'.repeat(1_000_000),
    `${CREDENTIAL}A`,
    CREDENTIAL.replace('A', '+'),
    `${CREDENTIAL.slice(0, -1)}=`,
    'ü'.repeat(32),
  ])('returns false for %.40j, which is not a credential', async (credential) => {
    expect(await verifyLogin(KNOWN[0][1], credential)).toBe(false)
    await failure(() => createVerifier(credential), 'malformed')
  })

  it('refuses invalid verifiers, and costs outside 10 to 15', async () => {
    for (const verifier of ['', 'x', KNOWN[0][1].replace('$2b$', '$2a$'), `${KNOWN[0][1]}A`]) {
      await failure(() => verifyLogin(verifier, CREDENTIAL), 'malformed')
    }
    await failure(() => verifyLogin(KNOWN[0][1].replace('$10$', '$09$'), CREDENTIAL), 'limit-exceeded')
    await failure(() => verifyLogin(KNOWN[0][1].replace('$10$', '$16$'), CREDENTIAL), 'limit-exceeded')
    await expect(verifyLogin(7 as never, CREDENTIAL)).rejects.toThrow(TypeError)
    await expect(verifyLogin(KNOWN[0][1], 7 as never)).rejects.toThrow(TypeError)
  })
})

describe('createVerifier', () => {
  it('uses a random salt, and accepts costs from 10 to 15', async () => {
    const [one, other] = [
      await createVerifier(CREDENTIAL, { cost: 10 }),
      await createVerifier(CREDENTIAL, { cost: 10 }),
    ]
    expect(one).toMatch(/^\$2b\$10\$/)
    expect(one).not.toBe(other)
    expect(await verifyLogin(one, CREDENTIAL)).toBe(true)
    for (const cost of [9, 16, 10.5, Number.NaN])
      await failure(() => createVerifier(CREDENTIAL, { cost }), 'limit-exceeded')
    await expect(createVerifier(7 as never)).rejects.toThrow(TypeError)
  })

  it('returns a verifier that any bcrypt implementation accepts', async () => {
    expect(await compare(BASE64.slice(0, 72), await createVerifier(CREDENTIAL, { cost: 10 }))).toBe(true)
  })
})

describe('hashPassword and verifyPassword', () => {
  const base64 = (length: number) => Buffer.from(sample(length)).toString('base64').replaceAll('=', '')
  const phc = (salt: string, hash: string) => `$argon2id$v=19$m=8,t=1,p=1$${salt}$${hash}`

  it('accept salts of 8 to 64 bytes and hashes of 16 to 64', async () => {
    for (const [salt, hash] of [
      [8, 16],
      [64, 64],
    ] as const) {
      expect(await verifyPassword(phc(base64(salt), base64(hash)), 'password')).toBe(false)
    }
    for (const [salt, hash] of [
      [7, 32],
      [65, 32],
      [16, 15],
      [16, 65],
    ] as const) {
      await failure(() => verifyPassword(phc(base64(salt), base64(hash)), 'password'), 'limit-exceeded')
    }
    // Base64 cannot have these lengths.
    await failure(() => verifyPassword(phc('A'.repeat(21), base64(32)), 'password'), 'malformed')
    await failure(() => verifyPassword(phc(base64(16), 'A'.repeat(41)), 'password'), 'malformed')
  })

  it('refuse text around a hash, and passwords over 1,024 characters', async () => {
    const hash = phc(base64(16), base64(32))
    for (const text of [` ${hash}`, `${hash} `, `${hash}$`]) {
      await failure(() => verifyPassword(text, 'password'), 'malformed')
    }
    await expect(verifyPassword(hash, undefined as never)).rejects.toThrow(TypeError)
    await expect(hashPassword(undefined as never)).rejects.toThrow(TypeError)
    const longest = 'a'.repeat(1024)
    await quickly(async () => {
      const stored = await hashPassword(longest)
      expect(await verifyPassword(stored, longest)).toBe(true)
      expect(await verifyPassword(stored, `${longest}a`)).toBe(false)
      await failure(() => hashPassword(`${longest}a`), 'limit-exceeded')
    })
  })

  // From test.c of the reference implementation, version 0x13.
  const REFERENCE = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'

  it('accept a hash from the reference implementation', async () => {
    expect(await verifyPassword(REFERENCE, 'password')).toBe(true)
    expect(await verifyPassword(REFERENCE, 'Password')).toBe(false)
  })

  it('write hashes that they can read', async () => {
    const stored = await hashPassword('p\u00e5ss')
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=65536,t=3,p=4\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(await verifyPassword(stored, 'pa\u030ass')).toBe(true)
    expect(await verifyPassword(stored, '')).toBe(false)
    expect(await hashPassword('p\u00e5ss')).not.toBe(stored)
  })

  it('return false for an unknown user', async () => {
    expect(await verifyPassword(undefined, 'password')).toBe(false)
    expect(await verifyPassword(undefined, '')).toBe(false)
    // A database returns null for a missing row.
    expect(await quickly(() => verifyPassword(null as never, 'password'))).toBe(false)
    expect(await verifyLogin(null as never, CREDENTIAL)).toBe(false)
  })

  it('return false for passwords that hashPassword refuses', async () => {
    for (const password of ['', '\ud800', 'x'.repeat(1025), 'x'.repeat(50_000_000)]) {
      expect(await verifyPassword(REFERENCE, password)).toBe(false)
    }
    await failure(() => hashPassword('x'.repeat(1025)), 'limit-exceeded')
    await expect(hashPassword('\ud800')).rejects.toThrow(TypeError)
    await expect(verifyPassword(REFERENCE, 7 as never)).rejects.toThrow(TypeError)
  })

  it('refuse strings that are not an Argon2id hash, and costs beyond the limits', async () => {
    const change = (from: string, to: string) => REFERENCE.replace(from, to)
    for (const text of ['', 'x', change('v=19$', ''), `${REFERENCE}=`, change('c29tZXNhbHQ', 'c29tZXNhbHR')]) {
      await failure(() => verifyPassword(text, 'password'), 'malformed')
    }
    for (const text of [change('argon2id', 'argon2i'), change('v=19', 'v=16')]) {
      await failure(() => verifyPassword(text, 'password'), 'unsupported')
    }
    const costly = ['m=4', 'm=1048577', 'm=99999999999999999999', 't=0', 't=65', 'p=0', 'p=17']
    for (const cost of costly) {
      const text = REFERENCE.replace(new RegExp(`${cost[0]!}=\\d+`), cost)
      await failure(() => verifyPassword(text, 'password'), 'limit-exceeded')
    }
    await failure(() => verifyPassword(change('c29tZXNhbHQ', 'c29t'), 'password'), 'limit-exceeded')
    await failure(() => hashPassword(''), 'limit-exceeded')
    await expect(verifyPassword(7 as never, 'x')).rejects.toThrow(TypeError)
    await expect(hashPassword(7 as never)).rejects.toThrow(TypeError)
  })
})
