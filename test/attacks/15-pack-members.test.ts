// Row 15. The recipient was given the pack and the strings of some of its files: a partial share.
import { openPackMember, openWriter } from '../../src/index.ts'
import { createCipheriv, createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodePack } from '../../src/core/pack.ts'
import { expectSame, failure, flipped, sample } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const owner = await quickKeyset()
const stranger = await quickKeyset()
const secret = new Uint8Array(Buffer.from('salary: 4711'))
const files = [sample(64), secret, sample(64, 3)]
const keyed = await openWriter(owner.export('host')).pack(files)
const hashed = await openWriter(owner.export('host'), { dedup: 'global' }).pack(files)
const [mine] = keyed.members as [string]

describe('a recipient of some pack members wants the others', () => {
  it('opens their own file through a share, and no other file with its string', async () => {
    const { keyset: reader, share } = owner.createShare()
    const block = await openWriter(reader.export('host')).seal(keyed.content)
    const shared = stranger.acceptShare(share.invite(stranger.card()), owner.card())
    const pack = await shared.open({ ...block, envelope: share.add(block) })
    expectSame(await openPackMember(pack, mine), files[0]!)
    for (const index of [1, 2]) {
      for (const form of ['g', 'k']) {
        await failure(() => openPackMember(pack, `${form}.${index}.${mine.slice(4)}`), 'authentication-failed')
      }
    }
  })

  it('guess test: cannot confirm a guess in the keyed form, but can in the hashed form', async () => {
    // What the recipient can compute for a guess: its hash, and its key under their own dedup key.
    const hash = createHash('sha256').update(secret).digest('base64url')
    const [, own] = (await openWriter(stranger.export('host')).pack(files)).members as [string, string]
    for (const key of [hash, own.slice(4), hashed.members[1]!.slice(4)]) {
      for (const form of ['g', 'k']) {
        await failure(() => openPackMember(keyed.content, `${form}.1.${key}`), 'authentication-failed')
      }
    }
    expect(keyed.members.map((member) => member.slice(4))).not.toContain(hash)
    // The hashed form is for files that anybody may confirm: documented.
    expectSame(await openPackMember(hashed.content, `g.1.${hash}`), secret)
  })

  it('guess test: cannot confirm a guess by encrypting it either', async () => {
    const cipher = createCipheriv('aes-256-cbc', createHash('sha256').update(secret).digest(), Buffer.alloc(16))
    const guess = Buffer.concat([cipher.update(secret), cipher.final()])
    expect(Buffer.from(hashed.content).includes(guess)).toBe(true)
    expect(Buffer.from(keyed.content).includes(guess)).toBe(false)
    const theirs = await openWriter(stranger.export('host')).pack(files)
    expect(Buffer.from(keyed.content).includes(Buffer.from(theirs.content.subarray(-48)))).toBe(false)
  })

  it('a change to any byte of a neighbour is refused, and leaves the recipient’s own file intact', async () => {
    const lengths = 4 + 4 * files.length
    const [, neighbour] = keyed.members as [string, string]
    // The recipient's own member has 32 bytes of MAC, and 80 of text and padding.
    const start = lengths + 32 + 80
    for (let index = start; index < start + 32 + 16; index++) {
      const altered = flipped(keyed.content, index, index % 8)
      await failure(() => openPackMember(altered, neighbour), 'authentication-failed')
      expectSame(await openPackMember(altered, mine), files[0]!)
    }
    // The owner detects the change through the block, which has its own tag.
  })

  it('a neighbour that is rewritten under the recipient’s key, or replaced by another member, is refused', async () => {
    const lengths = 4 + 4 * files.length
    const [first, second, third] = [
      keyed.content.subarray(lengths, lengths + 112),
      keyed.content.subarray(lengths + 112, lengths + 160),
      keyed.content.subarray(lengths + 160),
    ]
    const cipher = createCipheriv('aes-256-cbc', Buffer.from(mine.slice(4), 'base64url'), Buffer.alloc(16))
    const forged = Buffer.concat([cipher.update('forged'), cipher.final()])
    for (const replaced of [forged, first, third]) {
      const pack = encodePack([first, replaced, third])
      await failure(() => openPackMember(pack, keyed.members[1]!), 'authentication-failed')
      expectSame(await openPackMember(pack, mine), files[0]!)
    }
    expectSame(await openPackMember(encodePack([first, second, third]), keyed.members[1]!), secret)
  })
})
