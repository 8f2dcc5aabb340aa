// The reader of delegations, of the keys in them, and of the heads that are rekeyed under one.
import { type Bytes, concat, domain, lengthPrefixed } from '../../src/core/bytes.ts'
import { cardHolderOf, fingerprintBytes, keysOfCard } from '../../src/core/card.ts'
import { bytes, encode, sized, struct, time, uint32, version } from '../../src/core/codec.ts'
import { HEADER_BYTES, ObjectType } from '../../src/core/header.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { CHECKSUM_BYTES, fillChecksum } from '../../src/core/trailer.ts'
import { sealedTo, sealSecret } from '../../src/core/wrap.ts'
import { delegatedKeys } from '../../src/fleet/delegation.ts'
import { delegate, openDelegation } from '../../src/fleet.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { SIGNATURE_BYTES } from '../../src/primitives/signature.ts'
import { makeKeyset, sample } from '../fixtures.ts'
import { type Target } from './inputs.ts'

const [first, fleet, friend] = [await makeKeyset(), await makeKeyset(), await makeKeyset()]
const old = await first.seal(sample(50))
const owner = first.adopt(friend).regenerate().regenerate()
const now = await owner.seal(sample(50))
const card = owner.card()
const until = new Date(Date.now() + 365 * 86_400_000)
const small = delegate(first, fleet.card(), { until })
const whole = delegate(owner, fleet.card(), { until })
const opened = openDelegation(whole, fleet, { from: card })

const layout = struct({
  headerBytes: bytes(HEADER_BYTES),
  version,
  revision: bytes(16),
  until: time,
  sealed: sized(uint32),
  signature: bytes(SIGNATURE_BYTES),
  checksum: bytes(CHECKSUM_BYTES),
})
const FACTS = HEADER_BYTES + 8 + 16 + 8
const TAIL = SIGNATURE_BYTES + CHECKSUM_BYTES
const { contents } = insidesOf(owner, 'keyset')
const holder = cardHolderOf(owner, 'keyset', 'a test')
const fingerprint = lengthPrefixed(fingerprintBytes(keysOfCard(card)))

/** Signs an altered delegation as its owner, and corrects the checksum. */
function mended(given: Uint8Array): Uint8Array {
  const copy = new Uint8Array(given)
  if (copy.length < FACTS + TAIL) return copy
  const signed = copy.subarray(0, -TAIL)
  copy.set(holder.sign(concat(domain('sign/delegation'), fingerprint, signed)), signed.length)
  fillChecksum(copy)
  return copy
}

/** The delegation with this SEAL in it. */
function aroundSeal(sealed: Uint8Array): Uint8Array {
  const facts = {
    ...{ headerBytes: whole.subarray(0, HEADER_BYTES), version: contents.version, revision: contents.revision },
    ...{ until: until.getTime(), sealed, signature: new Uint8Array(SIGNATURE_BYTES) },
  }
  return mended(encode(layout, { ...facts, checksum: new Uint8Array(CHECKSUM_BYTES) }))
}
const sealKeys = (keys: Uint8Array): Bytes =>
  sealSecret(new Recipient(keysOfCard(fleet.card()).sharing), keys, {
    type: ObjectType.delegation,
    ownerId: whole.slice(32, 48),
    context: concat(fingerprint, whole.subarray(0, FACTS)),
  })
const keys = {
  ...{ encryption: contents.encryption, blockPair: contents.blockPair.publicHalves },
  ...{ retired: contents.additional!.retired, adopted: contents.adopted.map(({ id }) => id) },
}
const open = (given: Uint8Array) => openDelegation(given, fleet, { from: card })

export const fleetTargets: readonly Target[] = [
  {
    name: 'delegation',
    seeds: [whole],
    layouts: [layout as never],
    mend: mended,
    reads: [(given) => open(given).dispose()],
  },
  {
    name: 'delegation-of-an-older-version',
    seeds: [small],
    reads: [(given) => openDelegation(given, fleet, { from: first.card() }).dispose()],
  },
  {
    name: 'delegation-seal',
    seeds: [sealKeys(encode(delegatedKeys, keys))],
    layouts: [sealedTo as never],
    around: aroundSeal,
    reads: [(given) => open(given).dispose()],
  },
  {
    name: 'delegation-keys',
    seeds: [encode(delegatedKeys, keys), encode(delegatedKeys, { ...keys, retired: [], adopted: [] })],
    layouts: [delegatedKeys as never],
    around: (given) => aroundSeal(sealKeys(given)),
    reads: [
      (given) => {
        using delegation = open(given)
        delegation.isCurrent(old.envelope)
        delegation.isCurrent(now.envelope)
      },
    ],
  },
  {
    name: 'delegated-head',
    seeds: [old.envelope],
    reads: [(envelope) => opened.isCurrent(envelope), (envelope) => opened.rekey({ label: old.label, envelope })],
  },
]
