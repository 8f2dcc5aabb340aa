import { compare, getRounds, hash } from 'bcryptjs'
import { describe, expect, it, vi } from 'vitest'
import { type Bcrypt, createVerifier, matchesVerifier } from '../../src/server/bcrypt.ts'
import { failure } from '../fixtures.ts'

const CREDENTIAL = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYX'

// From libxcrypt 4.4 (crypt(3) of Debian, called from Perl), over the base64 of SHA-512(L) cut to 72 characters.
// The SHA-512 of the second credential begins with a NUL byte.
const SALT = '$2b$10$abcdefghijklmnopqrstuu'
const KNOWN = [
  [CREDENTIAL, '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'],
  ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAy', '$2b$10$abcdefghijklmnopqrstuunvEm5K0N5cgk0SMrdm/mR.C6.JPAL/m'],
] as const
const BASE64 = 'UzAkHm8BpJshqw0Bqcdq1mLpejJb+OJMTrgsbzt9JTit2Y9iMH82+QDzk0hhuA/JhEt2G+FUYKGxAsJs8EEOgw=='

/** A bcrypt that counts its calls. */
const counting = () => ({
  hash: vi.fn(async (password: string, cost: number) => hash(password, cost)),
  compare: vi.fn(async (password: string, stored: string) => compare(password, stored)),
})

describe('matchesVerifier', () => {
  it.each(KNOWN)('accepts %s with a verifier from another implementation', async (credential, verifier) => {
    expect(await matchesVerifier(verifier, credential)).toBe(true)
    for (const [other] of KNOWN) {
      if (other !== credential) expect(await matchesVerifier(verifier, other)).toBe(false)
    }
  })

  it('does not hash the raw digest, in which bcrypt would stop at a NUL byte', async () => {
    expect(await matchesVerifier('$2b$10$abcdefghijklmnopqrstuujr5dF95nlffmIUNubpV71FPx1zncrEm', KNOWN[1][0])).toBe(
      false,
    )
  })

  it('cuts at 72 characters: 71 give another verifier, and more change nothing', async () => {
    expect(await matchesVerifier('$2b$10$abcdefghijklmnopqrstuuii3aVUehS.kpz475GnQTBTqo2nrm4Z.', CREDENTIAL)).toBe(
      false,
    )
    expect(await hash(BASE64.slice(0, 71), SALT)).toBe('$2b$10$abcdefghijklmnopqrstuuii3aVUehS.kpz475GnQTBTqo2nrm4Z.')
    for (const length of [72, 73, 88])
      expect(await hash(BASE64.slice(0, length), SALT)).toBe(
        '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.',
      )
  })

  it('returns false for an unknown user and an invalid credential, at the cost of a known user', async () => {
    const bcrypt = counting()
    const known = await createVerifier(CREDENTIAL)
    expect(known).toMatch(/^\$2b\$12\$.{53}$/)
    expect(await matchesVerifier(undefined, CREDENTIAL, { bcrypt })).toBe(false)
    // A database returns null for a missing row.
    expect(await matchesVerifier(null as never, '', { bcrypt })).toBe(false)
    expect(await matchesVerifier(known, '', { bcrypt })).toBe(false)
    expect(await matchesVerifier(known, CREDENTIAL, { bcrypt })).toBe(true)
    const { calls } = bcrypt.compare.mock
    expect(calls.map(([, verifier]) => getRounds(verifier))).toEqual([12, 12, 12, 12])
    expect(calls.map(([password]) => password.length)).toEqual([72, 72, 72, 72])
  })

  it('gives the same answers without a bcrypt of the product', async () => {
    expect(await matchesVerifier(undefined, CREDENTIAL, { cost: 10 })).toBe(false)
    expect(await matchesVerifier(null as never, '', { cost: 10 })).toBe(false)
    expect(await matchesVerifier(KNOWN[0][1], '')).toBe(false)
  })

  it('takes the cost for an unknown user from its options, and the cost of a known user from the verifier', async () => {
    const bcrypt = counting()
    expect(await matchesVerifier(undefined, CREDENTIAL, { cost: 11, bcrypt })).toBe(false)
    expect(await matchesVerifier(KNOWN[0][1], CREDENTIAL, { cost: 11, bcrypt })).toBe(true)
    expect(bcrypt.compare.mock.calls.map(([, verifier]) => getRounds(verifier))).toEqual([11, 10])
    for (const cost of [9, 16, 10.5, Number.NaN])
      await failure(() => matchesVerifier(KNOWN[0][1], CREDENTIAL, { cost }), 'limit-exceeded')
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
    expect(await matchesVerifier(KNOWN[0][1], credential)).toBe(false)
    await failure(() => createVerifier(credential), 'malformed')
  })

  it('refuses invalid verifiers, and costs outside 10 to 15', async () => {
    for (const verifier of ['', 'x', KNOWN[0][1].replace('$2b$', '$2a$'), `${KNOWN[0][1]}A`]) {
      await failure(() => matchesVerifier(verifier, CREDENTIAL), 'malformed')
    }
    await failure(() => matchesVerifier(KNOWN[0][1].replace('$10$', '$09$'), CREDENTIAL), 'limit-exceeded')
    await failure(() => matchesVerifier(KNOWN[0][1].replace('$10$', '$16$'), CREDENTIAL), 'limit-exceeded')
    await expect(matchesVerifier(7 as never, CREDENTIAL)).rejects.toThrow(TypeError)
    await expect(matchesVerifier(KNOWN[0][1], 7 as never)).rejects.toThrow(TypeError)
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
    expect(await matchesVerifier(one, CREDENTIAL)).toBe(true)
    for (const cost of [9, 16, 10.5, Number.NaN])
      await failure(() => createVerifier(CREDENTIAL, { cost }), 'limit-exceeded')
    await expect(createVerifier(7 as never)).rejects.toThrow(TypeError)
  })

  it('returns a verifier that any bcrypt implementation accepts', async () => {
    expect(await compare(BASE64.slice(0, 72), await createVerifier(CREDENTIAL, { cost: 10 }))).toBe(true)
  })
})

const [CREDENTIAL_KNOWN, VERIFIER] = KNOWN[0]

describe('a bcrypt of the product', () => {
  it('computes once for each login: known and unknown users, valid and invalid credentials', async () => {
    const bcrypt = counting()
    const options = { cost: 10, bcrypt }
    const attempts = [
      [VERIFIER, CREDENTIAL_KNOWN, true],
      [VERIFIER, KNOWN[1][0], false],
      [VERIFIER, 'not a credential', false],
      [undefined, CREDENTIAL_KNOWN, false],
      [undefined, '', false],
    ] as const
    for (const [index, [verifier, credential, matches]] of attempts.entries()) {
      expect(await matchesVerifier(verifier, credential, options)).toBe(matches)
      expect(bcrypt.compare).toHaveBeenCalledTimes(index + 1)
      const [password, compared] = bcrypt.compare.mock.lastCall!
      expect(password).toHaveLength(72)
      expect(compared).toMatch(/^\$2b\$10\$[./A-Za-z\d]{53}$/)
    }
    expect(bcrypt.hash).not.toHaveBeenCalled()
  })

  it('never makes an unknown user or an invalid credential match, even if it always says yes', async () => {
    const bcrypt: Bcrypt = { ...counting(), compare: async () => true }
    expect(await matchesVerifier(undefined, CREDENTIAL, { bcrypt })).toBe(false)
    expect(await matchesVerifier(VERIFIER, '', { bcrypt })).toBe(false)
  })

  it('gets what the verifier is made of, as a method', async () => {
    const bcrypt = {
      salt: SALT,
      asked: [] as unknown[],
      async hash(password: string, cost: number) {
        this.asked.push(password, cost)
        return hash(password, this.salt)
      },
      compare,
    }
    expect(await createVerifier(CREDENTIAL, { cost: 10, bcrypt })).toBe(VERIFIER)
    expect(bcrypt.asked).toEqual([BASE64.slice(0, 72), 10])
  })

  it.each(['$2a$', '$2b$', '$2y$'])('may write %s, and the verifier begins with $2b$', async (prefix) => {
    const bcrypt: Bcrypt = { ...counting(), hash: async () => VERIFIER.replace('$2b$', prefix) }
    expect(await createVerifier(CREDENTIAL, { cost: 10, bcrypt })).toBe(VERIFIER)
  })

  it.each([
    ['no text', undefined],
    ['bytes', Buffer.from(VERIFIER)],
    ['an empty text', ''],
    ['another algorithm', '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'],
    ['the broken variant of crypt_blowfish', VERIFIER.replace('$2b$', '$2x$')],
    ['another cost', VERIFIER.replace('$10$', '$11$')],
    ['59 characters', VERIFIER.slice(0, -1)],
    ['61 characters', `${VERIFIER}.`],
    ['a line feed', `${VERIFIER}\n`],
  ])('that answers %s to hash is refused, and the error names the method', async (_, answer) => {
    const bcrypt: Bcrypt = { ...counting(), hash: async () => answer as never }
    const made = createVerifier(CREDENTIAL, { cost: 10, bcrypt })
    await expect(made).rejects.toThrow(TypeError)
    await expect(made).rejects.toThrow('bcrypt.hash')
  })

  it.each([undefined, null, 1, 'true', {}])('that answers %j to compare is refused', async (answer) => {
    const bcrypt: Bcrypt = { ...counting(), compare: async () => answer as never }
    for (const verifier of [VERIFIER, undefined]) {
      const checked = matchesVerifier(verifier, CREDENTIAL, { bcrypt })
      await expect(checked).rejects.toThrow(TypeError)
      await expect(checked).rejects.toThrow('bcrypt.compare')
    }
  })

  it('must have both methods', async () => {
    for (const bcrypt of [null, {}, { hash }, { compare }, { hash, compare: true }, 'bcrypt']) {
      await expect(createVerifier(CREDENTIAL, { bcrypt: bcrypt as never })).rejects.toThrow('bcrypt must have')
      await expect(matchesVerifier(VERIFIER, CREDENTIAL, { bcrypt: bcrypt as never })).rejects.toThrow(TypeError)
    }
  })

  it('passes its own errors on', async () => {
    const broken = new Error('no memory')
    const bcrypt: Bcrypt = { hash: () => Promise.reject(broken), compare: () => Promise.reject(broken) }
    await expect(createVerifier(CREDENTIAL, { bcrypt })).rejects.toBe(broken)
    await expect(matchesVerifier(VERIFIER, CREDENTIAL, { bcrypt })).rejects.toBe(broken)
  })

  it('has at most 100 unfinished hashes: the next one is refused, for known and unknown users, until one is done', async () => {
    const finish: (() => void)[] = []
    const slow = () => new Promise<never>((_, reject) => finish.push(() => reject(new Error('late'))))
    const bcrypt: Bcrypt = { hash: slow, compare: slow }
    const running = Array.from({ length: 100 }, (_, index) =>
      index % 2 === 0 ? matchesVerifier(VERIFIER, CREDENTIAL, { bcrypt }) : createVerifier(CREDENTIAL, { bcrypt }),
    )
    const ended = Promise.allSettled(running)
    for (const verifier of [VERIFIER, undefined]) {
      const { detail } = await failure(() => matchesVerifier(verifier, CREDENTIAL, { bcrypt }), 'limit-exceeded')
      expect(detail).toEqual({ unfinished: 100 })
      // The limit is that of the process, not of one implementation.
      await failure(() => matchesVerifier(verifier, CREDENTIAL), 'limit-exceeded')
    }
    await failure(() => createVerifier(CREDENTIAL, { bcrypt }), 'limit-exceeded')
    expect(finish).toHaveLength(100)
    finish[0]!()
    await expect(running[0]).rejects.toThrow('late')
    expect(await matchesVerifier(VERIFIER, CREDENTIAL)).toBe(true)
    for (const each of finish) each()
    await ended
    expect(await matchesVerifier(VERIFIER, CREDENTIAL)).toBe(true)
  })
})
