// Refs: this library and the second reader read the same, and write the same text again.
import { describe, expect, it } from 'vitest'
import { openPackMember } from '../../src/index.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { encodeRef, parseRef } from '../../src/state/ref.ts'
import { failure, hex, unhex } from '../fixtures.ts'
import * as second from '../spec-reader-ref.ts'
import { refVectors } from './vectors.ts'

describe('ref.json', () => {
  it.each(refVectors())('$id: $comment', async ({ ref, expect: expected, label, member, ciphertext }) => {
    if (expected !== 'ok') {
      await failure(() => parseRef(ref), 'malformed')
      expect(() => second.readRef(ref)).toThrow('malformed')
      return
    }
    const [read, other] = [parseRef(ref), second.readRef(ref)]
    for (const { label: found, member: file } of [read, other]) expect([found, file]).toEqual([label, member])
    expect(encodeRef(read)).toBe(ref)
    // An empty content is not a pack, so whoever reads it has read the member.
    if (member !== undefined) await failure(() => openPackMember(new Uint8Array(0), member), 'malformed')
    const named = [read.hash, other.hash].map((hash) => hash && hex(hash))
    const stored = ciphertext === undefined ? undefined : unhex(ciphertext)
    expect(named).toEqual([stored && hex(sha256(stored)), stored && hex(second.hashOf(Buffer.from(stored)))])
  })
})
