// The native packages that a product can give, and bcryptjs. Each must check what any of them has hashed.
import * as nodeRs from '@node-rs/bcrypt'
import nativeBcrypt from 'bcrypt'
import * as bcryptjs from 'bcryptjs'
import { describe, expect, it } from 'vitest'
import { type Bcrypt, createVerifier, matchesVerifier } from '../../src/server/bcrypt.ts'
import { numRuns, sample } from '../fixtures.ts'

/** Each is given as the documentation of {@link Bcrypt} says. That this compiles shows that it fits. */
const packages: readonly (readonly [name: string, bcrypt: Bcrypt])[] = [
  ['bcryptjs', bcryptjs],
  ['bcrypt 6', nativeBcrypt],
  ['@node-rs/bcrypt 1', nodeRs],
]
const cost = 10
const credentialOf = (index: number) => Buffer.from(sample(24, index)).toString('base64url')

// From libxcrypt 4.4, as in bcrypt.test.ts. The SHA-512 of the second credential begins with a NUL byte.
const KNOWN = [
  ['AAECAwQFBgcICQoLDA0ODxAREhMUFRYX', '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'],
  ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAy', '$2b$10$abcdefghijklmnopqrstuunvEm5K0N5cgk0SMrdm/mR.C6.JPAL/m'],
] as const

describe.each(packages)('%s', (_, bcrypt) => {
  it('accepts verifiers of another implementation, and only with their own credential', async () => {
    for (const [credential] of KNOWN) {
      for (const [owner, verifier] of KNOWN)
        expect(await matchesVerifier(verifier, credential, { bcrypt })).toBe(credential === owner)
    }
  })

  it('makes verifiers that every other implementation accepts', async () => {
    for (let index = 1; index <= numRuns(3, 30); index++) {
      const [credential, other] = [credentialOf(index), credentialOf(index + 1000)]
      const verifier = await createVerifier(credential, { cost, bcrypt })
      expect(verifier).toMatch(/^\$2b\$10\$[./A-Za-z\d]{53}$/)
      for (const [name, checker] of packages) {
        expect(await matchesVerifier(verifier, credential, { bcrypt: checker }), name).toBe(true)
        expect(await matchesVerifier(verifier, other, { bcrypt: checker }), name).toBe(false)
      }
    }
  })

  it('takes its time for an unknown user and for an invalid credential', async () => {
    const [[credential, verifier]] = KNOWN
    const attempts = [
      [verifier, credential],
      [undefined, credential],
      [verifier, 'not a credential'],
    ] as const
    const shortest = attempts.map(() => Number.POSITIVE_INFINITY)
    for (let round = 0; round < 4; round++) {
      for (const [index, [stored, sent]] of attempts.entries()) {
        const start = performance.now()
        await matchesVerifier(stored, sent, { cost, bcrypt })
        shortest[index] = Math.min(shortest[index]!, performance.now() - start)
      }
    }
    const [known, unknown, invalid] = shortest as [number, number, number]
    // A refusal without computing takes less than a hundredth of the time.
    expect(unknown).toBeGreaterThan(known / 4)
    expect(invalid).toBeGreaterThan(known / 4)
  })
})
