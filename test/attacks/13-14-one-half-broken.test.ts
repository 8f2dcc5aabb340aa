// Rows 13 and 14. An attacker who breaks one half of the hybrid, now or later, knows its shared secret. The other
// half must still protect the block.
import { type AgreementSuite, Suite } from '../../src/core/suite.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { describe, expect, it } from 'vitest'
import { openWriter, unlockKeyset } from '../../src/index.ts'
import { reachAgreement } from '../../src/core/agreement.ts'
import { type Identity, Recipient } from '../../src/core/key-pairs.ts'
import { withBytes } from '../../src/core/secret.ts'
import { expectSame, failure, flipped, hex, PASSWORD, quickly, sample, unhex } from '../fixtures.ts'
import { blockKeyOf, insides, quickKeyset } from './known.ts'

const publicHalves = { minimum: 2, x25519: sample(32), mlKem1024: sample(1568) }
const place = { headerBytes: sample(48), context: sample(32) }
const parts = { ephemeral: sample(32, 2), encapsulated: sample(1568, 2) }
const PURPOSES = ['combined', 'envelope', 'seal'] as const

/** Returns the keys of an agreement with these shared secrets: K, the envelope key and the key for sealed secrets. */
function keysOf(sharedX25519: Uint8Array, sharedMlKem: Uint8Array, suite: AgreementSuite = Suite.hybrid): string[] {
  const identity = {
    publicHalves,
    x25519: { decapsulate: () => new Uint8Array(sharedX25519) },
    mlKem1024: { decapsulate: () => new Uint8Array(sharedMlKem) },
  } as unknown as Identity
  const agreement = reachAgreement(identity, { ...place, suite }, parts)
  return PURPOSES.map((purpose) => withBytes(agreement.key(purpose), hex))
}
const distinct = (...keys: readonly string[][]): number => new Set(keys.flat()).size

/** Returns a secret, and every value that differs from it in one bit. */
const around = (secret: Uint8Array): Uint8Array[] => [
  secret,
  ...Array.from({ length: 256 }, (_, bit) => flipped(secret, bit >> 3, bit & 7)),
]

describe('tomorrow’s quantum computer wants today’s blocks', () => {
  it('knows ss_x: K changes with every bit of ss_m', () => {
    const keys = around(sample(32, 6)).map((sharedMlKem) => keysOf(sample(32, 5), sharedMlKem))
    expect(distinct(...keys)).toBe(3 * 257)
    // Control: with X25519 alone, K does not change.
    expect(keysOf(sample(32, 5), sample(32, 6), Suite.x25519)).toEqual(
      keysOf(sample(32, 5), sample(32, 7), Suite.x25519),
    )
  })

  it('finds no block under X25519 alone: writers refuse to seal one, and readers refuse it by policy', async () => {
    const keyset = await quickKeyset()
    await failure(() => openWriter(keyset.export('host'), { encryption: 'x25519' }), 'policy')
    await failure(() => openWriter(keyset.export('host'), { encryption: 'x25519' }), 'policy')
    const block = await openWriter(keyset.export('host')).seal(sample(64))
    expect(block.envelope).toHaveLength(1713)
    // A block that is otherwise valid, sealed to the owner's own keys.
    const { id: ownerId, blockPair } = insides(keyset)
    const weak = { ownerId, suite: Suite.x25519, mode: Mode.scoped, label: unhex(block.label) } as const
    const envelope = maskKey(blockKeyOf(block, keyset), new Recipient(blockPair.publicHalves), weak)
    await failure(() => keyset.open({ ...block, envelope }), 'policy')
    await failure(() => keyset.rekey({ ...block, envelope }), 'policy')
    // A reader that allows the weaker suite opens it, and rekeying moves it to the hybrid suite.
    const accepting = await quickly(() => unlockKeyset(keyset.export('host'), PASSWORD, { allowWeaker: 'x25519' }))
    expectSame(await accepting.open({ ...block, envelope }), sample(64))
    expectSame(await keyset.open({ ...block, envelope: accepting.rekey({ ...block, envelope }) }), sample(64))
  })
})

describe('a breaker of ML-KEM wants blocks', () => {
  it('knows ss_m: K changes with every bit of ss_x', () => {
    const keys = around(sample(32, 5)).map((sharedX25519) => keysOf(sharedX25519, sample(32, 6)))
    expect(distinct(...keys)).toBe(3 * 257)
  })

  it('gains nothing from equal or exchanged secrets: the two do not cancel out', () => {
    const [five, six] = [sample(32, 5), sample(32, 6)]
    expect(distinct(keysOf(five, five), keysOf(six, six), keysOf(five, six), keysOf(six, five))).toBe(12)
  })
})
