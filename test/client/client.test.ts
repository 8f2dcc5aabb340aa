// A client with typed keys, as a backup tool uses it.
import {
  backends,
  claimantOf,
  expectSame,
  failure,
  flipped,
  hex,
  makeKeyset,
  patched,
  quickly,
  sample,
  withBackend,
  ofEveryScope,
} from '../fixtures.ts'
import { encodeBlock, openWriter, parseBlock } from '../../src/index.ts'
import { type Client, type ClientOptions, deriveClient, generateTypedKey, type TypedKey } from '../../src/client.ts'
import { createHash, createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { withBytes } from '../../src/core/secret.ts'
import { KDF } from '../spec-reader.ts'

const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const PRIVATE: TypedKey = { type: 'AES-256', text: 'a private key of this client' }
const ACCOUNT: TypedKey = { type: 'AES-128', text: 'of the account' }
const make = (more: Partial<ClientOptions> = {}) =>
  quickly(() => deriveClient({ ...NAMES, privateKey: PRIVATE, accountKey: ACCOUNT, ...more }))

const scopes = ['private', 'account', 'public'] as const
const one = await make()
const again = await make()
const laptop = await make({ name: 'laptop', privateKey: { type: 'AES-192', text: 'another private key' } })
const stranger = await make({ account: 'other' })
const content = sample(1000)

describe.each(scopes)('the scope %s', (which) => {
  const encrypted = which !== 'public'
  const mine = ofEveryScope(one)

  it('seals blocks that this client opens, on this machine and on another one with the same keys', async () => {
    for (const size of [0, 1, 16, 1000, 131_073]) {
      const block = await one.scope(which).seal(sample(size))
      expect([block.envelope.length, block.ciphertext.length]).toEqual(encrypted ? [112, size + 16] : [49, size])
      const stored = parseBlock(encodeBlock(block), block.label)
      for (const reader of [mine, ofEveryScope(again), one.scope(which), again.scope(which)]) {
        expectSame(await reader.open(stored), sample(size))
      }
    }
  })

  it('opens a block from any backend on any backend', async () => {
    for (const sealing of backends) {
      const block = await withBackend(sealing, () => one.scope(which).seal(content))
      for (const opening of backends) {
        expectSame(await withBackend(opening, () => mine.open(block)), content)
      }
    }
  })

  it('refuses blocks of another scope, account or key model', async () => {
    const block = await one.scope(which).seal(content)
    for (const other of scopes) {
      if (other !== which) await failure(() => one.scope(other).open(block), 'key-not-found')
    }
    if (encrypted) await failure(() => stranger.open(block), 'key-not-found')
    const keyset = await makeKeyset({ encryption: 'none' })
    await failure(() => mine.open({ ...block, label: 'x' }), 'malformed')
    if (encrypted) await failure(() => mine.open({ ...block, ciphertext: sample(15) }), 'malformed')
    for (const encryption of ['none', 'hybrid'] as const) {
      const foreign = await openWriter(keyset.export('host'), { encryption }).seal(content)
      await failure(() => mine.open(foreign), encryption === 'none' ? 'key-not-found' : 'unsupported')
    }
  })

  it('refuses a block with any byte flipped or a swapped part', async () => {
    const block = await one.scope(which).seal(sample(40))
    const other = await one.scope(which).seal(sample(40, 2))
    const stored = encodeBlock(block)
    for (let index = 0; index < stored.length; index++) {
      const open = () => mine.open(parseBlock(flipped(stored, index, index % 8), block.label))
      await failure(open, 'authentication-failed', 'malformed', 'unsupported', 'key-not-found')
    }
    for (const swapped of [
      { ...block, label: other.label },
      { ...block, ciphertext: other.ciphertext },
      ...(encrypted ? [{ ...block, envelope: other.envelope }] : []),
    ]) {
      await failure(() => mine.open(swapped), 'authentication-failed')
    }
  })

  it('gives the label before sealing, and seals prepared content only once', async () => {
    const prepared = await one.scope(which).prepare(content)
    const block = await prepared.seal()
    expect(block.label).toBe(prepared.label)
    await failure(() => prepared.seal(), 'disposed')
    await expect(one.scope(which).seal(content, { shares: [] })).rejects.toThrow(TypeError)
  })
})

describe('equal content', () => {
  const sealed = (client: Client, which: (typeof scopes)[number]) => client.scope(which).seal(content)

  it('is one block for all clients of an account, and another block for another account', async () => {
    const [a, b, c] = [await sealed(one, 'account'), await sealed(laptop, 'account'), await sealed(stranger, 'account')]
    expect(b).toEqual(a)
    expect([c.label === a.label, hex(c.ciphertext) === hex(a.ciphertext)]).toEqual([false, false])
    expectSame(await laptop.open(a), content)
    await failure(() => stranger.open(a), 'key-not-found')
    // Key derivation includes the type: the same text with another type is another key.
    const longer = await make({ accountKey: { ...ACCOUNT, type: 'AES-256' } })
    expect((await sealed(longer, 'account')).label).not.toBe(a.label)
  })

  it('has the nonce of SPEC §16.2 in the account scope, so that all releases deduplicate with each other', async () => {
    const { accountKey } = claimantOf(one)
    const key = withBytes(accountKey!.key, (bytes) =>
      KDF(Buffer.from(bytes), Buffer.alloc(0), 'account-dedup', [Buffer.from('acme')], 32),
    )
    const digest = createHash('sha256').update(content).digest()
    const { envelope } = await sealed(one, 'account')
    expect(hex(envelope.subarray(48, 80))).toBe(createHmac('sha256', key).update(digest).digest('hex'))
  })

  it('has one label and different ciphertexts under one private key, and another label under another', async () => {
    const [a, b, c] = [await sealed(one, 'private'), await sealed(again, 'private'), await sealed(laptop, 'private')]
    expect([b.label === a.label, hex(b.ciphertext) === hex(a.ciphertext)]).toEqual([true, false])
    expect(c.label).not.toBe(a.label)
    await failure(() => laptop.open(a), 'key-not-found')
  })

  it('does not open a public block, which anybody could have made, but by its scope', async () => {
    const planted = await sealed(stranger, 'public')
    const error = await failure(() => one.open(planted), 'policy')
    expect(error.detail).toEqual({ rule: 'public-scope' })
    expect(error.message).toContain("scope('public')")
    expectSame(await one.scope('public').open(planted), content)
  })

  it('is one public block for the whole realm', async () => {
    const [a, b] = [await sealed(one, 'public'), await sealed(stranger, 'public')]
    expect(b).toEqual(a)
    expect(Buffer.from(a.ciphertext).equals(content)).toBe(true)
    const elsewhere = await make({ realm: 'elsewhere' })
    expect((await sealed(elsewhere, 'public')).label).not.toBe(a.label)
  })

  it('has another label and another key for each role, even if both keys have the same text', async () => {
    const same = await make({ privateKey: ACCOUNT })
    const [a, b] = [await sealed(same, 'private'), await sealed(same, 'account')]
    expect(a.label).not.toBe(b.label)
    expect(hex(a.envelope.subarray(16, 48))).not.toBe(hex(b.envelope.subarray(16, 48)))
    expectSame(await same.open(a), content)
    expectSame(await same.open(b), content)
  })
})

describe('typed keys', () => {
  it('must have 1 character or more, and no more than their type allows; texts are never truncated', async () => {
    for (const [type, most] of [
      ['AES-128', 16],
      ['AES-192', 24],
      ['AES-256', 32],
    ] as const) {
      const field = 'private key'
      const empty = await failure(() => make({ privateKey: { type, text: '' } }), 'invalid-text')
      expect(empty.detail).toEqual({ reason: 'empty', field })
      const long = await failure(() => make({ privateKey: { type, text: 'x'.repeat(most + 1) } }), 'invalid-text')
      expect(long.message).toBe(`the ${field} has ${most + 1} characters; a key of type ${type} has 1 to ${most}`)
      expect(long.detail).toEqual({ reason: 'too-long', field, role: 'private', type, characters: most + 1, most })
      // Counts code points after NFC: 🔑 is one, and so is a decomposed é.
      for (const text of ['🔑'.repeat(most), 'e\u0301'.repeat(most)]) {
        await make({ privateKey: { type, text } })
        await failure(() => make({ privateKey: { type, text: text + 'x' } }), 'invalid-text')
      }
    }
  })

  it('are the same key for every kind of space character', async () => {
    const block = await one.scope('private').seal(content)
    const typed = await make({ privateKey: { type: 'AES-256', text: 'a\u00a0private key of\u3000this client' } })
    expectSame(await typed.open(block), content)
  })

  it('may not have what a paste adds, or half an emoji', async () => {
    for (const [text, reason] of [
      ['my key\r\n', 'control-character'],
      ['my key\u200b', 'control-character'],
      ['my key \ud83d', 'lone-surrogate'],
      ['my key \uffff', 'unassigned'],
    ] as const) {
      const typed = { type: 'AES-128', text } as const
      const { detail } = await failure(() => make({ privateKey: typed }), 'invalid-text')
      expect(detail).toMatchObject({ reason, field: 'private key' })
      const account = await failure(() => make({ privateKey: PRIVATE, accountKey: typed }), 'invalid-text')
      expect(account.detail).toMatchObject({ reason, field: 'account key' })
    }
  })

  it('must have a known type and a text', async () => {
    for (const key of [
      { type: 'AES-512', text: 'x' },
      { type: 'DES-56', text: 'x' },
      { type: 'AES-128', text: 7 },
      { type: ['AES-128'], text: 'x' },
    ]) {
      await expect(make({ privateKey: key as never })).rejects.toThrow(TypeError)
    }
    await expect(make({ platform: 'amiga' as never })).rejects.toThrow(TypeError)
    for (const name of ['realm', 'account', 'name']) {
      await failure(() => make({ [name]: '' }), 'invalid-text')
      await failure(() => make({ [name]: 'x'.repeat(256) }), 'invalid-text')
    }
    await failure(() => make({ signal: AbortSignal.abort() }), 'aborted')
  })

  it('can be generated, and derive keys', async () => {
    await make({ privateKey: generateTypedKey('AES-256') })
  })

  it('report one progress over both keys', async () => {
    const fractions: number[] = []
    await make({ onProgress: (fraction) => fractions.push(fraction) })
    expect(fractions[0]).toBeLessThan(0.5)
    expect(fractions.at(-1)).toBe(1)
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
  })
})

describe('an account key', () => {
  it('can be set later, and is required for the account scope', async () => {
    const alone = await quickly(() => deriveClient({ ...NAMES, privateKey: PRIVATE }))
    await failure(async () => alone.scope('account'), 'account-key-required')
    const both = await quickly(() => alone.withAccountKey(ACCOUNT))
    expectSame(await both.open(await one.scope('account').seal(content)), content)
    expectSame(await both.open(await alone.scope('private').seal(content)), content)
    await failure(() => alone.withAccountKey({ type: 'AES-128', text: '' }), 'invalid-text')
    // It continues if its handle is disposed of while the hash runs.
    const set = await quickly(() => {
      const setting = alone.withAccountKey(ACCOUNT)
      alone.dispose()
      return setting
    })
    expectSame(await set.open(await one.scope('account').seal(content)), content)
  })
})

it('a disposed client and its scopes refuse every operation', async () => {
  const short = await make()
  const scope = short.scope('private')
  const [block, prepared] = [await scope.seal(content), await scope.prepare(content)]
  short.dispose()
  for (const action of [
    () => short.open(block),
    () => scope.open(block),
    () => scope.seal(content),
    () => prepared.seal(),
    async () => short.scope('private'),
    async () => short.enrolment(sample(10), { server: 'x' }),
    async () => short.prove(sample(10), { server: 'x' }),
    () => short.withAccountKey(ACCOUNT),
  ]) {
    await failure(action, 'disposed')
  }
  expect(() => one.scope('none' as never)).toThrow(TypeError)
})

it('a header with another key type or another owner id opens nothing', async () => {
  const block = await one.scope('private').seal(content)
  for (const envelope of [patched(block.envelope, 6, [3, 1]), flipped(block.envelope, 40)]) {
    await failure(() => one.open({ ...block, envelope }), 'authentication-failed')
  }
  await failure(() => one.open({ ...block, ciphertext: new Uint8Array(64 * 2 ** 20 + 17) }), 'limit-exceeded')
})
