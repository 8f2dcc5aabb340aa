// The layout of blocks in a store of blobs (SPEC §6.2): its names and bytes, and what happens at once.
import { describe, expect, it } from 'vitest'
import { openWriter } from '../../src/index.ts'
import { type BlobStore, blocksIn } from '../../src/stores.ts'
import { all, failure, hex, sample } from '../fixtures.ts'
import {
  block,
  content,
  damage,
  dataOf,
  filled,
  headBytes,
  headOf,
  interrupted,
  make,
  namesIn,
  opened,
  owner,
  share,
  shared,
  shareOf,
} from './block-fixtures.ts'

describe('a block', () => {
  it('is stored as its ciphertext, under its hash, and a head, under its label', async () => {
    const { blobs, blocks } = make()
    expect(await blocks.put(block)).toBe(true)
    expect(await namesIn(blobs)).toEqual([dataOf(block), headOf(block)])
    expect(await blobs.get(dataOf(block))).toEqual(block.ciphertext)
    expect(await blobs.get(headOf(block))).toEqual(headBytes(block))
  })

  it('has a head for each share that it was sealed for', async () => {
    const { blobs, blocks } = make()
    expect(await blocks.put(shared)).toBe(true)
    expect(await namesIn(blobs)).toEqual([dataOf(shared), headOf(shared), shareOf(shared)])
    const forShare = { ...shared, envelope: shared.shared!.get(share.id)! }
    expect(await blobs.get(shareOf(shared))).toEqual(headBytes(forShare))
  })

  it('is read again as it was put', async () => {
    const { blocks } = make()
    expect(await blocks.get(block.label)).toBeUndefined()
    await blocks.put(block)
    const { label, envelope, ciphertext } = block
    expect(await blocks.get(label)).toEqual({ label, envelope, ciphertext })
    expect(await opened(blocks)).toEqual(content)
  })

  it('is there after it was put, and put again returns false and changes nothing', async () => {
    const { blobs, blocks } = make()
    expect(await blocks.has(block.label)).toBe(false)
    await blocks.put(block)
    expect(await blocks.has(block.label)).toBe(true)
    const other = await owner.seal(content)
    expect(other.label).toBe(block.label)
    expect(await blocks.put(other)).toBe(false)
    expect(await blobs.get(headOf(block))).toEqual(headBytes(block))
  })

  it('can be empty', async () => {
    const { blocks } = make()
    const empty = await owner.seal(new Uint8Array(0))
    expect(await blocks.put(empty)).toBe(true)
    expect(await blocks.has(empty.label)).toBe(true)
    expect(await owner.open((await blocks.get(empty.label))!)).toEqual(new Uint8Array(0))
  })

  it('with its ciphertext written before any head, and its own head last', async () => {
    const { blobs } = make()
    const order: string[] = []
    const watched = blocksIn({
      ...blobs,
      put: async (name, bytes) => {
        order.push(name)
        return blobs.put(name, bytes)
      },
    })
    await watched.put(shared)
    expect(order.filter((name, index) => order.indexOf(name) === index)).toEqual([
      dataOf(shared),
      shareOf(shared),
      headOf(shared),
    ])
  })

  it('is put again after a crash at any point, and is then whole, for shares too', async () => {
    for (let crash = 0; ; crash++) {
      const { blobs, blocks } = make()
      let writes = 0
      const put: BlobStore['put'] = async (name, bytes) => {
        if (writes++ === crash) throw new Error('power cut')
        return blobs.put(name, bytes)
      }
      const hasFailed = await blocksIn({ ...blobs, put })
        .put(shared)
        .then(
          () => false,
          () => true,
        )
      if (!hasFailed) {
        expect(crash).toBeGreaterThanOrEqual(3)
        return
      }
      expect(await blocks.has(shared.label)).toBe(false)
      expect(await blocks.put(shared)).toBe(true)
      expect(await opened(blocks)).toEqual(content)
      expect(await blocks.shared(share.id).has(shared.label)).toBe(true)
    }
  })

  it('that is put again after a crash keeps the heads of shares that name this ciphertext', async () => {
    const { blobs, blocks } = make()
    await blocks.put(shared)
    await blobs.delete(headOf(shared))
    const again = await openWriter(owner.export('host')).seal(content, { shares: [share.id] })
    expect(again.label).toBe(shared.label)
    expect(await blocks.put(again)).toBe(true)
    const envelope = shared.shared!.get(share.id)!
    expect((await blocks.shared(share.id).get(again.label))!.envelope).toEqual(envelope)
    expect(await blocks.put(again)).toBe(false)
    expect((await blocks.shared(share.id).get(again.label))!.envelope).toEqual(envelope)
  })

  it.each(['scoped', 'global'] as const)(
    'with dedup %s replaces a head of a share that names another ciphertext',
    async (dedup) => {
      const sealed = await openWriter(owner.export('host'), { dedup }).seal(content, { shares: [share.id] })
      for (const deletesOwn of [true, false]) {
        const { blobs, blocks } = make()
        await blocks.put(sealed)
        const planted = { ...sealed, ciphertext: sample(100), shared: new Map() }
        await blobs.delete(shareOf(sealed))
        await blocks.shared(share.id).put(planted)
        if (deletesOwn) await blocks.delete(sealed.label)
        await blocks.put(sealed)
        expect((await blocks.shared(share.id).get(sealed.label))!.ciphertext).toEqual(sealed.ciphertext)
      }
    },
  )

  it('with dedup off never replaces a head of a share, which refs may name', async () => {
    const writer = openWriter(owner.export('host'), { dedup: 'off' })
    const [first, second] = [
      await writer.seal(content, { shares: [share.id] }),
      await writer.seal(content, { shares: [share.id] }),
    ]
    const { blocks } = make()
    await blocks.put(first)
    await blocks.delete(first.label)
    expect(await blocks.put(second)).toBe(true)
    expect((await blocks.get(first.label))!.ciphertext).toEqual(second.ciphertext)
    const kept = (await blocks.shared(share.id).get(first.label))!
    expect(kept.ciphertext).toEqual(first.ciphertext)
    const reader = owner.acceptShare(share.invite(owner.card()), owner.card())
    expect(await reader.open(kept)).toEqual(content)
  })

  it('is one blob for equal contents, and its ciphertext stays when it is deleted', async () => {
    const { blobs, blocks } = await filled()
    await blocks.delete(shared.label)
    expect(await blocks.has(shared.label)).toBe(false)
    expect(await blocks.get(shared.label)).toBeUndefined()
    expect(await namesIn(blobs)).toEqual([dataOf(shared), shareOf(shared)])
    expect(await blocks.shared(share.id).has(shared.label)).toBe(true)
    await blocks.delete(shared.label)
    expect(await blocks.put(block)).toBe(true)
    expect(await namesIn(blobs, 'data/')).toEqual([dataOf(shared)])
  })
})

describe('the blocks of a share', () => {
  it('have envelopes of their own, and are independent of the heads of the backup', async () => {
    const { blocks } = await filled()
    const theirs = blocks.shared(share.id)
    const reader = owner.acceptShare(share.invite(owner.card()), owner.card())
    const found = (await theirs.get(shared.label))!
    expect(found.envelope).toEqual(shared.shared!.get(share.id))
    expect(await reader.open(found)).toEqual(content)
    expect((await all(theirs.heads())).map(({ label }) => label)).toEqual([shared.label])
    await theirs.delete(shared.label)
    expect(await theirs.has(shared.label)).toBe(false)
    expect(await blocks.has(shared.label)).toBe(true)
  })

  it('can be put with the envelopes for blocks that are stored', async () => {
    const { blocks } = make()
    await blocks.put(block)
    using prepared = await openWriter(owner.export('host')).prepare(content)
    const envelopes = await prepared.envelopesFor([share.id])
    const stored = (await blocks.get(block.label))!
    expect(await blocks.shared(share.id).put({ ...stored, envelope: envelopes.get(share.id)! })).toBe(true)
    expect(await blocks.put({ ...stored, shared: envelopes })).toBe(false)
    expect(await blocks.shared(share.id).has(block.label)).toBe(true)
  })

  it('are not found under another share, and the id of a share must be text', async () => {
    const { blocks } = await filled()
    expect(await blocks.shared('0'.repeat(32)).has(shared.label)).toBe(false)
    for (const id of [undefined, null, 7]) expect(() => blocks.shared(id as never)).toThrow(TypeError)
    await expect(blocks.shared('../x').get(shared.label)).rejects.toThrow(/invalid object name/)
  })
})

describe('heads', () => {
  it('are all there, more than are read at once, with their envelopes', async () => {
    const { blocks } = make()
    const sealed = await Promise.all(Array.from({ length: 40 }, (_, index) => owner.seal(sample(20, index + 2))))
    for (const each of sealed) await blocks.put(each)
    const heads = await all(blocks.heads())
    expect(new Map(heads.map(({ label, envelope }) => [label, hex(envelope)]))).toEqual(
      new Map(sealed.map(({ label, envelope }) => [label, hex(envelope)])),
    )
    const some = sealed.filter(({ label }) => label.startsWith('a')).map(({ label }) => label)
    expect((await all(blocks.heads({ prefix: 'a' }))).map(({ label }) => label)).toEqual(some.sort())
    const { label } = sealed[7]!
    expect((await all(blocks.heads({ prefix: label }))).map((head) => head.label)).toEqual([label])
  })

  it.each([['A'], ['g'], ['/'], ['../'], ['0x'], ['0'.repeat(65)], [' ']])('have no prefix %j', async (prefix) => {
    await expect(all(make().blocks.heads({ prefix }))).rejects.toThrow(/prefix must be hex digits/)
  })

  it('leave out what was deleted since, and blobs that no label names', async () => {
    const { blobs } = await filled()
    for (const name of ['head/notes', `head/${'0'.repeat(63)}`, `head/${shared.label}/x`])
      await blobs.put(name, sample(99))
    expect((await all(blocksIn(blobs).heads())).map(({ label }) => label)).toEqual([shared.label])
    const deleted = interrupted(blobs, 'get', headOf(shared), () => blobs.delete(headOf(shared)))
    expect(await all(blocksIn(deleted).heads())).toEqual([])
  })

  it('end the list of the store when the caller stops, or a read fails', async () => {
    const { blobs, blocks } = make()
    for (let index = 0; index < 40; index++) await blocks.put(await owner.seal(sample(20, index + 2)))
    let ended = 0
    const list: BlobStore['list'] = async function* (prefix) {
      try {
        yield* blobs.list(prefix)
      } finally {
        ended++
      }
    }
    for await (const { label } of blocksIn({ ...blobs, list }).heads()) if (label !== '') break
    expect(ended).toBe(1)
    const get = async () => {
      throw new Error('no connection')
    }
    await expect(all(blocksIn({ ...blobs, list, get }).heads())).rejects.toThrow('no connection')
    expect(ended).toBe(2)
  })
})

describe('a new envelope', () => {
  const regenerated = owner.regenerate()

  it('replaces the old one, and leaves the ciphertext', async () => {
    const { blobs, blocks } = await filled()
    const [head] = await all(blocks.heads())
    const next = regenerated.rekey(head!)
    expect(await blocks.replaceEnvelope(head!, next)).toBe(true)
    expect(await blobs.get(headOf(shared))).toEqual(headBytes({ ...shared, envelope: next }))
    expect(await blobs.get(dataOf(shared))).toEqual(shared.ciphertext)
    expect(await opened(blocks, regenerated)).toEqual(content)
    expect(await blocks.has(shared.label)).toBe(true)
    expect(await blocks.put(shared)).toBe(false)
  })

  it('does not replace another one than was read, or a head that is gone', async () => {
    const { blocks } = await filled()
    const [head] = await all(blocks.heads())
    const next = regenerated.rekey(head!)
    const nextToo = regenerated.rekey(head!)
    const answers = await Promise.all([blocks.replaceEnvelope(head!, next), blocks.replaceEnvelope(head!, nextToo)])
    expect(answers.filter(Boolean).length).toBe(1)
    expect((await blocks.get(shared.label))!.envelope).toEqual(answers[0] ? next : nextToo)
    expect(await blocks.replaceEnvelope(head!, next)).toBe(false)
    await blocks.delete(shared.label)
    expect(await blocks.replaceEnvelope(head!, next)).toBe(false)
    expect(await blocks.has(shared.label)).toBe(false)
  })

  it('is not lost when the block is put again at the same time, to repair its ciphertext', async () => {
    const { blobs, blocks } = await filled()
    const [head] = await all(blocks.heads())
    const next = regenerated.rekey(head!)
    await damage(blobs, dataOf(shared), new Uint8Array(0))
    const rekeyed = interrupted(blobs, 'replace', dataOf(shared), () => blocks.replaceEnvelope(head!, next))
    expect(await blocksIn(rekeyed).put(shared)).toBe(true)
    expect((await blocks.get(shared.label))!.envelope).toEqual(next)
    expect(await opened(blocks, regenerated)).toEqual(content)
  })

  it('and a put that replaces the head: neither is lost, and the one that is late notices', async () => {
    // With dedup off, putting again writes another ciphertext, so the head must change too.
    const writer = openWriter(owner.export('host'), { dedup: 'off' })
    const [old, again] = [await writer.seal(content), await writer.seal(content)]
    expect([old.label, dataOf(old) === dataOf(again)]).toEqual([again.label, false])
    const { blobs, blocks } = make()
    await blocks.put(old)
    const [head] = await all(blocks.heads())
    const next = regenerated.rekey(head!)
    await blobs.delete(dataOf(old))
    const late = interrupted(blobs, 'replace', headOf(old), () => blocks.replaceEnvelope(head!, next))
    expect(await blocksIn(late).put(again)).toBe(true)
    expect(await owner.open((await blocks.get(again.label))!)).toEqual(content)
    expect(await blocks.replaceEnvelope(head!, next)).toBe(false)
  })

  it.each([[undefined], ['text'], [new ArrayBuffer(8)]])('cannot be %s', async (next) => {
    const { blocks } = await filled()
    const [head] = await all(blocks.heads())
    await expect(blocks.replaceEnvelope(head!, next as never)).rejects.toThrow(TypeError)
  })
})

describe('several writers', () => {
  it('of one block: one gets true, and nothing is left over', async () => {
    const { blobs, blocks } = make()
    const sealed = await Promise.all(Array.from({ length: 6 }, () => owner.seal(content)))
    const answers = await Promise.all(sealed.map((each) => blocks.put(each)))
    expect(answers.filter(Boolean).length).toBe(1)
    expect(await namesIn(blobs)).toEqual([dataOf(block), headOf(block)])
    expect((await blocks.get(block.label))!.envelope).toEqual(sealed[answers.indexOf(true)]!.envelope)
  })

  it('of one block without dedup: the head names one of the ciphertexts, and opens', async () => {
    const { blobs, blocks } = make()
    const writer = openWriter(owner.export('host'), { dedup: 'off' })
    const sealed = await Promise.all(Array.from({ length: 4 }, () => writer.seal(content, { shares: [share.id] })))
    const answers = await Promise.all(sealed.map((each) => blocks.put(each)))
    expect(answers.filter(Boolean).length).toBe(1)
    const { label, ciphertext } = sealed[answers.indexOf(true)]!
    const stored = (await blocks.get(label))!
    expect(stored.ciphertext).toEqual(ciphertext)
    expect(await owner.open(stored)).toEqual(content)
    const reader = owner.acceptShare(share.invite(owner.card()), owner.card())
    expect(await reader.open((await blocks.shared(share.id).get(label))!)).toEqual(content)
    expect((await namesIn(blobs, 'head/')).length).toBe(1)
  })

  it('without dedup, later: the second ciphertext is not stored at all', async () => {
    const { blobs, blocks } = make()
    const writer = openWriter(owner.export('host'), { dedup: 'off' })
    const [first, second] = [await writer.seal(content), await writer.seal(content)]
    expect([await blocks.put(first), await blocks.put(second)]).toEqual([true, false])
    expect(await namesIn(blobs)).toEqual([dataOf(first), headOf(first)])
    expect((await blocks.get(first.label))!.ciphertext).toEqual(first.ciphertext)
  })

  it('that repair one cut block: it is whole afterwards', async () => {
    const { blobs, blocks } = await filled()
    await damage(blobs, dataOf(shared), new Uint8Array(9))
    await Promise.all(Array.from({ length: 5 }, () => blocks.put(shared)))
    expect(await blobs.get(dataOf(shared))).toEqual(shared.ciphertext)
    expect(await blocks.has(shared.label)).toBe(true)
  })

  it('that keep damaging a head end a put as a conflict', async () => {
    const { blobs } = await filled()
    let damages = 0
    const replace: BlobStore['replace'] = async (name, expected, next) => {
      if (name === headOf(shared)) await damage(blobs, name, new Uint8Array(++damages))
      return blobs.replace(name, expected, next)
    }
    await damage(blobs, headOf(shared), new Uint8Array(0))
    const error = await failure(() => blocksIn({ ...blobs, replace }).put(shared), 'conflict')
    expect(error.detail).toEqual({ object: headOf(shared) })
    expect(damages).toBe(4)
  })
})

describe('a store that only reads', () => {
  it('is enough to restore, from shares too', async () => {
    const { blobs } = await filled()
    const calls: string[] = []
    const only = blocksIn({
      get: async (name) => {
        calls.push(name)
        return blobs.get(name)
      },
    })
    expect(await owner.open((await only.get(shared.label))!)).toEqual(content)
    expect((await only.shared(share.id).get(shared.label))!.ciphertext).toEqual(shared.ciphertext)
    expect(await only.get('0'.repeat(64))).toBeUndefined()
    expect(calls).toEqual([headOf(shared), dataOf(shared), shareOf(shared), dataOf(shared), `head/${'0'.repeat(64)}`])
  })

  it('is enough to restore without this library: the head names the ciphertext', async () => {
    const { blobs } = await filled()
    const head = (await blobs.get(`head/${shared.label}`))!
    const ciphertext = (await blobs.get(`data/${hex(head.subarray(-32))}`))!
    const envelope = head.subarray(4, -32)
    expect(await owner.open({ label: shared.label, envelope, ciphertext })).toEqual(content)
    expect(new DataView(head.buffer, head.byteOffset).getUint32(0)).toBe(ciphertext.length)
  })
})
