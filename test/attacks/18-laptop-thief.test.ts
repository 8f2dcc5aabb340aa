// Row 18. The thief has the laptop's database but not its device key, which is in the operating system's keystore or
// protected by a passphrase.
import { ALICE, claimantOf, DESKTOP, failure, PASSWORD, quickly } from '../fixtures.ts'
import { deriveClient, openSavedClient } from '../../src/client.ts'
import { deriveLogin, openSavedLogin } from '../../src/vault.ts'
import { openSavedKeyset } from '../../src/index.ts'
import { createDeviceKey, openDeviceKey } from '../../src/device.ts'
import { describe, expect, it } from 'vitest'
import { withBytes } from '../../src/core/secret.ts'
import { insides, quickKeyset } from './known.ts'

const device = createDeviceKey()
const thief = createDeviceKey()
const place = { table: 'source', row: '1', column: 'password', version: 1 }
const client = await quickly(() =>
  deriveClient({
    ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
    privateKey: { type: 'AES-256', text: 'of the client' },
  }),
)
const login = await deriveLogin(PASSWORD, ALICE)
const keyset = await quickKeyset()
const text = device.sealText('hunter2 of the source', place)
const saved = { client: client.save(device), login: login.save(device), keyset: keyset.save(device) }

describe('a laptop thief wants source passwords, client keys', () => {
  it('wrong device key: nothing in the database opens', async () => {
    const opened = (by: typeof device) => [
      () => by.openText(text, place),
      () => openSavedClient(saved.client, by, DESKTOP),
      () => openSavedLogin(saved.login, by, ALICE),
      () => openSavedKeyset(saved.keyset, by, { id: keyset.id }),
    ]
    for (const open of opened(thief)) await failure(open, 'key-not-found')
    // Nor under the id of the thief's own key: the id selects a key, and is not trusted.
    const own = thief.sealText('x', place).subarray(16, 32)
    const posed = (bytes: Uint8Array) => {
      const copy = new Uint8Array(bytes)
      copy.set(own, 16)
      return copy
    }
    await failure(() => thief.openText(posed(text), place), 'authentication-failed')
    for (const open of opened(device)) open()
    expect(device.openText(text, place)).toBe('hunter2 of the source')
  })

  it('wrong passphrase: the device key does not open', async () => {
    const locked = await quickly(() => device.export('a passphrase'))
    for (const guess of ['another', 'a passphras', 'A passphrase']) {
      await failure(() => quickly(() => openDeviceKey(locked, guess)), 'wrong-password')
    }
    const again = await quickly(() => openDeviceKey(locked, 'a passphrase'))
    expect(again.openText(text, place)).toBe('hunter2 of the source')
    const key = Buffer.from(device.exportUnprotected().subarray(49, 81))
    expect(Buffer.from(locked).includes(key.subarray(0, 8))).toBe(false)
  })

  it('finds no password and no key in the stored database', () => {
    const secrets = [
      'hunter2 of the source',
      'of the client',
      PASSWORD,
      Buffer.from(login.credential, 'base64url'),
      withBytes(claimantOf(client).privateKey.key, (bytes) => Buffer.from(bytes)),
      withBytes(insides(keyset).dedupKey, (bytes) => Buffer.from(bytes)),
      withBytes(insides(keyset).blockPair.privateHalves.x25519, (bytes) => Buffer.from(bytes)),
    ]
    const rows = [text, ...Object.values(saved)].map((row) => Buffer.from(row))
    for (const row of rows) for (const secret of secrets) expect(row.includes(secret.slice(0, 8))).toBe(false)
  })

  it('swapped rows: a password does not open in another place, nor an old one as the current one', async () => {
    const next = { ...place, row: '2' }
    const rows = new Map([
      ['1', text],
      ['2', device.sealText('of another source', next)],
    ])
    await failure(() => device.openText(rows.get('2')!, place), 'authentication-failed')
    await failure(() => device.openText(rows.get('1')!, next), 'authentication-failed')
    for (const elsewhere of [
      { ...place, table: 'target' },
      { ...place, column: 'comment' },
      { ...place, version: 2 },
      // The same letters, split in another place.
      { ...place, table: 'sourc', row: 'e1' },
      { ...place, row: '1p', column: 'assword' },
    ]) {
      await failure(() => device.openText(text, elsewhere), 'authentication-failed')
    }
    // A saved handle of one kind is not accepted as another.
    await failure(() => openSavedLogin(saved.client, device, ALICE), 'unsupported')
    await failure(() => openSavedClient(saved.keyset, device, DESKTOP), 'unsupported')
    await failure(() => openSavedKeyset(saved.login, device, { id: keyset.id }), 'unsupported')
    await failure(() => device.openText(saved.login, place), 'unsupported', 'malformed')
  })
})
