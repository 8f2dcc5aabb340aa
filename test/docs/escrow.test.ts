// The examples of docs/escrow.md run, and what it says is true.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Client, deriveClient, generateTypedKey, openRegistration, parseRegistration } from '../../src/client.ts'
import type { Card, Keyset } from '../../src/index.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { type KeyRegistry, openKeyRegistry } from '../../src/server.ts'
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { failure, makeKeyset } from '../fixtures.ts'
import { connectTo, enrolIn } from '../registry-fixtures.ts'
import { functionsOf, noting, printed, quietly, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['escrow.md'])
const names = { realm: 'com.example.backup', account: 'customer-17', name: 'desktop', platform: 'linux' } as const
const account = names.account
const nameOf = { account, name: names.name }
type Safeguarding = 'off' | 'optional' | 'mandatory'
const registryOf = (safeguarding: Safeguarding, store: RegistryStore = memoryStateStore()) =>
  openKeyRegistry(store, { realm: names.realm, server: 'storage-1', safeguarding })

interface EscrowGuide {
  safeguard(client: Client, registry: KeyRegistry, account: string): Promise<string>
  buildForCustomer(registry: KeyRegistry, provider: Keyset, of: { account: string; name: string }): Promise<Uint8Array>
  becomeClient(
    file: Uint8Array,
    card: Card,
    code: string,
    account: string,
  ): { client: Client; prove: (challenge: Uint8Array) => Uint8Array }
  arm(file: Uint8Array, code: string): Uint8Array
}

const guideFunctions = () => quietly(() => functionsOf<EscrowGuide>(paths))
const codeOn = (paper: string) => paper.split(',')[0]!

afterEach(() => void vi.useRealTimers())

describe('docs/escrow.md', () => {
  it('opens a file on a new machine in its first example', async () => {
    expect(await printed(() => import(`${paths[0]!}?again`))).toEqual(['my file'])
  })

  it('restores a client from its registration file', async () => {
    const functions = await guideFunctions()
    const { of, called } = noting(functions)
    const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
    const registry = registryOf('mandatory')
    await enrolIn(registry, client)
    await failure(() => connectTo(registry, client), 'safeguarding-required')
    const provider = await makeKeyset()
    await failure(() => of.buildForCustomer(registry, provider, names), 'safeguarding-required')
    const earlier = codeOn(await of.safeguard(client, registry, account))
    const paper = await of.safeguard(client, registry, account)
    expect(paper).toMatch(/^(\w{5}-){5}\w{5}, deposited \d{4}-/)
    const code = codeOn(paper)
    const card = provider.card()
    const file = await of.buildForCustomer(registry, provider, names)
    expect(file.length).toBeLessThan(1000)
    const block = await client.scope('private').seal(Buffer.from('my file'))
    for (const each of [file, of.arm(file, code)]) {
      const back = of.becomeClient(each, card, code.toLowerCase(), account)
      expect(Buffer.from(await back.client.open(block)).toString()).toBe('my file')
      expect(await registry.connect(back.prove(await registry.challenge()))).toMatchObject({ safeguarded: true })
    }
    // An armed file needs no code.
    const armed = openRegistration(of.arm(file, code), { provider: card, account })
    expect(Buffer.from(await armed.open(block)).toString()).toBe('my file')
    const facts = { ...nameOf, server: 'storage-1', hasAccountKey: false, armed: false }
    expect(parseRegistration(file, { provider: card })).toMatchObject(facts)
    expect(parseRegistration(of.arm(file, code), { provider: card }).armed).toBe(true)

    const failures = [
      [earlier, account, 'authentication-failed'],
      ['typed wrongly', account, 'invalid-text'],
      [code, 'customer-18', 'policy'],
    ] as const
    for (const [typed, whose, expected] of failures) {
      await failure(() => of.becomeClient(file, card, typed, whose), expected)
    }
    await failure(() => of.arm(file, 'typed wrongly'), 'invalid-text')
    await failure(() => openRegistration(file, { provider: card, account }), 'authentication-failed')
    using stranger = await makeKeyset()
    await failure(() => parseRegistration(file, { provider: stranger.card() }), 'authentication-failed')
    vi.useFakeTimers({ now: Date.now() + 8 * 86_400_000, toFake: ['Date'] })
    await failure(() => of.becomeClient(file, card, code, account), 'expired')
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('says what each setting does', async () => {
    const of = await guideFunctions()
    const rows = [
      ...textOf('escrow.md').matchAll(/^\| `(off|optional|mandatory)`.* \| (yes|no: `policy`) \| (.*) \|$/gm),
    ]
    expect(rows.map(([, safeguarding]) => safeguarding)).toEqual(['off', 'optional', 'mandatory'])
    for (const [, safeguarding, may, without] of rows) {
      const registry = registryOf(safeguarding as Safeguarding)
      const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
      await enrolIn(registry, client)
      if (without!.includes('cannot connect')) await failure(() => connectTo(registry, client), 'safeguarding-required')
      else expect((await connectTo(registry, client)).safeguarded).toBe(false)
      if (may !== 'yes') await failure(() => of.safeguard(client, registry, account), 'policy')
      else {
        await of.safeguard(client, registry, account)
        expect((await connectTo(registry, client)).safeguarded).toBe(true)
      }
    }
  })

  it('is right about an account key that came after the deposit', async () => {
    const of = await guideFunctions()
    const registry = registryOf('mandatory')
    const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
    await enrolIn(registry, client)
    const code = codeOn(await of.safeguard(client, registry, account))
    const provider = await makeKeyset()
    const file = await of.buildForCustomer(registry, provider, names)
    const accountKey = generateTypedKey('AES-128')
    const complete = await client.withAccountKey(accountKey)
    await enrolIn(registry, complete)
    await failure(() => connectTo(registry, complete), 'safeguarding-required')
    expect(parseRegistration(file, { provider: provider.card() }).hasAccountKey).toBe(false)
    const back = of.becomeClient(file, provider.card(), code, account).client
    await failure(() => connectTo(registry, back), 'account-key-required')
    const whole = await back.withAccountKey(accountKey)
    await enrolIn(registry, whole)
    await of.safeguard(whole, registry, account)
    expect((await connectTo(registry, whole)).safeguarded).toBe(true)
  })

  it('is right about older deposits, other accounts and clients, and clearing', async () => {
    const of = await guideFunctions()
    const registry = registryOf('optional')
    const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
    await failure(() => of.safeguard(client, registry, account), 'key-not-found')
    await enrolIn(registry, client)
    await failure(() => of.safeguard(client, registry, 'customer-18'), 'policy')
    const other = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
    await failure(() => of.safeguard(other, registry, account), 'key-changed')
    const older = client.safeguard()
    const now = Date.now()
    vi.useFakeTimers({ now: now + 60_000, toFake: ['Date'] })
    await of.safeguard(client, registry, account)
    const late = await failure(() => registry.safeguard(older.escrow, { account }), 'rollback')
    expect(late.detail['until']).toMatch(/^\d{4}-/)
    vi.setSystemTime(now + 7 * 60_000)
    const ahead = client.safeguard()
    vi.setSystemTime(now + 60_000)
    await failure(() => registry.safeguard(ahead.escrow, { account }), 'policy')

    expect(await registry.clearEscrow(nameOf)).toBe(true)
    expect((await connectTo(registry, client)).safeguarded).toBe(false)
    await failure(async () => of.buildForCustomer(registry, await makeKeyset(), names), 'safeguarding-required')
  })

  it('is right about clients under DES-56', async () => {
    const key = { type: 'DES-56', text: 'asigra56' } as const
    const old = await deriveLegacyClient({ ...names, privateKey: key })
    await failure(() => old.safeguard(), 'policy')
    const store = memoryStateStore()
    const [strict, lenient] = [registryOf('mandatory', store), registryOf('optional', store)]
    await enrolIn(lenient, old)
    await failure(() => connectTo(strict, old), 'safeguarding-required')
    expect((await connectTo(lenient, old)).name).toBe('desktop')
  })
})
