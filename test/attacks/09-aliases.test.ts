// Row 9. X25519 ignores one bit of its input and accepts points that give everybody the same secret; ML-KEM gives a
// secret for every ciphertext. Every change to a part must change the key, because every part goes
// through a PRF over the whole transcript.
import { Suite } from '../../src/core/suite.ts'
import { openWriter } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { agreeWith, reachAgreement } from '../../src/core/agreement.ts'
import { generateKeyPair, Identity, Recipient } from '../../src/core/key-pairs.ts'
import { withBytes } from '../../src/core/secret.ts'
import { backends, failure, flipped, hex, patched, sample, unhex, withBackend } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const [keyset, lax] = [await quickKeyset(), await quickKeyset({ encryption: 'x25519' })]
const writer = openWriter(keyset.export('host'))
const [one, other] = [await writer.seal(sample(64)), await writer.seal(sample(64, 2))]
const classic = await openWriter(lax.export('host')).seal(sample(64))
const [EPHEMERAL_AT, CT_M_AT, MODE_AT] = [48, 80, 1648]

describe('a writer of storage wants aliases', () => {
  it('flips bit 255 of the ephemeral key, which X25519 itself ignores: refused', async () => {
    const flip = (envelope: Uint8Array) => flipped(envelope, EPHEMERAL_AT + 31, 7)
    await failure(() => keyset.open({ ...one, envelope: flip(one.envelope) }), 'authentication-failed')
    await failure(() => lax.open({ ...classic, envelope: flip(classic.envelope) }), 'authentication-failed')
  })

  it.each(backends)('the derived key differs on $name, although X25519 gives the same secret', (backend) =>
    withBackend(backend, async () => {
      const pair = generateKeyPair(2)
      const [identity, place] = [
        new Identity(pair),
        { headerBytes: sample(48), suite: Suite.hybrid, context: sample(32) },
      ]
      const keyOf = (ephemeral: Uint8Array, encapsulated: Uint8Array) =>
        (['combined', 'envelope', 'seal'] as const).map((purpose) =>
          withBytes(reachAgreement(identity, place, { ephemeral, encapsulated }).key(purpose), hex),
        )
      const recipient = new Recipient(pair.publicHalves)
      const { ephemeral, encapsulated } = agreeWith(recipient, place).parts
      const alias = flipped(ephemeral, 31, 7)
      expect(hex(identity.x25519.decapsulate(alias))).toBe(hex(identity.x25519.decapsulate(ephemeral)))
      const foreign = agreeWith(recipient, place).parts
      const keys = [
        keyOf(ephemeral, encapsulated),
        keyOf(alias, encapsulated),
        keyOf(ephemeral, foreign.encapsulated),
        keyOf(foreign.ephemeral, encapsulated),
      ]
      expect(new Set(keys.flat()).size).toBe(12)
    }),
  )
})

describe('a writer of storage wants mixed ciphertexts', () => {
  it.each([
    ['ct_m', CT_M_AT, MODE_AT],
    ['epk', EPHEMERAL_AT, CT_M_AT],
    ['epk and ct_m', EPHEMERAL_AT, MODE_AT],
    ['the mask', MODE_AT + 1, MODE_AT + 33],
    ['mask and tag', MODE_AT + 1, MODE_AT + 65],
  ] as const)('swaps %s between two blocks: both are refused', async (_, from, to) => {
    for (const [to1, by] of [
      [one, other],
      [other, one],
    ] as const) {
      const envelope = patched(to1.envelope, from, by.envelope.subarray(from, to))
      await failure(() => keyset.open({ ...to1, envelope }), 'authentication-failed')
    }
  })
})

describe('a writer of storage wants an agreement whose secret they know', () => {
  // The canonical points of order 1, 2, 4 and 8, p − 1 and p + 1 (RFC 7748 §7; Wycheproof), and one with bit 255.
  it.each([
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
    `${'00'.repeat(31)}80`,
  ])('writes the low-order point %s: refused on every backend', async (point) => {
    const lowOrder = (envelope: Uint8Array) => patched(envelope, EPHEMERAL_AT, unhex(point))
    for (const backend of backends) {
      await withBackend(backend, async () => {
        const pair = generateKeyPair(2)
        const identity = new Identity(pair)
        const parts = { ephemeral: unhex(point), encapsulated: new Uint8Array(0) }
        const place = { headerBytes: sample(48), suite: Suite.x25519, context: sample(32) }
        // The agreement refuses the point before any tag is checked.
        await failure(() => reachAgreement(identity, place, parts), 'authentication-failed')
      })
    }
    await failure(() => keyset.open({ ...one, envelope: lowOrder(one.envelope) }), 'authentication-failed')
    await failure(() => lax.open({ ...classic, envelope: lowOrder(classic.envelope) }), 'authentication-failed')
  })
})
