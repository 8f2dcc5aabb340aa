// Row 15. He was given the strings of some files in a pack, and the pack with them: a partial share.
import { openPackMember, openWriter } from '../../src/index.ts'
import { createCipheriv, createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodePack } from '../../src/keyset/pack.ts'
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
  it('opens his own, through a share, and no other by its string', async () => {
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

  it('guess test: cannot confirm a guess in the keyed form, and can in the hashed one', async () => {
    // What he can compute for a guess: its hash, and its key under a dedup key of his own.
    const hash = createHash('sha256').update(secret).digest('base64url')
    const [, own] = (await openWriter(stranger.export('host')).pack(files)).members as [string, string]
    for (const key of [hash, own.slice(4), hashed.members[1]!.slice(4)]) {
      for (const form of ['g', 'k']) {
        await failure(() => openPackMember(keyed.content, `${form}.1.${key}`), 'authentication-failed')
      }
    }
    expect(keyed.members.map((member) => member.slice(4))).not.toContain(hash)
    // The hashed form is for what anybody may confirm: documented.
    expectSame(await openPackMember(hashed.content, `g.1.${hash}`), secret)
  })

  it('guess test: nor by a ciphertext that he makes of the guess', async () => {
    const cipher = createCipheriv('aes-256-cbc', createHash('sha256').update(secret).digest(), Buffer.alloc(16))
    const guess = Buffer.concat([cipher.update(secret), cipher.final()])
    expect(Buffer.from(hashed.content).includes(guess)).toBe(true)
    expect(Buffer.from(keyed.content).includes(guess)).toBe(false)
    const theirs = await openWriter(stranger.export('host')).pack(files)
    expect(Buffer.from(keyed.content).includes(Buffer.from(theirs.content.subarray(-48)))).toBe(false)
  })

  it('an altered neighbour is refused in every byte, and leaves his own as it was', async () => {
    const lengths = 4 + 4 * files.length
    const [, neighbour] = keyed.members as [string, string]
    // His own has 32 bytes of MAC, and 80 of text and padding.
    const start = lengths + 32 + 80
    for (let index = start; index < start + 32 + 16; index++) {
      const altered = flipped(keyed.content, index, index % 8)
      await failure(() => openPackMember(altered, neighbour), 'authentication-failed')
      expectSame(await openPackMember(altered, mine), files[0]!)
    }
    // The owner sees it by the block, which has its own tag.
  })

  it('a neighbour written anew under the key that he has, and two that change places, are refused', async () => {
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
