// Data under DES-56: it can be opened and moved to an AES-256 client. Nothing new is sealed under DES without
// `dangerouslyAllowDes`.
import { deriveLegacyClient } from '../../src/legacy.ts'
import { deriveClient } from '../../src/client.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { createDeviceKey } from '../../src/device.ts'
import { describe, expect, it } from 'vitest'
import { encodeBlock, parseBlock } from '../../src/index.ts'
import { parseClientBlock } from '../../src/client/block.ts'
import { concat } from '../../src/core/bytes.ts'
import { DesScope } from '../../src/legacy/des-scope.ts'
import { findDes } from '../../src/legacy/des.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { expectSame, failure, flipped, hex, patched, quickly, sample } from '../fixtures.ts'
import { commitFor, connectTo, enrolIn, WatchedStore } from '../registry-fixtures.ts'

const NAMES = { realm: 'tests', account: 'acme', name: 'old', platform: 'windows' } as const
const make = (more: Partial<Parameters<typeof deriveLegacyClient>[0]> = {}) =>
  quickly(() => deriveLegacyClient({ ...NAMES, privateKey: { type: 'DES-56', text: 'asigra56' }, ...more }))
const writer = await make({ dangerouslyAllowDes: true })
const reader = await make()
const modern = await quickly(() =>
  deriveClient({ ...NAMES, name: 'new', platform: 'linux', privateKey: { type: 'AES-256', text: 'much longer' } }),
)
const content = sample(1000)
const block = await writer.scope('private').seal(content)

describe('a client with a DES-56 key', () => {
  it('opens existing blocks, and seals no private blocks', async () => {
    expectSame(await reader.open(block), content)
    expectSame(await reader.scope('private').open(parseBlock(encodeBlock(block), block.label)), content)
    for (const attempt of [
      () => reader.scope('private').seal(content),
      () => reader.scope('private').prepare(content),
    ]) {
      expect((await failure(attempt, 'policy')).detail['rule']).toBe('no-des')
    }
    const forced = await make({ dangerouslyAllowDes: 1 as unknown as true })
    await failure(() => forced.scope('private').seal(content), 'policy')
  })

  it('opens blocks so that a client with an AES-256 key can seal them again', async () => {
    const moved = await modern.scope('private').seal(await reader.open(block))
    expectSame(await modern.open(moved), content)
    await failure(() => reader.open(moved), 'key-not-found')
    await failure(() => modern.open(block), 'unsupported')
    await failure(() => modern.scope('private').open(block), 'unsupported')
  })

  it('seals equal content to the same label, but to different ciphertexts', async () => {
    const again = await writer.scope('private').seal(content)
    expect(again.label).toBe(block.label)
    expect(again.ciphertext).not.toEqual(block.ciphertext)
  })

  it.each([0, 1, 7, 8, 9, 16, 65_536 + 3])('seals and opens %i bytes', async (length) => {
    const sealed = await writer.scope('private').seal(sample(length))
    expect(sealed.ciphertext.length).toBe(length + 8 - (length % 8))
    expectSame(await reader.open(sealed), sample(length))
  })

  it('refuses a block of which any byte was changed', async () => {
    const short = await writer.scope('private').seal(sample(3))
    const { label, envelope, ciphertext } = short
    for (let index = 0; index < envelope.length; index++) {
      const changed = { ...short, envelope: flipped(envelope, index, 1) }
      await failure(() => reader.open(changed), 'authentication-failed', 'malformed', 'unsupported', 'key-not-found')
    }
    for (let index = 0; index < ciphertext.length; index++) {
      await failure(() => reader.open({ ...short, ciphertext: flipped(ciphertext, index) }), 'authentication-failed')
    }
    await failure(() => reader.open({ ...short, label: block.label }), 'authentication-failed')
    await failure(() => reader.open({ label, envelope, ciphertext: ciphertext.subarray(1) }), 'malformed')
    await failure(() => reader.open({ label, envelope, ciphertext: new Uint8Array(0) }), 'malformed')
  })

  it('refuses invalid padding, even from somebody who has the key', async () => {
    const key = new SecretKey('client', sample(8))
    const names = { realm: 'tests', account: 'acme', client: 'old', platform: 3, accountKey: undefined }
    const scope = new DesScope({ ...names, privateKey: { type: 4, key } }, await findDes(), true)
    const open = async (padded: Uint8Array, text: Uint8Array) => {
      const { label, nonce } = await scope.prepare(text)
      const ciphertext = new Uint8Array(padded)
      const envelope = await scope.seal({ buffer: ciphertext, label, nonce })
      return scope.open(parseClientBlock({ label: hex(label), envelope, ciphertext }, { des: true }))
    }
    const ending = (...bytes: number[]) => concat(sample(16 - bytes.length), new Uint8Array(bytes))
    expectSame(await open(ending(3, 3, 3), sample(13)), sample(13))
    expectSame(await open(ending(8, 8, 8, 8, 8, 8, 8, 8), sample(8)), sample(8))
    const nines = Array<number>(9).fill(9)
    await failure(() => open(ending(...nines), sample(7)), 'authentication-failed')
    await failure(() => open(ending(0), new Uint8Array(0)), 'authentication-failed')
    await failure(() => open(ending(3, 4, 3), sample(13)), 'authentication-failed')
    await failure(() => open(ending(4, 4, 3), sample(13)), 'authentication-failed')
  })

  it('refuses a block whose header was changed to another suite', async () => {
    const other = patched(block.envelope, 6, [3, 3])
    const envelope = new Uint8Array(112)
    envelope.set(other.subarray(0, 48))
    await failure(() => reader.open({ ...block, envelope }), 'authentication-failed')
  })

  it('seals and opens in the public and account scopes like any client', async () => {
    const open = await reader.scope('public').seal(content)
    expectSame(await modern.scope('public').open(open), content)
    await failure(() => reader.scope('account'), 'account-key-required')
    const accountKey = { type: 'AES-128', text: 'of the account' } as const
    const [old, now] = await Promise.all([reader.withAccountKey(accountKey), modern.withAccountKey(accountKey)])
    const shared = await now.scope('account').seal(content)
    expectSame(await old.open(shared), content)
    expectSame(await old.open(block), content)
    await failure(() => old.scope('private').seal(content), 'policy')
  })

  it('proves its key to its server, but cannot be saved or safeguarded', async () => {
    const registry = openKeyRegistry(new WatchedStore(), {
      realm: 'tests',
      server: 's',
      safeguarding: 'optional',
    })
    const own = { server: 's' }
    await enrolIn(registry, reader, own)
    await commitFor(registry, reader, own)
    expect((await connectTo(registry, writer, own)).state).toBe('locked')
    const other = await make({ privateKey: { type: 'DES-56', text: 'another' } })
    await failure(() => connectTo(registry, other, own), 'key-changed')
    expect((await failure(() => reader.safeguard(), 'policy')).detail['rule']).toBe('no-des')
    expect((await failure(() => reader.save(createDeviceKey()), 'policy')).detail['rule']).toBe('no-des')
  })

  it('has a key of type DES-56 with 1 to 8 characters', async () => {
    await failure(() => make({ privateKey: { type: 'DES-56', text: 'ninechars' } }), 'invalid-text')
    await failure(() => make({ privateKey: { type: 'DES-56', text: '' } }), 'invalid-text')
    await expect(make({ privateKey: { type: 'AES-128', text: 'x' } as never })).rejects.toBeInstanceOf(TypeError)
    await expect(make({ platform: 'amiga' as never })).rejects.toBeInstanceOf(TypeError)
    await failure(() => make({ account: '' }), 'invalid-text')
    const des = { type: 'DES-56', text: 'x' } as never
    await expect(deriveClient({ ...NAMES, platform: 'linux', privateKey: des })).rejects.toBeInstanceOf(TypeError)
    await failure(() => make({ signal: AbortSignal.abort() }), 'aborted')
  })

  it('refuses every operation after it is disposed of', async () => {
    const client = await make({ dangerouslyAllowDes: true })
    const scope = client.scope('private')
    const prepared = await scope.prepare(content)
    client.dispose()
    await failure(() => prepared.seal(), 'disposed')
    await failure(() => client.open(block), 'disposed')
    await failure(() => scope.open(block), 'disposed')
  })
})
