// What one device keeps in its own database: its key, saved handles, and texts that are sealed for one place.
import {
  ALICE,
  CHEAP,
  DESKTOP,
  expectSame,
  failure,
  fieldAt,
  flipped,
  hex,
  makeKeyset,
  PASSWORD,
  patched,
  quickly,
  resummed,
  sample,
  ofEveryScope,
} from '../fixtures.ts'
import { createProfile, deriveLogin, openProfile, openSavedLogin } from '../../src/vault.ts'
import { deriveClient, openSavedClient } from '../../src/client.ts'
import { openSavedKeyset, openWriter, unlockKeyset } from '../../src/index.ts'
import { createDeviceKey, type DeviceKey, openDeviceKey } from '../../src/device.ts'
import { describe, expect, it } from 'vitest'
import { openKeyRegistry } from '../../src/server.ts'
import { OWN, WatchedStore } from '../registry-fixtures.ts'

const device = createDeviceKey()
const other = createDeviceKey()
const client = await quickly(() =>
  deriveClient({
    realm: 'tests',
    account: 'acme',
    name: 'desktop',
    platform: 'linux',
    privateKey: { type: 'AES-192', text: 'private' },
    accountKey: { type: 'AES-128', text: 'account' },
  }),
)
const login = await deriveLogin(PASSWORD, { realm: 'tests', user: 'Alice' })
const keyset = (await makeKeyset({ encryption: 'none' })).createShare().keyset
const saved = { login: login.save(device), client: client.save(device), keyset: keyset.save(device) }
const openers: [keyof typeof saved, (by: DeviceKey, bytes: Uint8Array) => unknown][] = [
  ['login', (by, bytes) => openSavedLogin(bytes, by, ALICE)],
  ['client', (by, bytes) => openSavedClient(bytes, by, DESKTOP)],
  ['keyset', (by, bytes) => openSavedKeyset(bytes, by, { id: keyset.id })],
]

describe('a saved handle', () => {
  it('opens again: a login', () => {
    const again = openSavedLogin(saved.login, device, ALICE)
    expect([again.realm, again.user, again.credential]).toEqual(['tests', 'alice', login.credential])
    const { record } = createProfile(login, { zeroTrust: true })
    expect(openProfile(record, again).revision).toBe('1')
  })

  it('opens again: a client', async () => {
    const challenge = await openKeyRegistry(new WatchedStore(), { realm: 'tests', ...OWN }).challenge()
    const again = openSavedClient(saved.client, device, DESKTOP)
    expect([again.account, again.name]).toEqual(['acme', 'desktop'])
    expect(again.enrolment(challenge, OWN)).toEqual(client.enrolment(challenge, OWN))
    for (const scope of ['private', 'account', 'public'] as const) {
      expectSame(await ofEveryScope(again).open(await client.scope(scope).seal(sample(100))), sample(100))
    }
    const lone = await quickly(() =>
      deriveClient({
        ...{ realm: 'tests', account: 'acme', name: 'phone', platform: 'ios' },
        privateKey: { type: 'AES-256', text: 'private' },
      }),
    )
    const reopened = openSavedClient(lone.save(device), device, { account: 'acme', name: 'phone' })
    expect(reopened.enrolment(challenge, OWN)).toEqual(lone.enrolment(challenge, OWN))
    await failure(async () => reopened.scope('account'), 'account-key-required')
  })

  it('opens again: a keyset, with everything that it can do', async () => {
    const again = openSavedKeyset(saved.keyset, device, { id: keyset.id })
    expect([again.id, again.revision, again.shares]).toEqual([keyset.id, keyset.revision, keyset.shares])
    const block = await openWriter(again.export('host'), { encryption: 'hybrid' }).seal(sample(50))
    expectSame(await keyset.open(block), sample(50))
    const stored = again.regenerate().export('storage')
    expectSame(await (await unlockKeyset(stored, PASSWORD)).open(block), sample(50))
    // A keyset from a source definition is saved without the keys that it lacks. `allowWeaker` is not saved.
    const strict = await makeKeyset()
    const definition = await unlockKeyset(strict.export('definition'), PASSWORD, { allowWeaker: 'x25519' })
    const host = strict.export('host')
    const weak = await openWriter(resummed(patched(host, fieldAt(host, 'plain'), [0])), { encryption: 'x25519' }).seal(
      sample(9),
    )
    expectSame(await definition.open(weak), sample(9))
    const reopened = openSavedKeyset(definition.save(device), device, { id: strict.id })
    await failure(() => reopened.open(weak), 'policy')
    const tolerant = openSavedKeyset(definition.save(device), device, { id: strict.id, allowWeaker: 'x25519' })
    expectSame(await tolerant.open(weak), sample(9))
    await failure(() => reopened.export('host'), 'policy')
    const next = (await again.changePassword('next', { costs: CHEAP })).save(device)
    const changed = await openSavedKeyset(next, device, { id: again.id }).changePassword('another', { costs: CHEAP })
    expect((await unlockKeyset(changed.export('host'), 'another')).id).toBe(again.id)
    reopened.dispose()
    expectSame(await strict.open(await openWriter(strict.export('host')).seal(sample(9))), sample(9))
  })

  it.each(openers)(
    '%s: does not open on another device, as another kind of handle, or with a flipped byte',
    async (kind, open) => {
      const bytes = saved[kind]
      await failure(() => open(other, bytes), 'key-not-found')
      for (const [name, opener] of openers) if (name !== kind) await failure(() => opener(device, bytes), 'unsupported')
      for (let index = 0; index < bytes.length; index += index < 200 ? 1 : 97) {
        const damaged = flipped(bytes, index, index % 8)
        await failure(() => open(device, damaged), 'malformed')
        if (index < bytes.length - 8) {
          const codes = ['authentication-failed', 'malformed', 'unsupported', 'key-not-found'] as const
          await failure(() => open(device, resummed(damaged)), ...codes)
        }
      }
      await failure(() => open(device, bytes.subarray(0, -1)), 'malformed')
      await failure(() => open(device, new Uint8Array(2 * 2 ** 20)), 'limit-exceeded')
      expect(() => open(device, 'x' as never)).toThrow(TypeError)
    },
  )

  it('is refused if another handle or a newer version is expected', async () => {
    const others = [
      () => openSavedLogin(saved.login, device, { realm: 'tests', user: 'bob' }),
      () => openSavedLogin(saved.login, device, { realm: 'other', user: 'alice' }),
      () => openSavedClient(saved.client, device, { account: 'acme', name: 'laptop' }),
      () => openSavedClient(saved.client, device, { account: 'other', name: 'desktop' }),
      () => openSavedKeyset(saved.keyset, device, { id: '00'.repeat(16) }),
    ]
    const fields = ['user', 'realm', 'name', 'account', 'id']
    for (const [index, open] of others.entries()) {
      expect((await failure(open, 'policy')).detail).toMatchObject({ rule: 'expected-handle', field: fields[index] })
    }
    await failure(
      () => openSavedKeyset(saved.keyset, device, { id: keyset.id, atLeast: keyset.regenerate().revision }),
      'rollback',
    )
  })

  it('is saved and opened only with a device key of this library', () => {
    for (const none of [{}, { ...device }, login]) {
      expect(() => keyset.save(none as never)).toThrow(TypeError)
      expect(() => openSavedKeyset(saved.keyset, none as never, { id: keyset.id })).toThrow(TypeError)
    }
  })

  it('shows no names and no credential in its bytes', () => {
    for (const bytes of Object.values(saved)) {
      const text = Buffer.from(bytes)
      // "acme" with its length in front, as it is stored: four letters alone come by chance once in a million times.
      for (const word of ['alice', '\0\x04acme', 'desktop', 'tests', login.credential])
        expect(text.includes(word)).toBe(false)
      expect(text.includes(Buffer.from(login.credential, 'base64url').subarray(0, 8))).toBe(false)
    }
  })
})

describe('a text sealed for a place', () => {
  const place = { table: 'source', row: 'host-7', column: 'password', version: 3 }

  it('comes back unchanged, and its sealed length is padded', () => {
    for (const text of ['', 'hunter2', 'a\u00a0e\u0301 ✓', '\ufeffbom', '🔑'.repeat(1000), 'x'.repeat(64 * 1024)]) {
      expect(device.openText(device.sealText(text, place), place)).toBe(text)
    }
    expect(device.sealText('a', place).length).toBe(device.sealText('a'.repeat(28), place).length)
    expect(device.sealText('a', place).length).toBeLessThan(device.sealText('a'.repeat(29), place).length)
    expect(hex(device.sealText('a', place))).not.toBe(hex(device.sealText('a', place)))
  })

  it('does not open in another place, on another device, or with a flipped byte', async () => {
    const sealed = device.sealText('hunter2', place)
    for (const elsewhere of [
      { ...place, row: 'host-8' },
      { ...place, column: 'user' },
      { ...place, table: 'target' },
      { ...place, version: 2 },
      { ...place, table: 'sourceh', row: 'ost-7' },
    ]) {
      await failure(() => device.openText(sealed, elsewhere), 'authentication-failed')
    }
    await failure(() => other.openText(sealed, place), 'key-not-found')
    for (let index = 0; index < sealed.length; index++) {
      const codes = ['authentication-failed', 'malformed', 'unsupported', 'key-not-found'] as const
      await failure(() => device.openText(flipped(sealed, index, index % 8), place), ...codes)
    }
    await failure(() => device.openText(sealed.subarray(0, 100), place), 'malformed')
    await failure(() => device.openText(new Uint8Array(100_000), place), 'limit-exceeded')
  })

  it('is refused if the text is too long, or the text or the place is invalid', async () => {
    await failure(() => device.sealText('x'.repeat(64 * 1024 + 1), place), 'limit-exceeded')
    await failure(() => device.sealText('\ud800', place), 'invalid-text')
    await failure(() => device.sealText('x', { ...place, row: 'a\udc00' }), 'invalid-text')
    expect(() => device.sealText(7 as never, place)).toThrow(TypeError)
    expect(() => device.sealText('x', { ...place, row: undefined } as never)).toThrow(TypeError)
    for (const version of [-1, 1.5, Number.NaN, '1']) {
      expect(() => device.sealText('x', { ...place, version } as never)).toThrow(RangeError)
    }
  })
})

describe('a device key', () => {
  it('opens again, whether it was exported unprotected or under a passphrase', async () => {
    const [open, locked] = [device.exportUnprotected(), await quickly(() => device.export('a passphrase'))]
    expect([open.length, locked.length]).toEqual([89, 261])
    const reopened = await quickly(() => openDeviceKey(locked, 'a\u00a0passphrase'))
    for (const again of [await openDeviceKey(open), reopened]) {
      expect(openSavedLogin(saved.login, again, ALICE).user).toBe('alice')
    }
    await failure(() => quickly(() => openDeviceKey(locked, 'another')), 'wrong-password')
    await failure(() => openDeviceKey(locked), 'wrong-password')
    await failure(() => openDeviceKey(open, 'a passphrase'), 'policy')
    for (const passphrase of ['', 'a passphrase\n', '\ufeffa passphrase']) {
      const { detail } = await failure(() => device.export(passphrase), 'invalid-text')
      expect(detail['field']).toBe('passphrase')
      await failure(() => openDeviceKey(locked, passphrase), 'invalid-text')
    }
    expect(Buffer.from(locked).includes(Buffer.from(open.subarray(49, 57)))).toBe(false)
  })

  it('passes the hash options on: progress and signal', async () => {
    const heard: number[] = []
    const onProgress = (fraction: number) => heard.push(fraction)
    const locked = await quickly(() => device.export('a passphrase', { onProgress }))
    await quickly(() => openDeviceKey(locked, 'a passphrase', { onProgress }))
    expect(heard.filter((fraction) => fraction === 1)).toHaveLength(2)
    const signal = AbortSignal.abort()
    await failure(() => device.export('a passphrase', { signal }), 'aborted')
    await failure(() => openDeviceKey(locked, 'a passphrase', { signal }), 'aborted')
  })

  it('with a flipped byte is reported as damaged, never as a wrong passphrase', async () => {
    const [open, locked] = [device.exportUnprotected(), await quickly(() => device.export('a passphrase'))]
    for (let index = 0; index < locked.length; index++) {
      await failure(() => openDeviceKey(flipped(locked, index, index % 8), 'a passphrase'), 'malformed')
    }
    for (let index = 0; index < open.length - 8; index++) {
      await failure(() => openDeviceKey(flipped(open, index)), 'malformed')
      await failure(
        () => openDeviceKey(resummed(flipped(open, index))),
        ...(['authentication-failed', 'malformed', 'unsupported', 'wrong-password'] as const),
      )
    }
    await failure(() => openDeviceKey(resummed(flipped(locked, 53, 6)), 'a passphrase'), 'limit-exceeded')
    await failure(
      () => quickly(() => openDeviceKey(resummed(flipped(locked, 240)), 'a passphrase')),
      'authentication-failed',
    )
    // The header of the WRAP: another key id means another passphrase. Every other field is authenticated.
    // It has 160 bytes, and a checksum of 8 follows. The letters KSTR may come in it by chance.
    const wrapAt = locked.length - 8 - 160
    expect(Buffer.from(locked.subarray(wrapAt, wrapAt + 4)).toString()).toBe('KSTR')
    for (let index = 0; index < 48; index++) {
      const altered = resummed(flipped(locked, wrapAt + index))
      const isKeyId = index >= 16 && index < 32
      await failure(
        () => quickly(() => openDeviceKey(altered, 'a passphrase')),
        isKeyId ? 'wrong-password' : 'authentication-failed',
      )
    }
    await failure(() => openDeviceKey(new Uint8Array(5000)), 'limit-exceeded')
    await failure(() => openDeviceKey(saved.login), 'unsupported')
  })

  it('cannot be used after it is disposed of, but finishes an export', async () => {
    const short = createDeviceKey()
    const text = short.sealText('x', { table: 't', row: 'r', column: 'c', version: 0 })
    const exporting = quickly(() => {
      const exported = short.export('a passphrase')
      short.dispose()
      return exported
    })
    expect((await exporting).length).toBe(261)
    for (const action of [
      () => short.exportUnprotected(),
      () => short.export('x'),
      () => login.save(short),
      () => openSavedLogin(saved.login, short, ALICE),
      () => short.openText(text, { table: 't', row: 'r', column: 'c', version: 0 }),
    ]) {
      await failure(action, 'disposed')
    }
  })
})
