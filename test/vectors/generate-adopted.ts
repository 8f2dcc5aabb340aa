// Adds the vectors of blocks and records of adopted sources (SPEC §9.4, §10.4, §7) to their files, unless they are there
// already. generate.ts imports this file.
import { type StoredBlock } from '../../src/core/block.ts'
import { concat } from '../../src/core/bytes.ts'
import { type KeyPair, signingPairOf } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { Suite } from '../../src/core/suite.ts'
import { Mode } from '../../src/keyset/mask.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { parseBlock } from '../../src/index.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { encodeSealOff } from '../../src/state/marker.ts'
import type { RecordKeys } from '../../src/state/record.ts'
import { flipped, hex, patched, sample } from '../fixtures.ts'
import { keysFor, marked, recordVectors, resigned, sealed } from './make-record.ts'
import { append } from './append.ts'
import { full, master, unencryptedAdopter } from './generate-keyset.ts'
import { blockFields, type Made, make } from './make-block.ts'
import { type BlockVector } from './vectors.ts'

const [source] = full.adopted
const additional = full.additional
const former = additional?.retired[0]
if (source === undefined || additional === undefined || former === undefined)
  throw new Error('the planted keyset has adopted a source')
const refused = { expect: 'authentication-failed' } as const
const policy = { expect: 'policy' } as const

/** What the adopted source sealed: its id and secrets, to a key pair that the adopter has retired, or to the current one. */
const sourceWith = (blockPair: KeyPair) => ({ ...source, blockPair })
const before = sourceWith(former)
const now = sourceWith(full.blockPair)
// Not disposed of: it would wipe the keys of `full`.
const adopter = unlocked(full, master.copy(), undefined)
const stored = ({ label, envelope, ciphertext }: Made): StoredBlock =>
  parseBlock(concat(envelope, ciphertext), hex(label))
/** The block after its adopter has rekeyed it. */
const rekeyed = (made: Made): Made => ({ ...made, envelope: adopter.rekey(stored(made)) })

const blocks: BlockVector[] = []
function block(id: string, comment: string, made: Made, more: Partial<BlockVector> = {}): void {
  const place = { id: `adopted-${id}`, section: '10.4', comment, keyset: 'host-full' }
  blocks.push({ ...place, ...blockFields(made), expect: 'ok', ...more })
}
for (const [name, mode] of [
  ['scoped', Mode.scoped],
  ['global', Mode.global],
  ['off', Mode.off],
] as const) {
  const made = await make(mode, sample(100), { of: before })
  block(name, 'of an adopted source, to its key pair, which is retired', made)
  block(`${name}-x25519`, 'the same in X25519', await make(mode, sample(100), { of: before, suite: Suite.x25519 }))
  const again = rekeyed(made)
  block(`${name}-rekeyed`, 'rekeyed by the adopter, with the same owner id', again)
  block(`${name}-rekeyed-storage`, 'the same, by the storage export', again, { keyset: 'storage-full' })
  block(`${name}-rekeyed-definition`, 'the same, by a definition', again, { keyset: 'definition-full' })
}
const good = await make(Mode.scoped, sample(100), { of: before })
block('definition', 'to a retired pair, by a definition, which has none', good, {
  keyset: 'definition-full',
  expect: 'key-not-found',
})
block('stranger', 'of the same source, by a keyset that has not adopted it', good, { keyset: 'host', ...refused })
block(
  'owner',
  'of a source that nobody adopted',
  await make(Mode.scoped, sample(100), {
    of: before,
    ownerId: sample(16, 9),
  }),
  refused,
)
block(
  'weaker',
  'X25519 alone under the current pair, where both are due',
  await make(Mode.scoped, sample(100), {
    of: now,
    suite: Suite.x25519,
  }),
  policy,
)
const own = { ...full, id: source.id }
for (const [name, mode] of [
  ['scoped', Mode.scoped],
  ['global', Mode.global],
  ['off', Mode.off],
] as const) {
  const made = await make(mode, sample(100), { of: own })
  block(`${name}-own-secrets`, 'with the label that the adopter’s own secrets give', made, refused)
  const reverse = await make(mode, sample(100), { of: { ...now, id: full.id } })
  block(`${name}-as-own`, 'under the adopter’s id, with the label of the adopted source', reverse, refused)
}
const salted = { ...now, dedupKey: full.dedupKey }
block(
  'dedup-key',
  'the block salt of the source, the dedup key of the adopter',
  await make(Mode.scoped, sample(100), {
    of: salted,
  }),
  refused,
)
block(
  'owner-altered',
  'the owner id rewritten to the adopter’s',
  {
    ...good,
    envelope: concat(good.envelope.subarray(0, 32), full.id, good.envelope.subarray(48)),
  },
  refused,
)
block('text', 'one bit of ct', { ...good, ciphertext: flipped(good.ciphertext, 50) }, refused)

const plainBefore = await make(Mode.none, sample(100), { of: before })
const plain = await make(Mode.none, sample(100), { of: { ...source, blockPair: unencryptedAdopter.blockPair } })
block('none', 'not encrypted, under a pair that demands X25519', plainBefore, policy)
block('none-no-minimum', 'not encrypted, under a pair that demands nothing: only an adopted source does', plain, {
  keyset: 'no-minimum-adopter',
  ...policy,
})
block('none-accepted', 'the same, where the caller accepts unencrypted blocks', plain, {
  keyset: 'no-minimum-adopter',
  acceptsWeaker: true,
})
block('none-accepted-pair', 'not encrypted, under a pair that demands X25519, accepted', plainBefore, {
  acceptsWeaker: true,
})
block(
  'none-accepted-altered',
  'accepted, and one bit altered',
  { ...plain, ciphertext: flipped(plain.ciphertext, 7) },
  {
    keyset: 'no-minimum-adopter',
    acceptsWeaker: true,
    ...refused,
  },
)
const forgotten = { ...plain, envelope: flipped(plain.envelope, 16) }
block('none-forgotten', 'not encrypted, under a key pair that nobody has', forgotten, {
  keyset: 'no-minimum-adopter',
  ...policy,
})
block(
  'none-own',
  'not encrypted, of the adopter itself: its pair demands nothing',
  await make(Mode.none, sample(100), {
    of: unencryptedAdopter,
  }),
  { keyset: 'no-minimum-adopter' },
)
append('block.json', blocks)

// The records of the adopted source. The seed of its source signing key is in no export.
const signing = signingPairOf(new SecretKey('signing', new Uint8Array(32).fill(0xaf)))
const { keys: ofSource, ...secrets } = source
if (ofSource === undefined) throw new Error('the planted source has all keys')
const { sharing, cardSigning } = ofSource
/** The keyset that was adopted, with one of the adopter's pairs as its block pair. */
export const adopted: KeysetContents = {
  ...{ ...full, ...secrets, blockPair: former, sourceSigning: signing, adopted: [] },
  cardSigningKey: cardSigning.publicKey,
  additional: { ...additional, sharing, cardSigning, retired: [] },
}
const recordsOf = (of: KeysetContents) => keysFor(unlocked(of, master.copy(), undefined))
const [theirs, current, ours] = [adopted, { ...adopted, blockPair: full.blockPair }, full].map(recordsOf) as [
  RecordKeys,
  RecordKeys,
  RecordKeys,
]
const one = await sealed(theirs, sample(100))
const two = await sealed(theirs, new Uint8Array(0), { sequence: 2, previous: sha256(one) })
const under = await sealed(current, sample(100))
const sealing = encodeSealOff({ epoch: 1, sequence: 2 })
const sealOff = marked(theirs, 'seal-off', sealing, { previous: sha256(one) })
const ownRecord = await sealed(ours, sample(100))
const unknown = { expect: 'key-not-found' } as const

const { records, record } = recordVectors({ keyset: 'host-full' }, 'adopted-')
record('first', 'the start of the log of an adopted source', one, 'start')
record('second', 'behind it', two, one, { content: '' })
record('seal-off', 'a seal-off that the source has signed twice', sealOff, one, { content: hex(sealing) })
record('storage', 'the first one, by the storage export', one, 'start', { keyset: 'storage-full' })
record('current', 'under the current pair', under, 'start')
record('stranger', 'by a keyset that has not adopted the source', one, 'start', { keyset: 'host', ...unknown })
record('definition', 'by a definition, which has no source signing key of it', one, 'start', {
  keyset: 'definition-full',
  ...policy,
})
record('definition-seal-off', 'by a definition, which has no card signing key of it', sealOff, one, {
  keyset: 'definition-full',
  ...policy,
})
const byAdopter = { source: full.sourceSigning, card: additional.cardSigning }
const { source: bySource, card: byCard } = { source: signing, card: cardSigning }
record(
  'forged',
  'signed by the adopter’s source signing key',
  resigned(one, { source: byAdopter.source }),
  'start',
  refused,
)
record(
  'forged-own',
  'the adopter’s own, signed by the key of the adopted source',
  resigned(ownRecord, { source: bySource }),
  'start',
  refused,
)
record('forged-seal-off', 'signed by the adopter’s keys', resigned(sealOff, byAdopter), one, refused)
const mixed = resigned(sealOff, { source: bySource, card: byAdopter.card })
record('mixed-seal-off', 'the second signature is the adopter’s', mixed, one, refused)
const ownSealOff = marked(ours, 'seal-off', sealing, { previous: sha256(one) })
record('own-seal-off', 'the adopter’s seal-off, without a look at what comes before', ownSealOff, null, {
  content: hex(sealing),
})
record(
  'own-seal-off-behind',
  'the adopter’s seal-off behind a record of the source: only in a store it may stand there',
  ownSealOff,
  one,
  refused,
)
const forgedOff = resigned(ownSealOff, { source: byAdopter.source, card: byCard })
record('forged-own-seal-off', 'the second signature is that of the adopted source', forgedOff, null, refused)
record('after-own', 'behind a record of the adopter', two, ownRecord, refused)
const following = await sealed(ours, sample(100), { sequence: 2, previous: sha256(ownRecord) })
record(
  'owner-altered',
  'the owner id rewritten to the adopted source’s',
  patched(following, 32, source.id),
  ownRecord,
  refused,
)
append('record.json', records)
