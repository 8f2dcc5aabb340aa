// Reads every frozen vector of clients and devices with the library. second-reader.test.ts reads them with the reader
// written from SPEC.md alone.
import { KEY_TYPES, type KeyTypeNumber, LEGACY_KEY_TYPES } from '../../src/client/layout.ts'
import { decode, encode } from '../../src/core/codec.ts'
import { authenticationFailed } from '../../src/core/errors.ts'
import { accountRow } from '../../src/server/account-row.ts'
import { Challenges } from '../../src/server/challenge.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { CheckedRegistryStore } from '../../src/state/checked.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { DESKTOP, hex, openKeyOf, sample, unhex, ofEveryScope } from '../fixtures.ts'
import { enrolIn, rowName, WatchedStore } from '../registry-fixtures.ts'
import { openSavedLogin } from '../../src/vault.ts'
import { openSavedClient } from '../../src/client.ts'
import { openSavedKeyset, parseBlock } from '../../src/index.ts'
import { openDeviceKey } from '../../src/device.ts'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openedClient } from '../../src/client/client.ts'
import { checkChallenge, readEnrolment, readProof } from '../../src/client/proof.ts'
import { deriveTextKey } from '../../src/client/typed-key.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { remembering } from '../remembered.ts'
import * as specReader from '../spec-reader-client.ts'
import {
  accountVectors,
  clientBlockVectors,
  type DeviceVector,
  deviceVectors,
  outcome,
  type ProofVector,
  proofVectors,
  typedKeyVectors,
} from './vectors.ts'

const TYPES = { ...KEY_TYPES, ...LEGACY_KEY_TYPES }

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

describe('typed-key.json', () => {
  // Portable Argon2 takes a second for each vector. Without SLOW=1, only three valid vectors and all invalid ones run.
  const quick = ['account', 'decomposed', 'role']
  const chosen = typedKeyVectors().filter((vector) => {
    return process.env['SLOW'] === '1' || vector.expect !== 'ok' || quick.includes(vector.id)
  })

  it.each(chosen)('$id: $comment', async ({ type, text, role, realm, account, key, expect: expected }) => {
    const ours = outcome(async () => {
      const derived = await deriveTextKey(TYPES[type], text, role, { realm, account }, {})
      expect(withBytes(derived.key, hex)).toBe(key)
    })
    expect(await ours).toBe(expected)
  })
})

describe('client-block.json', () => {
  it.each(clientBlockVectors())(
    '$id: $comment',
    async ({ realm, account, privateType, label, block, content, ...vector }) => {
      const [privateKey, accountKey] = [unhex(vector.privateKey), unhex(vector.accountKey)]
      const reader = openedClient({
        ...{ realm, account, client: 'desktop', platform: 3 },
        privateKey: { type: privateType as KeyTypeNumber, key: new SecretKey('client', privateKey) },
        accountKey: { type: 1, key: new SecretKey('client', accountKey) },
      })
      const ours = outcome(async () => {
        expect(hex(await ofEveryScope(reader).open(parseBlock(unhex(block), label)))).toBe(content)
      })
      expect(await ours).toBe(vector.expect)
    },
  )
})

describe('proof.json', () => {
  /** Checks a challenge as its server does, at the time of the vector. */
  async function assertIssued(challenge: Uint8Array, { realm, server, registryKey, now }: ProofVector) {
    const store = memoryStateStore()
    await store.write('registry', 1, unhex(registryKey))
    vi.setSystemTime(now)
    await new Challenges(new CheckedRegistryStore(store), realm, server).check(challenge)
  }
  async function ours(vector: ProofVector) {
    const { kind, realm, server, registryKey } = vector
    const bytes = unhex(vector.bytes)
    if (kind === 'challenge') return void checkChallenge(bytes, realm, server)
    if (kind === 'issued') return assertIssued(bytes, vector)
    const read = kind === 'enrolment' ? readEnrolment(bytes) : { realm, ...readProof(bytes) }
    if (read.realm !== realm) throw authenticationFailed()
    if (registryKey !== '') await assertIssued(read.challenge, vector)
  }

  beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'] }))
  afterAll(() => void vi.useRealTimers())

  it.each(proofVectors())('$id: $comment', async (vector) => {
    expect(await outcome(() => ours(vector))).toBe(vector.expect)
  })

  it('is what a registry creates, with the same random bytes', async () => {
    const { bytes, realm, server, registryKey, now } = proofVectors().find(({ id }) => id === 'issued')!
    const store = memoryStateStore()
    await store.write('registry', 1, unhex(registryKey))
    vi.setSystemTime(now - 30_000)
    const registry = openKeyRegistry(store, { realm, server })
    const random = vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
      ;(array as Uint8Array).set(unhex(bytes).subarray(-72, -40))
      return array
    })
    const challenge = await registry.challenge()
    random.mockRestore()
    expect(hex(challenge)).toBe(bytes)
  })

  it('both readers read the same fields', () => {
    const { bytes, realm } = proofVectors().find(({ id }) => id === 'enrolment-both')!
    const claim = readEnrolment(unhex(bytes))
    const read = specReader.readEnrolment(unhex(bytes), realm)
    expect(hex(read.challenge)).toBe(hex(claim.challenge))
    expect([read.account, read.client, read.platform]).toEqual([claim.account, claim.client, claim.platform])
    expect(read.keys.map(({ type, hash }) => [type, hex(hash)])).toEqual(
      [claim.privateKey, claim.accountKey!].map(({ type, hash }) => [type, hex(hash)]),
    )
  })
})

describe('account.json', () => {
  const shown = ({ type, hash }: { type: number; hash: Uint8Array }) => ({ type, hash: hex(hash) })

  it.each(accountVectors())('$id: $comment', async ({ realm, account, name, row, expect: expected, ...wanted }) => {
    expect(rowName(account, realm)).toBe(name)
    const { accountKey, clients } = wanted
    const ours = () => {
      const read = decode(accountRow, unhex(row), 'row')
      expect(read.accountKey === undefined ? null : shown(read.accountKey)).toEqual(accountKey)
      const known = read.clients.map(({ privateKey, client, escrow, ...rest }) => ({
        ...rest,
        client: hex(client),
        key: shown(privateKey),
        escrow: escrow === undefined ? null : hex(escrow),
      }))
      expect(known).toEqual(clients)
      expect(hex(encode(accountRow, read))).toBe(row)
    }
    expect(await outcome(ours)).toBe(expected)
  })

  it('a registry writes its rows under this name', async () => {
    const store = new WatchedStore()
    const registry = openKeyRegistry(store, { realm: 'com.example.backup', server: 'storage-1' })
    const key = { type: 3, key: new SecretKey('client', sample(32, 3)) } as const
    const names = { realm: 'com.example.backup', account: 'acme', client: 'desktop', platform: 3 }
    await enrolIn(registry, openedClient({ ...names, privateKey: key, accountKey: undefined }))
    expect(store.writes).toContain(accountVectors()[0]!.name)
  })
})

describe('device.json', () => {
  async function ours({ kind, deviceKey, bytes, passphrase, place, text }: DeviceVector) {
    if (kind === 'key') {
      const opened = await openDeviceKey(unhex(bytes), passphrase ?? undefined)
      expect(hex(opened.exportUnprotected().subarray(49, 81))).toBe(deviceKey)
      return
    }
    const device = await openDeviceKey(openKeyOf(unhex(deviceKey)))
    if (kind === 'text') expect(device.openText(unhex(bytes), place)).toBe(text)
    else if (kind === 'login') openSavedLogin(unhex(bytes), device, { realm: 'com.example.backup', user: 'user-4711' })
    else if (kind === 'client') openSavedClient(unhex(bytes), device, DESKTOP)
    else openSavedKeyset(unhex(bytes), device, { id: 'ee'.repeat(16) })
  }

  it.each(deviceVectors())('$id: $comment', async (vector) => {
    expect(await outcome(() => ours(vector))).toBe(vector.expect)
  })
})
