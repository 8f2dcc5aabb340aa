import { type BlockReader, type BlockWriter, openPackMember, openWriter } from '../../src/index.ts'
import { deriveClient } from '../../src/client.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import {
  backends,
  expectSame,
  failure,
  flipped,
  hex,
  makeKeyset,
  numRuns,
  patched,
  quickly,
  sample,
  withBackend,
} from '../fixtures.ts'
import { KDF } from '../spec-reader.ts'

const keyset = await makeKeyset()
const files = [sample(100), new Uint8Array(0), sample(16), sample(100), sample(4000, 9)]
const writers = {
  g: openWriter(keyset.export('host'), { dedup: 'global' }),
  k: openWriter(keyset.export('host'), { dedup: 'scoped' }),
}

describe.each(['g', 'k'] as const)('a pack of form %s', (form) => {
  it('gives every file back, on every backend', async () => {
    for (const packing of backends) {
      const { content, members } = await withBackend(packing, () => writers[form].pack(files))
      expect(members.map((member) => member.slice(0, 4))).toEqual(files.map((_, index) => `${form}.${index}.`))
      for (const opening of backends) {
        await withBackend(opening, async () => {
          for (const [index, member] of members.entries())
            expectSame(await openPackMember(content, member), files[index]!)
        })
      }
    }
  })

  it('can be sealed in a block and opened again', async () => {
    const { content, members } = await writers[form].pack(files)
    const block = await writers[form].seal(content)
    expectSame(await openPackMember(await keyset.open(block), members[4]!), files[4]!)
  })

  it('is the same for the same files, so that packs dedup too', async () => {
    const [one, other] = [await writers[form].pack(files), await writers[form].pack(files)]
    expect(one).toEqual(other)
    // Equal files have the same key, but each has its own index in the pack.
    expect(one.members[0]!.slice(4)).toBe(one.members[3]!.slice(4))
  })

  it('opens nothing with the key of another file, the key of another pack, or another index', async () => {
    const [{ content, members }, other] = [await writers[form].pack(files), await writers[form].pack([sample(5)])]
    const withIndex = (index: number | string, member = members[0]!) => `${form}.${index}.${member.slice(4)}`
    for (const index of [1, 2, 4, 5, 1023]) {
      await failure(() => openPackMember(content, withIndex(index)), 'authentication-failed')
    }
    expectSame(await openPackMember(content, withIndex(3)), files[0]!)
    await failure(() => openPackMember(other.content, members[0]!), 'authentication-failed')
    await failure(() => openPackMember(content, other.members[0]!), 'authentication-failed')
    const swapped = `${form === 'g' ? 'k' : 'g'}${members[4]!.slice(1)}`
    await failure(() => openPackMember(content, swapped), 'authentication-failed')
  })

  it('refuses every flipped byte of a member with the same error', async () => {
    const { content, members } = await writers[form].pack([sample(40), sample(33, 2)])
    const start = 4 + 8
    const length = new DataView(content.buffer).getUint32(4)
    for (let index = start; index < start + length; index++) {
      for (const bit of [0, 3, 7]) {
        await failure(() => openPackMember(flipped(content, index, bit), members[0]!), 'authentication-failed')
      }
      expectSame(await openPackMember(flipped(content, index), members[1]!), sample(33, 2))
    }
  })

  it('refuses an invalid pack and an invalid member string', async () => {
    const { content, members } = await writers[form].pack(files)
    const member = members[0]!
    for (const bytes of [
      new Uint8Array(0),
      content.subarray(0, 3),
      content.subarray(0, -1),
      Buffer.concat([content, Buffer.alloc(1)]),
    ]) {
      await failure(() => openPackMember(bytes, member), 'malformed')
    }
    await failure(() => openPackMember(patched(content, 4, [255, 255, 255, 255]), member), 'malformed')
    await failure(() => openPackMember(patched(content, 0, [255, 255, 255, 255]), member), 'limit-exceeded')
    await failure(() => openPackMember(patched(content, 0, [0, 0, 4, 1]), member), 'limit-exceeded')
    const key = member.slice(4)
    for (const text of [
      '',
      'g',
      `x.0.${key}`,
      `${form}.00.${key}`,
      `${form}.-1.${key}`,
      `${form}.0.${key}A`,
      // The last character has padding bits that are not zero.
      `${form}.0.${key.slice(0, -1)}B`,
      `${form}.0.${key.slice(1)}`,
      ` ${member}`,
    ]) {
      await failure(() => openPackMember(content, text), 'malformed')
    }
    await expect(openPackMember('x' as never, member)).rejects.toThrow(TypeError)
    await expect(openPackMember(content, 7 as never)).rejects.toThrow(TypeError)
  })

  it('copies its files before the call returns, and wipes the copies', async () => {
    const mine = files.map((file) => new Uint8Array(file))
    const texts: Uint8Array[] = []
    const backend = backends[0]!
    useBackend({
      ...backend,
      cbcEncrypt(key, iv, text) {
        texts.push(text)
        return backend.cbcEncrypt(key, iv, text)
      },
    })
    try {
      const packing = writers[form].pack(mine)
      for (const file of mine) file.fill(0xff)
      const { content, members } = await packing
      expectSame(await openPackMember(content, members[4]!), files[4]!)
      expect(texts).toHaveLength(5)
      for (const text of texts) expect(text.every((byte) => byte === 0)).toBe(true)
    } finally {
      useBackend(undefined)
    }
  })
})

const data = sample(32, 3)
const vault = new OpenedVault(sample(16), new SecretKey('data', data))
const client = await quickly(() =>
  deriveClient({
    ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
    privateKey: { type: 'AES-192', text: 'private' },
    accountKey: { type: 'AES-128', text: 'account' },
  }),
)

describe('packs of the other key models', () => {
  it.each<[string, BlockWriter & BlockReader, string]>([
    ['a vault', vault, 'k'],
    ['the private scope of a client', client.scope('private'), 'k'],
    ['the account scope of a client', client.scope('account'), 'k'],
    ['the public scope of a client', client.scope('public'), 'g'],
  ])('%s packs, seals, opens, and dedups equal packs', async (_, keys, form) => {
    const { content, members } = await keys.pack(files)
    expect(members.map((member) => member.slice(0, 4))).toEqual(files.map((_, index) => `${form}.${index}.`))
    const opened = await keys.open(await keys.seal(content))
    for (const [index, member] of members.entries()) expectSame(await openPackMember(opened, member), files[index]!)
    expect(await keys.pack(files)).toEqual({ content, members })
  })

  it('share no bytes with each other, so that nobody can test guesses in one with the other', async () => {
    const packs = await Promise.all(
      [vault, client.scope('private'), client.scope('account'), client.scope('public'), writers.k].map((keys) =>
        keys.pack([files[0]!]),
      ),
    )
    expect(new Set(packs.flatMap(({ members }) => members)).size).toBe(5)
    expect(new Set(packs.map(({ content }) => hex(content.subarray(8)))).size).toBe(5)
  })

  it('are keyed as SPEC §10.6 says, computed here by another implementation', async () => {
    const dedupKey = KDF(Buffer.from(data), Buffer.alloc(0), 'pack-dedup', [Buffer.from(sample(16))], 32)
    const label = Buffer.from('keystrata/v1/file-key')
    const memberKey = createHmac('sha256', dedupKey)
      .update(Buffer.concat([Uint8Array.of(0, 0, 0, label.length), label]))
      .update(createHash('sha256').update(files[0]!).digest())
      .digest('base64url')
    expect((await vault.pack(files)).members[0]).toBe(`k.0.${memberKey}`)
  })

  it('have the same limits, and end with their handle', async () => {
    using handle = new OpenedVault(sample(16), new SecretKey('data', data))
    await failure(() => handle.pack(Array.from({ length: 1025 }, () => new Uint8Array(0))), 'limit-exceeded')
    await expect(client.scope('public').pack(['x'] as never)).rejects.toThrow(TypeError)
    handle.dispose()
    await failure(() => handle.pack(files), 'disposed')
  })
})

describe('limits', () => {
  it('apply to the number of members, the size of each, and the size of the pack', async () => {
    const { content, members } = await writers.k.pack(Array.from({ length: 1024 }, () => new Uint8Array(1)))
    expect(await openPackMember(content, members[1023]!)).toEqual(new Uint8Array(1))
    await failure(() => writers.k.pack(Array.from({ length: 1025 }, () => new Uint8Array(0))), 'limit-exceeded')
    const huge = new Uint8Array(8 * 2 ** 20 + 1)
    await failure(() => writers.k.pack([huge]), 'limit-exceeded')
    const large = huge.subarray(1)
    await failure(() => writers.k.pack(Array.from({ length: 8 }, () => large)), 'limit-exceeded')
    expect((await writers.k.pack([])).members).toEqual([])
    await failure(() => openPackMember(Uint8Array.of(0, 0, 4, 1), members[0]!), 'limit-exceeded')
    await expect(writers.k.pack('x' as never)).rejects.toThrow(TypeError)
    await expect(writers.k.pack(['x'] as never)).rejects.toThrow(TypeError)
  })
})

it('members of the largest size fill a pack of the largest size to its last byte', async () => {
  const BLOCKS = (64 * 2 ** 20) / 16
  // In blocks of 16 bytes: the count (4 bytes), and length and MAC of eleven members (36 bytes each), take 25 blocks.
  // A full block of padding follows each member but the last one.
  const largest = Array.from({ length: 7 }, () => new Uint8Array(8 * 2 ** 20))
  const last = (BLOCKS - 25 - 7 * (8 * 2 ** 16 + 1) - 3) * 16
  const files = [...largest, ...Array.from({ length: 3 }, () => new Uint8Array(0)), sample(last - 1)]
  const { content, members } = await writers.k.pack(files)
  expect(content.length).toBe(64 * 2 ** 20)
  expectSame(await openPackMember(content, members[0]!), largest[0]!)
  expectSame(await openPackMember(content, members[10]!), files[10]!)
  const error = await failure(() => writers.k.pack([...files.slice(0, 10), new Uint8Array(last)]), 'limit-exceeded')
  expect(error.detail).toEqual({ object: 'pack', bytes: 64 * 2 ** 20 + 16 })
})

it('the key of a file is a MAC of its hash under the dedup key in form k, and the hash itself in form g', async () => {
  const { dedupKey } = insidesOf(keyset, 'keyset').contents
  const hash = createHash('sha256').update(files[0]!).digest()
  const label = Buffer.from('keystrata/v1/file-key')
  const expected = withBytes(dedupKey, (key) =>
    createHmac('sha256', key)
      .update(Uint8Array.of(0, 0, 0, label.length))
      .update(label)
      .update(hash)
      .digest('base64url'),
  )
  expect((await writers.k.pack(files)).members[0]).toBe(`k.0.${expected}`)
  expect((await writers.g.pack(files)).members[0]).toBe(`g.0.${hash.toString('base64url')}`)
})

it('law: any files come back, each with its own member string', async () => {
  const someFiles = fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(someFiles, fc.constantFrom('g' as const, 'k' as const), async (given, form) => {
      const { content, members } = await writers[form].pack(given)
      for (const [index, member] of members.entries()) {
        expect(await openPackMember(content, member)).toEqual(Uint8Array.from(given[index]!))
      }
    }),
    { numRuns: numRuns(60, 2000) },
  )
})
