// Row 11. A program writes into its buffer while the buffer is being sealed. If one text were hashed and another
// encrypted, two texts would share one key and a zero IV, which reveals both. So every call copies all of the content
// before it first yields.
import { ALICE, atStart, backends, expectSame, hex, quickly, sample, withBackend } from '../fixtures.ts'
import { openPackMember, openWriter } from '../../src/index.ts'
import { deriveClient } from '../../src/client.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { quickKeyset } from './known.ts'

const keyset = await quickKeyset()
const { vault } = await createProfile(await deriveLogin('password', ALICE), { zeroTrust: true }).createVault(
  memoryStateStore(),
)
const client = await quickly(() =>
  deriveClient({
    ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
    privateKey: { type: 'AES-256', text: 'private' },
    accountKey: { type: 'AES-256', text: 'account' },
  }),
)
// Long enough that some backends hash and encrypt it off the main thread.
const content = sample(300_000)

/** Passes a copy of the content to a call, and overwrites that copy right after. */
function racing<T>(call: (bytes: Uint8Array) => Promise<T>): Promise<T> {
  const mine = new Uint8Array(content)
  const running = call(mine)
  mine.fill(0xff)
  return running
}

const named = backends.map((backend, index) => [`${backend.name} ${index}`, backend] as const)

describe.each(named)('the caller’s own race wants two texts under one key and a zero IV, on %s', (_, backend) => {
  it.each(['scoped', 'global', 'off'] as const)(
    'overwriting the input right after prepare or seal changes nothing (%s)',
    (dedup) =>
      withBackend(backend, async () => {
        const writer = openWriter(keyset.export('host'), { dedup })
        const calm = await writer.seal(content)
        const prepared = await racing((bytes) => writer.prepare(bytes))
        for (const block of [await prepared.seal(), await racing((bytes) => writer.seal(bytes))]) {
          expect(block.label).toBe(calm.label)
          expectSame(await keyset.open(block), content)
          // Where the key depends on the content, this is the only text under that key.
          if (dedup !== 'off') expectSame(block.ciphertext, calm.ciphertext)
        }
      }),
  )

  it('the same for blocks of vaults and of clients', () =>
    withBackend(backend, async () => {
      expectSame(await vault.open(await racing((bytes) => vault.seal(bytes))), content)
      for (const scope of ['private', 'account', 'public'] as const) {
        const [writer, calm] = [client.scope(scope), await client.scope(scope).seal(content)]
        const block = await racing((bytes) => writer.seal(bytes))
        expect(block.label).toBe(calm.label)
        // In `account` the nonce depends on the content.
        if (scope === 'account') expect(hex(block.envelope)).toBe(hex(calm.envelope))
        expectSame(await writer.open(block), content)
      }
    }))

  it('the same for files of a pack, whose IV is also zero, and for records', () =>
    withBackend(backend, async () => {
      for (const dedup of ['scoped', 'global'] as const) {
        const pack = await racing((bytes) =>
          openWriter(keyset.export('host'), { dedup }).pack([bytes, bytes.subarray(0, 100)]),
        )
        expectSame(await openPackMember(pack.content, pack.members[0]!), content)
        expectSame(await openPackMember(pack.content, pack.members[1]!), content.subarray(0, 100))
      }
      const { record } = await racing((bytes) => openWriter(keyset.export('host')).sealRecord(bytes, atStart))
      expectSame((await keyset.openRecord(record, atStart)).content, content)
    }))
})
