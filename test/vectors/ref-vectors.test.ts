// Refs: this library and the second reader read the same, and write the same text again.
import { describe, expect, it } from 'vitest'
import { openPackMember } from '../../src/index.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { encodeRef, parseRef, pinsFor } from '../../src/state/ref.ts'
import { failure, hex, unhex } from '../fixtures.ts'
import * as second from '../spec-reader-ref.ts'
import { refVectors } from './vectors.ts'

describe('ref.json', () => {
  it.each(refVectors())('$id: $comment', async ({ ref, expect: expected, label, member, stored }) => {
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
    expect([read.pins, other.pins].map((pins) => pins !== undefined)).toEqual([stored, stored].map(Boolean))
    if (stored === undefined) return
    const [envelope, ciphertext] = [unhex(stored.envelope), unhex(stored.ciphertext)]
    for (const { pins, of } of [
      { pins: read.pins!, of: pinsFor(envelope, sha256(ciphertext)) },
      { pins: other.pins!, of: second.pinsOf(Buffer.from(envelope), Buffer.from(ciphertext)) },
    ])
      expect([hex(pins.envelope), hex(pins.ciphertext)]).toEqual([hex(of.envelope), hex(of.ciphertext)])
  })
})
