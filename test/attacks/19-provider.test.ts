// Row 19. The provider keeps the escrow. They have the whole database, their own keyset with its password, every file
// that they ever built, and full control of the server.
import { claimantOf, expectSame, failure, flipped, quickly, sample } from '../fixtures.ts'
import { commitFor, enrolIn, OWN, WatchedStore } from '../registry-fixtures.ts'
import { armRegistration, type Client, deriveClient, openRegistration } from '../../src/client.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { describe, expect, it } from 'vitest'
import { generateActivationCode, openEscrow, readEscrow } from '../../src/client/escrow.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { type Role, SecretKey, withBytes } from '../../src/core/secret.ts'
import { quickKeyset } from './known.ts'

const ACME = { account: 'acme' }
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const PRIVATE = 'a private text that nobody guesses'.slice(0, 32)
const make = (text: string): Promise<Client> =>
  quickly(() =>
    deriveClient({
      ...names,
      privateKey: { type: 'AES-256', text },
      accountKey: { type: 'AES-128', text: 'of the account' },
    }),
  )
const customer = await make(PRIVATE)
const provider = await quickKeyset()
const store = new WatchedStore()
const registry = openKeyRegistry(store, { realm: 'tests', ...OWN, safeguarding: 'mandatory' })
await enrolIn(registry, customer)
const { escrow, activationCode } = customer.safeguard()
await registry.safeguard(escrow, ACME)
await commitFor(registry, customer)
const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, {
  expires: new Date(Date.now() + 1e9),
})
const card = { provider: provider.card() }
const block = await customer.scope('private').seal(sample(100))

/** Copies the bytes of every secret key in an object. */
function keysIn(value: unknown): Uint8Array[] {
  if (value instanceof SecretKey) return [withBytes(value as SecretKey<Role>, (bytes) => new Uint8Array(bytes))]
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return []
  return Object.values(value).flatMap(keysIn)
}

describe('a provider wants escrowed keys', () => {
  it('the unarmed file, the whole database and the provider’s keyset together do not open', async () => {
    await failure(() => openRegistration(file, { ...card, account: 'acme' }), 'authentication-failed')
    // Nothing the provider has contains the code, the text of a key, or a key of the customer in any form.
    const { contents, master } = insidesOf(provider, 'provider')
    const held = [...store.history, file, escrow, provider.export('storage')]
    const secrets = keysIn(claimantOf(customer))
    expect(secrets).toHaveLength(2)
    const code = activationCode.replaceAll('-', '')
    for (const bytes of held.map((each) => Buffer.from(each))) {
      for (const secret of secrets) {
        for (const form of ['hex', 'base64', 'latin1'] as const) {
          expect(bytes.includes(Buffer.from(Buffer.from(secret).toString(form), 'latin1')), form).toBe(false)
        }
      }
      for (const text of [code, activationCode, PRIVATE, 'of the account']) expect(bytes.includes(text)).toBe(false)
    }
    // The provider can try everything they have as the code: hashes, ids, their own keys.
    const deposit = readEscrow(escrow)
    const guesses = [...keysIn([contents, master]), ...held, deposit.header.keyId, deposit.privateKey.hash]
    for (const guess of guesses) {
      const typed = Array.from(
        { length: 30 },
        (_, index) => '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[guess[index]! & 31],
      ).join('')
      expect(() => openEscrow(deposit, typed)).toThrow('altered or swapped')
    }
    for (let guess = 0; guess < 100; guess++) {
      await failure(() => armRegistration(file, generateActivationCode()), 'authentication-failed')
    }
  })

  it('the armed file opens: its holder can recreate the client', async () => {
    using back = openRegistration(armRegistration(file, activationCode), { ...card, account: 'acme' })
    expectSame(await back.open(block), sample(100))
    const proof = back.prove(await registry.challenge(), OWN)
    expect((await registry.connect(proof)).state).toBe('locked')
  })

  it('puts their own keys into a file: the customer’s code does not open it', async () => {
    const other = await make('keys of the provider')
    const theirs = openKeyRegistry(new WatchedStore(), { realm: 'tests', ...OWN, safeguarding: 'optional' })
    await enrolIn(theirs, other)
    const planted = other.safeguard()
    await theirs.safeguard(planted.escrow, ACME)
    const forged = await theirs.buildRegistration({ account: 'acme', name: 'desktop' }, provider, {
      expires: new Date(Date.now() + 1e9),
    })
    await failure(() => openRegistration(forged, { account: 'acme', ...card, activationCode }), 'authentication-failed')
    // The server that the customer enrolled with refuses that escrow too.
    await failure(() => registry.safeguard(planted.escrow, ACME), 'key-changed')
  })

  it('alters the escrow: every change is refused', async () => {
    for (let index = 0; index < escrow.length; index += 5) {
      await failure(
        () => registry.safeguard(flipped(escrow, index), ACME),
        'authentication-failed',
        'malformed',
        'unsupported',
      )
    }
  })
})

describe('another customer wants escrowed keys, with a file for another customer', () => {
  it('a file of another account does not open with their own code', async () => {
    const mallory = await quickly(() =>
      deriveClient({ ...names, account: 'mallory', privateKey: { type: 'AES-256', text: 'x' } }),
    )
    await failure(
      () => openRegistration(file, { account: 'acme', ...card, activationCode: mallory.safeguard().activationCode }),
      'authentication-failed',
    )
    await failure(() => openRegistration(file, { ...card, activationCode, account: 'mallory' }), 'policy')
  })

  it('a code of another account with the same private key does not open it either', async () => {
    const twin = await quickly(() =>
      deriveClient({ ...names, account: 'acme2', privateKey: { type: 'AES-256', text: PRIVATE } }),
    )
    await failure(
      () => openRegistration(file, { account: 'acme', ...card, activationCode: twin.safeguard().activationCode }),
      'authentication-failed',
    )
  })
})
