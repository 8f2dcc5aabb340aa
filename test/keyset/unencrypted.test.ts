// Blocks that are not encrypted: only if somebody asks for it, and never lost when a keyset begins to require encryption.
import { describe, expect, it } from 'vitest'
import { checkRetired, type Encryption, openWriter, unlockKeyset } from '../../src/index.ts'
import { blocksIn, memoryBlobStore } from '../../src/stores.ts'
import { expectSame, failure, fieldAt, hex, makeKeyset, PASSWORD, patched, resummed, sample } from '../fixtures.ts'

const content = sample(500)
const strict = await makeKeyset()
const open = await makeKeyset({ encryption: 'none' })
const foreign = await (await makeKeyset({ encryption: 'none' })).seal(content)
const plain = await openWriter(open.export('host'), { encryption: 'none' }).seal(content)

/** A host export in which somebody changed the default of writers and the minimum of the key pair to `none`. */
function changedExport(): Uint8Array {
  const host = strict.export('host')
  return resummed(patched(patched(host, fieldAt(host, 'encryption'), [0]), fieldAt(host, 'plain'), [0]))
}

describe('a writer from a host export', () => {
  it('does not seal in plain because somebody changed two bytes of the file', async () => {
    const error = await failure(() => openWriter(changedExport()), 'policy')
    expect(error.detail).toEqual({ rule: 'unencrypted' })
    expect(error.message).toContain("pass encryption: 'none'")
    await failure(() => openWriter(changedExport(), { dedup: 'off' }), 'policy')
    await failure(() => openWriter(changedExport(), { encryption: undefined }), 'policy')
    const block = await openWriter(changedExport(), { encryption: 'hybrid' }).seal(content)
    expect(hex(block.ciphertext)).not.toContain(hex(content.subarray(0, 8)))
    expectSame(await strict.open(block), content)
  })

  it('does not seal in plain because the keyset was created so, unless the caller repeats it', async () => {
    await failure(() => openWriter(open.export('host')), 'policy')
    expectSame(plain.ciphertext, content)
    expectSame((await open.seal(content)).ciphertext, content)
  })
})

describe('a block below the minimum of its key pair', () => {
  it.each(['none', 'x25519'] as const)('is not current: %s', async (encryption) => {
    const weak = await openWriter(changedExport(), { encryption }).seal(content)
    for (const handle of [strict, openWriter(strict.export('host'))])
      expect(handle.isCurrent(weak.envelope)).toBe(false)
    await failure(() => strict.rekey(weak), 'policy')
  })
})

describe('a keyset that begins to require encryption', () => {
  const raised = (['x25519', 'hybrid'] as const).map(
    (encryption) => [encryption, open.regenerate({ encryption })] as const,
  )

  it.each(raised)('says that unencrypted blocks are not current, and must be sealed again: %s', async (_, keyset) => {
    expect(open.isCurrent(plain.envelope)).toBe(true)
    expectSame(open.rekey(plain), plain.envelope)
    const same = open.regenerate()
    expectSame(await same.open({ ...plain, envelope: same.rekey(plain) }), content)
    expect(openWriter(keyset.export('host')).isCurrent(plain.envelope)).toBe(false)
    const lax = await unlockKeyset(keyset.export('storage'), PASSWORD, { allowWeaker: 'none' })
    for (const handle of [keyset, keyset.forgetRetired('unchecked'), lax]) {
      expect(handle.isCurrent(plain.envelope)).toBe(false)
      const error = await failure(() => handle.rekey(plain), 'policy')
      expect(error.detail).toEqual({ rule: 'minimum-encryption', reseal: true })
    }
  })

  it.each([
    ['damaged', { ...plain, envelope: plain.envelope.subarray(1) }, 'malformed'],
    ['under an invalid label', { ...plain, label: 'x' }, 'malformed'],
    ['of another keyset', foreign, 'authentication-failed'],
  ] as const)('does not say so of a head that is %s', async (_, head, code) => {
    for (const [, keyset] of raised) await failure(() => keyset.rekey(head), code)
  })

  it('still opens its blocks if it was regenerated without encryption before, and everything was rekeyed', async () => {
    const blocks = blocksIn(memoryBlobStore())
    await blocks.put(plain)
    const second = open.regenerate()
    const error = await failure(() => checkRetired(blocks, second, { logs: [] }), 'policy')
    expect(error.detail).toMatchObject({ retired: 1, unencrypted: 0 })
    for await (const head of blocks.heads()) await blocks.replaceEnvelope(head, second.rekey(head))
    const third = second.forgetRetired(await checkRetired(blocks, second, { logs: [] }))
    const last = third.regenerate({ encryption: 'hybrid' })
    expectSame(await last.open((await blocks.get(plain.label))!), content)
    const now = await failure(() => checkRetired(blocks, last, { logs: [] }), 'policy')
    expect(now.detail).toMatchObject({ retired: 0, unencrypted: 1 })
  })

  it('does not forget while there are blocks that only an even older pair allowed', async () => {
    const blocks = blocksIn(memoryBlobStore())
    await blocks.put(plain)
    const last = open.regenerate().forgetRetired('unchecked').regenerate({ encryption: 'x25519' })
    await failure(() => last.open(plain), 'policy')
    const error = await failure(() => checkRetired(blocks, last, { logs: [] }), 'policy')
    expect(error.detail).toMatchObject({ unencrypted: 1 })
    expect(error.message).toContain('allowWeaker')
  })

  it('loses no block if the documented steps are followed', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const contents = [sample(10, 1), sample(20, 2), sample(30, 3)]
    const encryptions: Encryption[] = ['none', 'x25519', 'none']
    const kept: string[] = []
    for (const [index, encryption] of encryptions.entries()) {
      const block = await openWriter(open.export('host'), { encryption }).seal(contents[index]!)
      kept.push(block.label)
      await blocks.put(block)
    }
    const keyset = open.regenerate({ encryption: 'hybrid' })
    await failure(() => checkRetired(blocks, keyset, { logs: [] }), 'policy')

    for await (const head of blocks.heads()) {
      if (keyset.isCurrent(head.envelope)) continue
      try {
        await blocks.replaceEnvelope(head, keyset.rekey(head))
      } catch (error) {
        expect(error).toMatchObject({ code: 'policy', detail: { reseal: true } })
        const again = await keyset.seal(await keyset.open((await blocks.get(head.label))!))
        expect(again.label).not.toBe(head.label)
        await blocks.put(again)
        kept[kept.indexOf(head.label)] = again.label
        await blocks.delete(head.label)
      }
    }
    const last = keyset.forgetRetired(await checkRetired(blocks, keyset, { logs: [] }))
    for (const [index, label] of kept.entries()) {
      const block = (await blocks.get(label))!
      expect(last.isCurrent(block.envelope)).toBe(true)
      expectSame(await last.open(block), contents[index]!)
    }
  })
})

describe('an unencrypted block of an adopted keyset', () => {
  it('is never current, because anybody who once had that host export can make one', async () => {
    const adopter = (await makeKeyset({ encryption: 'none' })).adopt(open)
    for (const handle of [adopter, openWriter(adopter.export('host'), { encryption: 'none' })]) {
      expect(handle.isCurrent(plain.envelope)).toBe(false)
    }
    expect((await failure(() => adopter.rekey(plain), 'policy')).detail['reseal']).toBe(true)
  })
})
