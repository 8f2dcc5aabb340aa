// Reads the frozen vectors of keysets, blocks, shares and packs with the library. second-reader.test.ts reads them with
// the readers written from SPEC.md alone.
import { backends, hex, unhex, withRandomness } from '../fixtures.ts'
import { describe, expect, it } from 'vitest'
import { openPackMember, openWriter, parseBlock, parseCard, unlockKeyset } from '../../src/index.ts'
import { encodeKeyset, openKeyset, parseKeyset } from '../../src/keyset/exports.ts'
import { openMaster } from '../../src/keyset/master.ts'
import { createRevision, revisionText } from '../../src/keyset/revision.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { parseRevision, revisionOf, textOf } from '../spec-reader-revision.ts'
import * as specReader from '../spec-reader.ts'
import { asRead, asText } from './as-read.ts'
import {
  blockVectors,
  inviteVectors,
  type InviteVector,
  keysetVectors,
  outcome,
  packVectors,
  revisionVectors,
  sharedBlockVectors,
} from './vectors.ts'

const keysets = new Map(keysetVectors().map((vector) => [vector.id, vector]))

describe('keyset.json', () => {
  it.each(keysetVectors())('$id: $comment', async ({ password, floor, writer, card, ...vector }) => {
    const bytes = unhex(vector.export)
    const options = floor === undefined ? {} : { atLeast: floor }
    const ours = await outcome(() => unlockKeyset(bytes, password, options))
    expect(ours).toBe(vector.expect)
    if (writer !== undefined) expect(await outcome(() => openWriter(bytes))).toBe(writer)
    if (card !== undefined) {
      const keyset = await unlockKeyset(bytes, password)
      expect(await outcome(() => keyset.card())).toBe(card)
    }
  })

  it('both readers read the same contents of every export that opens', async () => {
    const good = keysetVectors().filter((vector) => vector.expect === 'ok')
    expect(good.length).toBeGreaterThan(10)
    for (const { id, password, export: bytes } of good) {
      const parsed = parseKeyset(unhex(bytes))
      const ours = openKeyset(parsed, await openMaster(password, parsed.argon2, {}))
      const theirs = specReader.openKeyset(unhex(bytes), password)
      expect(asText(theirs), id).toEqual(asRead(ours, parsed.destination))
    }
  })

  // Golden files for each column of the table in SPEC §9.3.
  const golden = ['', '-empty-lists', '-full', '-history-255', '-most'].flatMap((form) =>
    ['host', 'source-definition', 'definition', 'source-storage', 'storage'].map((name) => name + form),
  )
  it.each(golden.filter((id) => keysets.has(id)))('%s is encoded again byte for byte', async (id) => {
    const vector = keysets.get(id)!
    const parsed = parseKeyset(unhex(vector.export))
    const master = await openMaster(vector.password, parsed.argon2, {})
    const [destination] = [parsed.destination]
    // The nonce n of the sealed section follows its header.
    const nonce = parsed.sealed.slice(48, 80)
    const again = withNonce(nonce, () => encodeKeyset(openKeyset(parsed, master), master, destination))
    expect(hex(again)).toBe(vector.export)
  })

  it('both readers open the same keys', async () => {
    for (const id of ['host', 'source-definition', 'source-storage']) {
      const { password, export: bytes } = keysets.get(id)!
      const read = specReader.openKeyset(unhex(bytes), password)
      expect(read.id.toString('hex')).toBe((await unlockKeyset(unhex(bytes), password)).id)
      expect(read.dedupKey.toString('hex')).toBe('54'.repeat(32))
      expect(read.pairs.map((pair) => pair.skX[0])).toEqual(id === 'source-definition' ? [0x51] : [0x51, 0x71])
      expect(read.shares.map((share) => share.skX?.[0])).toEqual(id === 'source-definition' ? [] : [0x81, undefined])
    }
  })
})

/** Runs `body` with this nonce in place of a hedged one: no random bytes lead to the nonce of a frozen object. */
function withNonce<T>(nonce: Uint8Array, body: () => T): T {
  const backend = backends[0]!
  let replaced = 0
  const hmac: typeof backend.hmac = (hash, key, parts) => {
    if (!isHedgeOfNonce(Buffer.concat(parts))) return backend.hmac(hash, key, parts)
    replaced++
    return new Uint8Array(nonce)
  }
  useBackend({ ...backend, hmac })
  try {
    const result = body()
    expect(replaced).toBe(1)
    return result
  } finally {
    useBackend(undefined)
  }
}

/** Only the hedge of a nonce is an HMAC over 32 random bytes and four fields, a digest and a header first (SPEC §4.4). */
function isHedgeOfNonce(input: Buffer): boolean {
  const lengths: number[] = []
  for (let at = 32; at + 4 <= input.length; at += 4 + lengths.at(-1)!) lengths.push(input.readUInt32BE(at))
  const total = lengths.reduce((sum, length) => sum + 4 + length, 32)
  return total === input.length && lengths.length === 4 && lengths[0] === 32 && lengths[1] === 48
}

describe('revision.json', () => {
  it.each(revisionVectors())('$id: $comment', async ({ keyset, master, random, contents, revision }) => {
    const stored = keysets.get(keyset)!
    const key = new SecretKey('master', unhex(master))
    const ours = withRandomness([unhex(random)], () => createRevision(key, unhex(contents)))
    const { version } = parseRevision(revision)
    expect(revisionText({ version, id: ours })).toBe(revision)
    expect((await unlockKeyset(unhex(stored.export), stored.password)).revision).toBe(revision)

    const [M, drawn, stated] = [master, random, contents].map((text) => Buffer.from(text, 'hex'))
    expect(textOf({ version, revision: revisionOf(M!, drawn!, stated!) })).toBe(revision)
    const read = specReader.openKeyset(unhex(stored.export), stored.password)
    expect(textOf(read)).toBe(revision)
    expect(hex(read.contents)).toBe(contents)
  })

  // From test/reference.py.
  it('a revision is what another implementation computes', () => {
    const [key, random] = [new Uint8Array(32).map((_, i) => i), new Uint8Array(32).fill(9)]
    const contents = new TextEncoder().encode('keystrata')
    const ours = withRandomness([random], () => createRevision(new SecretKey('master', key), contents))
    expect(hex(ours)).toBe('4f6a5abde9efce6e1880318e7ae8189f')
    expect(hex(revisionOf(Buffer.from(key), Buffer.from(random), Buffer.from(contents)))).toBe(hex(ours))
  })

  it('all exports of one version have the same revision', () => {
    for (const ids of [
      ['host', 'source-definition', 'source-storage'],
      ['host-full', 'definition-full', 'storage-full'],
    ]) {
      const revisions = ids.map((id) => textOf(specReader.parseKeyset(unhex(keysets.get(id)!.export))))
      expect(new Set(revisions).size).toBe(1)
    }
  })
})

describe('block.json', () => {
  it.each(blockVectors())('$id: $comment', async (vector) => {
    const keyset = keysets.get(vector.keyset)!
    const bytes = unhex(vector.block)
    const { acceptsWeaker = false } = vector
    const options =
      acceptsWeaker === false ? {} : ({ allowWeaker: acceptsWeaker === true ? 'none' : acceptsWeaker } as const)
    const reader = await unlockKeyset(unhex(keyset.export), keyset.password, options)
    const opened = outcome(async () => {
      expect(hex(await reader.open(parseBlock(bytes, vector.label)))).toBe(vector.content)
    })
    expect(await opened).toBe(vector.expect)
  })
})

describe('invite.json, shared-block.json', () => {
  const invites = new Map(inviteVectors().map((vector) => [vector.id, vector]))
  async function accept({ keyset: id, card, invite }: InviteVector) {
    const { export: bytes, password } = keysets.get(id)!
    const keyset = await unlockKeyset(unhex(bytes), password)
    return keyset.acceptShare(unhex(invite), parseCard(unhex(card)))
  }

  it.each(inviteVectors())('$id: $comment', async (vector) => {
    const { shareId, issuedAt, expect: expected } = vector
    const ours = outcome(async () => {
      const reader = await accept(vector)
      expect([reader.id, reader.issuedAt.getTime()]).toEqual([shareId, issuedAt])
    })
    expect(await ours).toBe(expected)
  })

  it.each(sharedBlockVectors())('$id: $comment', async ({ invite, label, block, content, expect: expected }) => {
    const reader = await accept(invites.get(invite)!)
    const ours = outcome(async () => {
      expect(hex(await reader.open(parseBlock(unhex(block), label)))).toBe(content)
    })
    expect(await ours).toBe(expected)
  })
})

describe('pack.json', () => {
  it.each(packVectors())('$id: $comment', async ({ pack, member, file, ...vector }) => {
    const ours = outcome(async () => expect(hex(await openPackMember(unhex(pack), member))).toBe(file))
    expect(await ours).toBe(vector.expect)
  })
})
