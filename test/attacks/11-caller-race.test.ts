// Row 11. A program that writes into its buffer while it is sealed would have one content hashed and another one encrypted: two
// texts under one key and a zero IV, which gives both away. All of a content is copied before a call first yields.
import { ALICE, backends, expectSame, hex, MemoryVaultStore, quickly, sample, withBackend } from '../fixtures.ts'
import { openPackMember, openWriter } from '../../src/index.ts'
import { deriveClient } from '../../src/client.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { quickKeyset } from './known.ts'

const keyset = await quickKeyset()
const { vault } = await createProfile(await deriveLogin('password', ALICE), { zeroTrust: true }).createVault(
  new MemoryVaultStore(),
)
const client = await quickly(() =>
  deriveClient({
    ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
    privateKey: { type: 'AES-256', text: 'private' },
    accountKey: { type: 'AES-256', text: 'account' },
  }),
)
// Long enough for the backends that hash and encrypt beside the thread.
const content = sample(300_000)

/** Lends a copy of the content to a call, and overwrites it right after. */
function racing<T>(call: (bytes: Uint8Array) => Promise<T>): Promise<T> {
  const mine = new Uint8Array(content)
  const running = call(mine)
  mine.fill(0xff)
  return running
}

const named = backends.map((backend, index) => [`${backend.name} ${index}`, backend] as const)

describe.each(named)('the caller’s own race wants two texts under one key and zero IV, on %s', (_, backend) => {
  it.each(['scoped', 'global', 'off'] as const)(
    'the input overwritten right after prepare, and right after seal, changes nothing (%s)',
    (dedup) =>
      withBackend(backend, async () => {
        const writer = openWriter(keyset.export('host'), { dedup })
        const calm = await writer.seal(content)
        const prepared = await racing((bytes) => writer.prepare(bytes))
        for (const block of [await prepared.seal(), await racing((bytes) => writer.seal(bytes))]) {
          expect(block.label).toBe(calm.label)
          expectSame(await keyset.open(block), content)
          // Where content decides the key, the one text that there is under it is this one.
          if (dedup !== 'off') expectSame(block.ciphertext, calm.ciphertext)
        }
      }),
  )

  it('blocks of vaults and of clients', () =>
    withBackend(backend, async () => {
      expectSame(await vault.open(await racing((bytes) => vault.seal(bytes))), content)
      for (const scope of ['private', 'account', 'public'] as const) {
        const [writer, calm] = [client.scope(scope), await client.scope(scope).seal(content)]
        const block = await racing((bytes) => writer.seal(bytes))
        expect(block.label).toBe(calm.label)
        // In `account` the nonce follows from the content.
        if (scope === 'account') expect(hex(block.envelope)).toBe(hex(calm.envelope))
        expectSame(await writer.open(block), content)
      }
    }))

  it('files of a pack, whose IV is zero too, and records', () =>
    withBackend(backend, async () => {
      for (const dedup of ['scoped', 'global'] as const) {
        const pack = await racing((bytes) =>
          openWriter(keyset.export('host'), { dedup }).pack([bytes, bytes.subarray(0, 100)]),
        )
        expectSame(await openPackMember(pack.content, pack.members[0]!), content)
        expectSame(await openPackMember(pack.content, pack.members[1]!), content.subarray(0, 100))
      }
      const { record } = await racing((bytes) => openWriter(keyset.export('host')).sealRecord(bytes, 'start'))
      expectSame((await keyset.openRecord(record, { after: 'start' })).content, content)
    }))
})
