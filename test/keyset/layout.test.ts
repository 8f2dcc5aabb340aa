import { describe, expect, it } from 'vitest'
import { decode } from '../../src/core/codec.ts'
import { hostSealed } from '../../src/keyset/layout.ts'
import { failure } from '../fixtures.ts'

describe('the sealed section of a host export', () => {
  /** Bytes before the lists: private halves, a public key, the sharing pair, the seed of the card. */
  const HEAD = 96 + 32 + 1601 + 96 + 32
  const sectionOf = (shares: number) => {
    const bytes = new Uint8Array(HEAD + 2 + 2 + shares + 2 + 2)
    new DataView(bytes.buffer).setUint16(HEAD + 2, shares)
    return bytes
  }

  it('lists at most as many shares as fit into a plain section of 1 MiB', async () => {
    expect(decode(hostSealed, sectionOf(654), 'keyset').shares).toHaveLength(654)
    await failure(() => decode(hostSealed, sectionOf(655), 'keyset'), 'malformed')
  })
})
