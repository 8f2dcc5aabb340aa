// Reads every frozen vector of clients and devices with the library, and with the reader written from SPEC.md alone.
import { KEY_TYPES, type KeyTypeNumber, LEGACY_KEY_TYPES } from '../../src/client/layout.ts'
import { DESKTOP, hex, openKeyOf, unhex } from '../fixtures.ts'
import { openSavedLogin } from '../../src/vault.ts'
import { openSavedClient } from '../../src/client.ts'
import { openSavedKeyset, parseBlock } from '../../src/index.ts'
import { openDeviceKey } from '../../src/device.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openedClient } from '../../src/client/client.ts'
import { checkChallenge, readEnrolment, readProof } from '../../src/client/proof.ts'
import { deriveTextKey } from '../../src/client/typed-key.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { remembering } from '../remembered.ts'
import * as specReader from '../spec-reader-client.ts'
import {
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
    const theirs = outcome(() => {
      expect(hex(specReader.typedKey(text, TYPES[type].number, role, realm, account))).toBe(key)
    })
    expect(await theirs).toBe(expected)
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
        expect(hex(await reader.open(parseBlock(unhex(block), label)))).toBe(content)
      })
      expect(await ours).toBe(vector.expect)
      const theirs = outcome(() => {
        const opened = specReader.openClientBlock(unhex(block), label, {
          ...{ realm, account },
          privateKey: { type: privateType, key: Buffer.from(privateKey) },
          accountKey: { type: 1, key: Buffer.from(accountKey) },
        })
        expect(hex(opened)).toBe(content)
      })
      expect(await theirs).toBe(vector.expect)
    },
  )
})

describe('proof.json', () => {
  const ours = ({ kind, bytes, realm, server }: ProofVector) => {
    if (kind === 'enrolment') readEnrolment(unhex(bytes), realm)
    else if (kind === 'proof') readProof(unhex(bytes))
    else checkChallenge(unhex(bytes), realm, server)
  }
  const theirs = ({ kind, bytes, realm, server }: ProofVector) => {
    if (kind === 'enrolment') specReader.readEnrolment(unhex(bytes), realm)
    else if (kind === 'proof') specReader.readProof(unhex(bytes))
    else specReader.readChallenge(unhex(bytes), realm, server)
  }

  it.each(proofVectors())('$id: $comment', async (vector) => {
    expect(await outcome(() => ours(vector))).toBe(vector.expect)
    expect(await outcome(() => theirs(vector))).toBe(vector.expect)
  })

  it('both readers read the same fields', () => {
    const { bytes, realm } = proofVectors().find(({ id }) => id === 'enrolment-both')!
    const claim = readEnrolment(unhex(bytes), realm)
    const read = specReader.readEnrolment(unhex(bytes), realm)
    expect([read.account, read.client, read.platform]).toEqual([claim.account, claim.client, claim.platform])
    expect(read.keys.map(({ type, hash }) => [type, hex(hash)])).toEqual(
      [claim.privateKey, claim.accountKey!].map(({ type, hash }) => [type, hex(hash)]),
    )
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
  function theirs({ kind, deviceKey, bytes, passphrase, place, text }: DeviceVector) {
    const key = Buffer.from(deviceKey, 'hex')
    if (kind === 'key') expect(hex(specReader.openDeviceKey(unhex(bytes), passphrase ?? undefined))).toBe(deviceKey)
    else if (kind === 'text') expect(specReader.openText(unhex(bytes), place, key)).toBe(text)
    else specReader.openSaved(unhex(bytes), { login: 1, client: 2, keyset: 3 }[kind], key)
  }

  it.each(deviceVectors())('$id: $comment', async (vector) => {
    expect(await outcome(() => ours(vector))).toBe(vector.expect)
    expect(await outcome(() => theirs(vector))).toBe(vector.expect)
  })
})
