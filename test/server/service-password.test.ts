import { describe, expect, it } from 'vitest'
import { hashPassword, verifyPassword } from '../../src/server.ts'
import { failure, quickly, sample } from '../fixtures.ts'

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
    const longest = '\u{1f511}'.repeat(1024)
    await quickly(async () => {
      const stored = await hashPassword(longest)
      expect(await verifyPassword(stored, longest)).toBe(true)
      expect(await verifyPassword(stored, `${longest}a`)).toBe(false)
      await failure(() => hashPassword(`${longest}a`), 'invalid-text')
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
  })

  it('return false for passwords that hashPassword refuses', async () => {
    for (const password of [
      '',
      ' ',
      '\ud800',
      'password\r\n',
      '\ufeffpassword',
      'x'.repeat(1025),
      'x'.repeat(50_000_000),
    ]) {
      expect(await verifyPassword(REFERENCE, password)).toBe(false)
    }
    await failure(() => hashPassword('x'.repeat(1025)), 'invalid-text')
    await failure(() => hashPassword('\ud800'), 'invalid-text')
    await failure(() => hashPassword('password\n'), 'invalid-text')
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
    await failure(() => hashPassword(''), 'invalid-text')
    await expect(verifyPassword(7 as never, 'x')).rejects.toThrow(TypeError)
    await expect(hashPassword(7 as never)).rejects.toThrow(TypeError)
  })
})
