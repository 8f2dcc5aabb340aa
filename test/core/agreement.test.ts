import { describe, expect, it } from 'vitest'
import { type Agreement, agreeWith, reachAgreement } from '../../src/core/agreement.ts'
import { generateKeyPair, Identity, keyPairOf, publicKeyId, Recipient } from '../../src/core/key-pairs.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { Suite } from '../../src/core/suite.ts'
import { failure, flipped, hex, sample } from '../fixtures.ts'

const pair = generateKeyPair(2)
const identity = new Identity(pair)
const recipient = new Recipient(pair.publicHalves)
const place = { headerBytes: sample(48), suite: Suite.hybrid, context: sample(32) }
const keyOf = (agreement: Agreement) => withBytes(agreement.key('combined'), hex)

describe('key pair sets', () => {
  it('have the id of SPEC §3.1 (test/reference.py)', () => {
    const publicHalves = {
      minimum: 2 as const,
      x25519: new Uint8Array(32).fill(1),
      mlKem1024: new Uint8Array(1568).fill(2),
    }
    expect(hex(publicKeyId(publicHalves))).toBe('fe464022e6989996d4d36138d391bcca')
  })

  it('are fresh when generated, and the same when derived from the same private halves', () => {
    const known = () =>
      keyPairOf(0, { x25519: new SecretKey('x25519', sample(32)), mlKem1024: new SecretKey('ml-kem-1024', sample(64)) })
    expect(hex(known().publicHalves.x25519)).toBe(hex(known().publicHalves.x25519))
    expect(hex(generateKeyPair(0).publicHalves.x25519)).not.toBe(hex(generateKeyPair(0).publicHalves.x25519))
  })

  it('are refused if their halves do not match', async () => {
    const { publicHalves, privateHalves } = generateKeyPair(2)
    const mixed = { ...publicHalves, mlKem1024: pair.publicHalves.mlKem1024 }
    await failure(() => new Identity({ publicHalves: mixed, privateHalves }), 'authentication-failed')
    const mixedX = { ...publicHalves, x25519: pair.publicHalves.x25519 }
    await failure(() => new Identity({ publicHalves: mixedX, privateHalves }), 'authentication-failed')
  })

  it('cannot be used after their identity was disposed of', async () => {
    const gone = new Identity(generateKeyPair(2))
    gone.dispose()
    await failure(() => gone.x25519, 'disposed')
    await failure(() => gone.mlKem1024, 'disposed')
  })
})

describe('agreement', () => {
  // The expected values are from test/reference.py, with secrets and transcript fields that are fixed there.
  const stub = {
    publicHalves: { minimum: 0, x25519: new Uint8Array(32).fill(1), mlKem1024: new Uint8Array(1568).fill(2) },
    x25519: { decapsulate: () => new Uint8Array(32).fill(6) },
    mlKem1024: { decapsulate: () => new Uint8Array(32).fill(7) },
  } as unknown as Identity
  const known = {
    headerBytes: Uint8Array.from({ length: 48 }, (_, index) => index),
    context: new Uint8Array(32).fill(5),
  }

  it.each([
    [
      Suite.hybrid,
      '5f2e40017a8f3324073c0dde81460070ace356966951ac7fb5d7f6f798f253d1',
      'ef1b1e5ed53efdbb608772c3cd584a9a10fb62bb3077f8c2238e478dd57384bd',
    ],
    [
      Suite.x25519,
      '3565931f1ca09e06e6c2bfff0b7d835fba10ffee24b54b48ff38680724c0cf95',
      'c8d016e5d4f74ff8bcc9137baee8753f83bc247c10156b39c51f4e8405e7db3b',
    ],
  ])('combines the secrets as SPEC §3.2 says (%j)', (suite, combined, envelope) => {
    const parts = {
      ephemeral: new Uint8Array(32).fill(3),
      encapsulated: new Uint8Array(suite === Suite.hybrid ? 1568 : 0).fill(4),
    }
    const agreement = reachAgreement(stub, { ...known, suite }, parts)
    expect(withBytes(agreement.key('combined'), hex)).toBe(combined)
    expect(withBytes(agreement.key('envelope'), hex)).toBe(envelope)
  })

  it.each([Suite.hybrid, Suite.x25519])('is the same on both sides (%j)', (suite) => {
    const { parts, agreement } = agreeWith(recipient, { ...place, suite })
    expect(parts.encapsulated.length).toBe(suite === Suite.hybrid ? 1568 : 0)
    expect(keyOf(reachAgreement(identity, { ...place, suite }, parts))).toBe(keyOf(agreement))
  })

  it('is fresh every time', () => {
    const [first, second] = [agreeWith(recipient, place), agreeWith(recipient, place)]
    expect(hex(first.parts.ephemeral)).not.toBe(hex(second.parts.ephemeral))
    expect(hex(first.parts.encapsulated)).not.toBe(hex(second.parts.encapsulated))
    expect(keyOf(first.agreement)).not.toBe(keyOf(second.agreement))
  })

  it('gives a different key if the header, context, a part or the suite differs', () => {
    const { parts, agreement } = agreeWith(recipient, place)
    const others = [
      reachAgreement(identity, { ...place, headerBytes: flipped(place.headerBytes, 47) }, parts),
      reachAgreement(identity, { ...place, context: flipped(place.context, 0) }, parts),
      reachAgreement(identity, place, { ...parts, encapsulated: flipped(parts.encapsulated, 1567) }),
      reachAgreement(identity, place, { ...parts, ephemeral: flipped(parts.ephemeral, 31, 7) }),
      reachAgreement(identity, { ...place, suite: Suite.x25519 }, parts),
    ]
    expect(new Set([agreement, ...others].map(keyOf)).size).toBe(6)
  })

  it('gives no key after it was disposed of', async () => {
    const { agreement } = agreeWith(recipient, place)
    agreement.dispose()
    await failure(() => agreement.key('combined'), 'disposed')
  })
})
