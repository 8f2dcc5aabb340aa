// Row 20. The attacker can talk to the server as any client does, see what others send, and run their own server.
// They have a different key.
import { Suite } from '../../src/core/suite.ts'
import { type Client, deriveClient, type TypedKey } from '../../src/client.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, it } from 'vitest'
import { encode } from '../../src/core/codec.ts'
import { type StoredEnrolment, storedEnrolment } from '../../src/client/layout.ts'
import { encodeHeader } from '../../src/core/header.ts'
import { concat, domain, utf8 } from '../../src/core/bytes.ts'
import { failure, quickly, unhex } from '../fixtures.ts'
import { commitFor, connectTo, enrolIn, OWN, WatchedStore } from '../registry-fixtures.ts'
import { signatureFor, TORSION } from '../odd-signatures.ts'

const ACME = { account: 'acme' }
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const make = (text: string, accountKey?: TypedKey): Promise<Client> =>
  quickly(() => deriveClient({ ...names, privateKey: { type: 'AES-256', text }, ...(accountKey && { accountKey }) }))
const victim = await make('the right key')
const thief = await make('a guess')

describe('a client with another key wants somebody’s account', () => {
  const enrolled = async () => {
    const store = new WatchedStore()
    const registry = openKeyRegistry(store, { realm: 'tests', ...OWN })
    await enrolIn(registry, victim)
    await commitFor(registry, victim)
    return { store, registry }
  }

  it('a changed key is refused, both when connecting and when enrolling', async () => {
    const { registry } = await enrolled()
    await failure(() => connectTo(registry, thief), 'key-changed')
    await failure(() => enrolIn(registry, thief), 'key-changed')
    await connectTo(registry, victim)
  })

  it('a replayed proof and a relayed proof are refused', async () => {
    const { registry, store } = await enrolled()
    const proof = victim.prove(await registry.challenge(), OWN)
    await registry.connect(proof)
    await failure(() => registry.connect(proof), 'expired')
    // The thief's server asks the victim to answer the real server's challenge.
    const challenge = await registry.challenge()
    await failure(() => victim.prove(challenge, { server: 'thief' }), 'authentication-failed')
    // The real server refuses the victim's answer to the thief's server.
    const own = openKeyRegistry(store, { realm: 'tests', server: 'thief' })
    const answer = victim.prove(await own.challenge(), { server: 'thief' })
    await failure(() => registry.connect(answer), 'authentication-failed')
  })

  // Keys for which a lax verifier accepts signatures that nobody made.
  const point = ed25519.Point
  const secret = new Uint8Array(32).fill(7)
  const honest = ed25519.getPublicKey(secret)
  const odd: [string, Uint8Array][] = [
    ['the identity', point.ZERO.toBytes()],
    ['a point of order 8', TORSION.toBytes()],
    ['a point of mixed order', point.fromBytes(honest).add(TORSION).toBytes()],
    ['a point in a non-canonical encoding', unhex('eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')],
  ]

  const enrolmentOf = (challenge: Uint8Array, publicKey: Uint8Array, sign: (message: Uint8Array) => Uint8Array) => {
    const body: Omit<StoredEnrolment, 'signatures'> = {
      headerBytes: encodeHeader({
        type: 17,
        suite: Suite.none,
        keyId: new Uint8Array(16),
        ownerId: new Uint8Array(16),
        generation: 1,
      }),
      challenge,
      ...{ realm: utf8('tests'), account: utf8('acme'), client: utf8('desktop'), platform: 3 },
      keys: [{ role: 1, type: 3, publicKey: new Uint8Array(publicKey) }],
    }
    const message = concat(
      domain('sign/enrolment'),
      encode(storedEnrolment, { ...body, signatures: [] }).subarray(0, -2),
    )
    return encode(storedEnrolment, { ...body, signatures: [sign(message)] })
  }

  it.each(odd)('%s is refused as a public key', async (_, publicKey) => {
    const registry = openKeyRegistry(new WatchedStore(), { realm: 'tests', ...OWN })
    const challenge = await registry.challenge()
    // R is the identity and S is 0: valid for every message under the identity. The other signer works for the
    // mixed-order key.
    const nothing = concat(point.ZERO.toBytes(), new Uint8Array(32))
    for (const sign of [() => nothing, (message: Uint8Array) => signatureFor(secret, publicKey, message)]) {
      await failure(() => registry.enrol(enrolmentOf(challenge, publicKey, sign), ACME), 'authentication-failed')
    }
    // Control: the same construction with an honest key is accepted.
    await registry.enrol(
      enrolmentOf(challenge, honest, (message) => signatureFor(secret, honest, message)),
      ACME,
    )
  })
})
