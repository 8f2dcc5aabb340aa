import { type Keyset, openWriter, type SealedBlock, unlockKeyset, type WriterOptions } from '../../src/index.ts'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useBackend } from '../../src/primitives/choice.ts'
import {
  CHEAP,
  expectSame,
  failure,
  fieldAt,
  flipped,
  hex,
  makeKeyset,
  numRuns,
  PASSWORD,
  quick,
  quickly,
  sample,
} from '../fixtures.ts'

// These tests do not need an expensive password hash.
beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

const NEXT = 'another password'
const MODES: Required<WriterOptions>[] = (['scoped', 'global', 'off'] as const).flatMap((dedup) => [
  { encryption: 'hybrid', dedup },
  { encryption: 'x25519', dedup },
])
const original = await quickly(() => makeKeyset({ encryption: 'none' }))
const content = sample(500)
const blocks = await Promise.all(
  [...MODES, { encryption: 'none', dedup: 'scoped' } as const].map((mode) =>
    openWriter(original.export('host'), mode).seal(content),
  ),
)
const regenerated = original.regenerate()

const versionOf = ({ revision }: Keyset) => Number(revision.split('-')[0])

async function expectOpensAll(reader: Keyset, all: readonly SealedBlock[] = blocks) {
  for (const block of all) expectSame(await reader.open(block), content)
}

describe('changePassword', () => {
  it('keeps every key: old blocks open, and only with the new password', async () => {
    const changed = await original.changePassword(NEXT)
    expect([changed.id, versionOf(changed)]).toEqual([original.id, 2])
    for (const destination of ['host', 'definition', 'storage'] as const) {
      const stored = changed.export(destination)
      await expectOpensAll(await unlockKeyset(stored, NEXT, { atLeast: changed.revision }))
      await failure(() => unlockKeyset(stored, PASSWORD), 'wrong-password')
    }
    // The old copy still opens with the old password, unless the caller passes `atLeast`.
    await expectOpensAll(await unlockKeyset(original.export('host'), PASSWORD))
    await failure(() => unlockKeyset(original.export('host'), PASSWORD, { atLeast: changed.revision }), 'rollback')
    // Writers opened before and after the change give the same label.
    const labels = await Promise.all([original, changed].map(async (keyset) => (await keyset.prepare(content)).label))
    expect(labels[0]).toBe(labels[1])
    expect(changed.card()).toEqual(original.card())
  })

  it('keeps the master key, or generates a new one with newMaster', async () => {
    // The key id of M is at offset 16 (header), and verify is in the argon2 record.
    const ids = (keyset: Keyset) => {
      const host = keyset.export('host')
      const verify = fieldAt(host, 'verify')
      return [hex(host.subarray(16, 32)), hex(host.subarray(verify, verify + 32))]
    }
    const [same, other] = [
      await original.changePassword(NEXT),
      await original.changePassword(NEXT, { newMaster: true }),
    ]
    expect(ids(same)).toEqual(ids(original))
    expect(ids(other)[0]).not.toBe(ids(original)[0])
    expect(ids(other)[1]).not.toBe(ids(original)[1])
    await expectOpensAll(await unlockKeyset(other.export('storage'), NEXT))
  })

  it('uses the costs of the previous password unless the caller gives others', async () => {
    const costsOf = (keyset: Keyset) => {
      const host = keyset.export('host')
      const view = new DataView(host.buffer, fieldAt(host, 'argon2'))
      return [0, 4, 8].map((at) => view.getUint32(at))
    }
    const dear = { iterations: 3, memoryKiB: 20_000, lanes: 2 }
    expect(costsOf(await original.changePassword(NEXT))).toEqual(Object.values(CHEAP))
    const changed = await original.changePassword(NEXT, { costs: dear })
    expect(costsOf(changed)).toEqual(Object.values(dear))
    expect(costsOf(await changed.changePassword(PASSWORD))).toEqual(Object.values(dear))
    await failure(() => original.changePassword(NEXT, { costs: { ...CHEAP, iterations: 1 } }), 'limit-exceeded')
    await failure(() => original.changePassword(''), 'invalid-text')
    await failure(() => original.changePassword(NEXT, { signal: AbortSignal.abort() }), 'aborted')
  })

  it('is refused for a definition, whose other exports could not follow', async () => {
    const definition = await unlockKeyset(original.export('definition'), PASSWORD)
    await expectOpensAll(definition)
    await failure(() => definition.changePassword(NEXT), 'policy')
    await failure(() => definition.changePassword(NEXT, { newMaster: true }), 'policy')
  })

  it('finishes even if its handle is disposed of meanwhile', async () => {
    const short = await unlockKeyset(original.export('host'), PASSWORD)
    const changing = short.changePassword(NEXT)
    short.dispose()
    await expectOpensAll(await changing)
    await failure(() => short.changePassword(NEXT), 'disposed')
  })
})

describe('regenerate', () => {
  it('generates new key pairs and keeps the old ones', async () => {
    expect([regenerated.id, versionOf(regenerated)]).toEqual([original.id, 2])
    await expectOpensAll(regenerated)
    const block = await openWriter(regenerated.export('host'), { encryption: 'hybrid' }).seal(content)
    expectSame(await regenerated.open(block), content)
    await failure(() => original.open(block), 'key-not-found')
    expect(regenerated.card()).toEqual(original.card())
    for (const destination of ['host', 'storage'] as const) {
      await expectOpensAll(await unlockKeyset(regenerated.export(destination), PASSWORD))
    }
    // A second regenerate keeps them too.
    await expectOpensAll(regenerated.regenerate())
  })

  it('exports a definition that has only the current key pair', async () => {
    const definition = await unlockKeyset(regenerated.export('definition'), PASSWORD, { allowWeaker: 'none' })
    await failure(() => definition.open(blocks[0]!), 'key-not-found')
    expectSame(await definition.open({ ...blocks[0]!, envelope: regenerated.rekey(blocks[0]!) }), content)
    for (const action of [() => definition.regenerate(), () => definition.forgetRetired('unchecked')]) {
      expect((await failure(action, 'policy')).detail['rule']).toBe('all-keys')
    }
  })

  it('can raise the minimum encryption, and old blocks still open', async () => {
    const stronger = original.regenerate({ encryption: 'hybrid' })
    await expectOpensAll(stronger)
    expect(() => openWriter(stronger.export('host'), { encryption: 'x25519' })).toThrow('weaker')
    const weak = blocks[1]!
    const rekeyed = { ...weak, envelope: stronger.rekey(weak) }
    expect([weak.envelope.length, rekeyed.envelope.length]).toEqual([145, 1713])
    expectSame(await stronger.open(rekeyed), content)
    expect(() => original.regenerate({ encryption: 'none?' as never })).toThrow(TypeError)
  })
})

describe('rekey', () => {
  it('needs only the label and the envelope, and keeps the ciphertext', async () => {
    for (const block of blocks) {
      const envelope = regenerated.rekey({ label: block.label, envelope: block.envelope })
      expectSame(await regenerated.open({ ...block, envelope }), content)
      expect(regenerated.isCurrent(envelope)).toBe(true)
      // The encryption of the envelope does not change.
      expect(envelope).toHaveLength(block.envelope.length)
    }
  })

  it('makes a new envelope for an unencrypted block, which names the current pair, and for a current block', async () => {
    const [current, plain] = [
      await openWriter(regenerated.export('host'), { encryption: 'hybrid' }).seal(content),
      blocks.at(-1)!,
    ]
    expect(regenerated.isCurrent(plain.envelope)).toBe(false)
    for (const keyset of [regenerated, regenerated.forgetRetired('unchecked')]) {
      const envelope = keyset.rekey(plain)
      // The key id follows the fixed part of the header, 16 bytes.
      expect(hex(envelope.subarray(16, 32))).toBe(hex(current.envelope.subarray(16, 32)))
      expect(keyset.isCurrent(envelope)).toBe(true)
      expectSame(await keyset.open({ ...plain, envelope }), content)
    }
    expect(regenerated.isCurrent(current.envelope)).toBe(true)
    const fresh = regenerated.rekey(current)
    expect(hex(fresh)).not.toBe(hex(current.envelope))
    expectSame(await regenerated.open({ ...current, envelope: fresh }), content)
  })

  it('refuses an altered envelope', async () => {
    for (const block of blocks.slice(0, -1)) {
      const { length } = block.envelope
      for (let index = 0; index < length; index += length > 200 && index > 90 && index < 1600 ? 61 : 1) {
        await failure(
          () => regenerated.rekey({ ...block, envelope: flipped(block.envelope, index, index % 8) }),
          'authentication-failed',
          'key-not-found',
          'malformed',
          'unsupported',
        )
      }
      await failure(() => regenerated.rekey({ ...block, label: 'a'.repeat(64) }), 'authentication-failed')
      await failure(() => regenerated.rekey({ ...block, label: 'x' }), 'malformed')
      await failure(() => regenerated.rekey({ ...block, envelope: block.envelope.subarray(1) }), 'malformed')
    }
    expect(() => regenerated.rekey({ label: blocks[0]!.label, envelope: 'x' as never })).toThrow(TypeError)
  })

  it('refuses a block of another keyset, and a block weaker than the minimum of its key pair', async () => {
    const other = await makeKeyset()
    const theirs = await openWriter(other.export('host')).seal(content)
    await failure(() => regenerated.rekey(theirs), 'key-not-found')
    expect(regenerated.isCurrent(theirs.envelope)).toBe(false)
    await failure(() => regenerated.isCurrent(new Uint8Array(3)), 'malformed')
    // An envelope to the current key pair with another owner id (bytes 32 to 47 of the header).
    expect(other.isCurrent(theirs.envelope)).toBe(true)
    for (const by of [other, openWriter(other.export('host'))])
      expect(by.isCurrent(flipped(theirs.envelope, 40))).toBe(false)
    // Change the suite to X25519 and remove the ML-KEM part.
    const weakened = Buffer.concat([theirs.envelope.subarray(0, 80), theirs.envelope.subarray(1648)])
    weakened[7] = 1
    await failure(() => other.rekey({ ...theirs, envelope: weakened }), 'policy')
    const accepting = await unlockKeyset(other.export('host'), PASSWORD, { allowWeaker: 'x25519' })
    await failure(() => accepting.rekey({ ...theirs, envelope: weakened }), 'authentication-failed')
  })

  it('isCurrent tells which blocks need rekeying, and a writer can do so without the password', async () => {
    const writer = openWriter(regenerated.export('host'), { encryption: 'hybrid' })
    expect(writer.isCurrent((await writer.seal(content)).envelope)).toBe(true)
    expect(writer.isCurrent(blocks[0]!.envelope)).toBe(false)
    expect(original.isCurrent(blocks[0]!.envelope)).toBe(true)
    writer.dispose()
    await failure(() => writer.isCurrent(blocks[0]!.envelope), 'disposed')
  })

  it('law: rekeying any number of times keeps the content and the ciphertext', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(...MODES),
        fc.integer({ min: 1, max: 4 }),
        async (bytes, mode, times) => {
          const block = await openWriter(original.export('host'), mode).seal(bytes)
          let [keyset, envelope] = [original, block.envelope]
          for (let time = 0; time < times; time++) {
            if (time % 2 === 0) keyset = keyset.regenerate()
            envelope = keyset.rekey({ label: block.label, envelope })
          }
          const forgotten = keyset.forgetRetired('unchecked')
          expect(await forgotten.open({ ...block, envelope })).toEqual(Uint8Array.from(bytes))
        },
      ),
      { numRuns: numRuns(40, 2000) },
    )
  })
})

describe('forgetRetired', () => {
  it('drops the retired key pairs: only rekeyed blocks still open', async () => {
    const rekeyed = blocks.map((block) => ({ ...block, envelope: regenerated.rekey(block) }))
    const forgotten = regenerated.forgetRetired('unchecked')
    expect(versionOf(forgotten)).toBe(3)
    for (const reader of [forgotten, await unlockKeyset(forgotten.export('storage'), PASSWORD)]) {
      await expectOpensAll(reader, rekeyed)
      await failure(() => reader.open(blocks[0]!), 'key-not-found')
      await failure(() => reader.rekey(blocks[0]!), 'key-not-found')
    }
    const before = regenerated.export('host').length
    // The history has one entry more.
    expect(before + 24 - forgotten.export('host').length).toBe(1601 + 96)
  })

  it('keeps unencrypted blocks readable if the minimum of the current key pair allows them', async () => {
    const plain = blocks.at(-1)!
    expectSame(await regenerated.forgetRetired('unchecked').open(plain), content)
    const strict = original.regenerate({ encryption: 'hybrid' })
    expectSame(await strict.open(plain), content)
    await failure(() => strict.forgetRetired('unchecked').open(plain), 'policy')
  })

  it('takes a check of this revision, and no other', async () => {
    const checked = { keyset: regenerated.id, revision: regenerated.revision, heads: 5 }
    expect(regenerated.forgetRetired(checked).retired).toBe(0)
    const later = regenerated.createShare().keyset
    const error = await failure(() => later.forgetRetired(checked), 'policy')
    expect(error.detail).toEqual({ rule: 'retired-check', checked: regenerated.revision, revision: later.revision })
    await failure(() => regenerated.forgetRetired({ ...checked, keyset: '00'.repeat(16) }), 'policy')
  })

  it('throws TypeError for anything else than a check or the word', () => {
    for (const done of [
      undefined,
      null,
      {},
      true,
      'checked',
      { keyset: regenerated.id },
      { revision: 1, keyset: 'a' },
    ]) {
      expect(() => regenerated.forgetRetired(done as never)).toThrow(TypeError)
    }
  })
})

it('a crash between any two steps of a regeneration leaves everything readable', async () => {
  // The stored state: the exports, and the current envelope of each block.
  const stored = { host: original.export('host'), storage: original.export('storage') }
  const envelopes = blocks.map(({ envelope }) => envelope)
  const readers: Map<Uint8Array, Keyset> = new Map()
  const unlock = async (anyExport: Uint8Array) => {
    const reader = readers.get(anyExport) ?? (await unlockKeyset(anyExport, PASSWORD))
    readers.set(anyExport, reader)
    return reader
  }
  const check = async () => {
    const version = versionOf(await unlock(stored.storage))
    for (const anyExport of [stored.host, stored.storage]) {
      const reader = await unlock(anyExport)
      if (versionOf(reader) < version) continue
      await expectOpensAll(
        reader,
        blocks.map((block, index) => ({ ...block, envelope: envelopes[index]! })),
      )
    }
  }
  const next = original.regenerate()
  await check()
  stored.storage = next.export('storage')
  await check()
  stored.host = next.export('host')
  await check()
  for (const [index, block] of blocks.entries()) {
    envelopes[index] = next.rekey({ label: block.label, envelope: envelopes[index]! })
    if (index % 3 === 0) await check()
  }
  const forgotten = next.forgetRetired('unchecked')
  stored.storage = forgotten.export('storage')
  await check()
  stored.host = forgotten.export('host')
  await check()
})
