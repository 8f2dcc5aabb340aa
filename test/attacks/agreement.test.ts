// Who breaks one half of the hybrid, today or later: the other half must hold.
import { describe, expect, it } from 'vitest'
import { reachAgreement } from '../../src/keys/agreement.ts'
import type { Identity } from '../../src/keys/key-pairs.ts'
import { withBytes } from '../../src/secret.ts'
import { failure, hex, makeKeyset, sample } from '../fixtures.ts'

const publicHalves = { minimum: 2, x25519: sample(32), mlKem1024: sample(1568) }
const place = { headerBytes: sample(48), hybrid: true, context: sample(32) }
const parts = { ephemeral: sample(32, 2), encapsulated: sample(1568, 2) }

function combined(sharedX25519: Uint8Array, sharedMlKem: Uint8Array): string {
  const identity = {
    publicHalves,
    x25519: { decapsulate: () => new Uint8Array(sharedX25519) },
    mlKem1024: { decapsulate: () => new Uint8Array(sharedMlKem) },
  } as unknown as Identity
  return withBytes(reachAgreement(identity, place, parts).key('combined'), hex)
}

describe('tomorrow’s quantum computer', () => {
  it('knows the X25519 secret, and the key still depends on the ML-KEM secret', () => {
    expect(combined(sample(32, 5), sample(32, 6))).not.toBe(combined(sample(32, 5), sample(32, 7)))
  })

  it('finds no block under X25519 alone where both are due', async () => {
    const keyset = await makeKeyset()
    await failure(() => keyset.writer({ encryption: 'x25519' }), 'policy')
  })
})

describe('a breaker of ML-KEM', () => {
  it('knows the ML-KEM secret, and the key still depends on the X25519 secret', () => {
    expect(combined(sample(32, 5), sample(32, 6))).not.toBe(combined(sample(32, 7), sample(32, 6)))
  })
})

describe('whoever finds equal secrets', () => {
  it('gains nothing: the two do not cancel out', () => {
    const equal = combined(sample(32, 5), sample(32, 5))
    expect(equal).not.toBe(combined(sample(32, 6), sample(32, 6)))
    expect(combined(sample(32, 5), sample(32, 6))).not.toBe(combined(sample(32, 6), sample(32, 5)))
  })
})
