// Adds the vectors of the records of a keyset (SPEC §7) below to record.json, unless they are there already. generate.ts
// imports this file.
import { openWriter } from '../../src/index.ts'
import { type SecretKey, withBytes } from '../../src/core/secret.ts'
import { encodeKeyset } from '../../src/keyset/exports.ts'
import { concat, domain, u64 } from '../../src/core/bytes.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { encodeClose, encodeSealOff } from '../../src/state/marker.ts'
import { logIdOf, NO_HASH, NO_ID } from '../../src/state/record-layout.ts'
import { flipped, hex, patched, sample, withRandomness } from '../fixtures.ts'
import { append } from './append.ts'
import { signedBy, unreduced } from './make-by-hand.ts'
import { contents, master } from './generate-keyset.ts'
import { frozenContents, keysFor, logId, marked, recordVectors, resigned, sealed } from './make-record.ts'

const { additional, sourceSigning } = contents
if (additional === undefined) throw new Error('the planted keyset has all keys')
const signers = { source: sourceSigning, card: additional.cardSigning }
// None of the handles is disposed of: that would wipe the keys of `contents`.
const handleWith = (of: typeof contents) => unlocked(of, master.copy(), undefined)
const keys = keysFor(handleWith(contents))
const CONTENT = sample(100)
const wrong = { expect: 'authentication-failed' } as const
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const
const unknown = { expect: 'key-not-found' } as const

const { records, record } = recordVectors({ keyset: 'host' })

// ── records that open ────────────────────────────────────────────────────────────────────────────────────────────────
const random = sample(32, 51)
const id = withRandomness([random], () => keys.write!.createId(logId, sha256(CONTENT)))
const one = await sealed(keys, CONTENT, { id })
const two = await sealed(keys, new Uint8Array(0), { sequence: 2, previous: sha256(one) })
const three = await sealed(keys, CONTENT, { sequence: 3, previous: sha256(two) })
record('first', 'the start of a log; the random bytes of its id', one, 'start', { random: [hex(random)] })
record('second', 'no bytes at all, behind it', two, one, { content: '' })
record('unchecked', 'the second one, without a look at what comes before', two, null, { content: '' })
record('definition', 'the first one, by a definition', one, 'start', { keyset: 'source-definition' })

const lax = await frozenContents('no-minimum')
const alone = await sealed(keysFor(handleWith(lax)), CONTENT)
record('x25519', 'X25519 alone, where it may be', alone, 'start', { keyset: 'no-minimum' })
const weak = await sealed(keysFor(handleWith({ ...contents, encryption: 1 })), CONTENT)
record('weaker', 'X25519 alone, where both are due', weak, 'start', { expect: 'policy' })
const former = await sealed(keysFor(handleWith({ ...contents, blockPair: additional.retired[0]! })), CONTENT)
record('retired', 'to a retired pair', former, 'start')
record('retired-definition', 'the same, by a definition, which has no retired pairs', former, 'start', {
  keyset: 'source-definition',
  ...unknown,
})
const last = { sequence: 2 ** 53 - 1, number: 2 ** 53 - 1 }
record('highest', 'the highest sequence and number', await sealed(keys, CONTENT, last), null)
const copied = await sealed(keys, CONTENT, { epoch: 3, sequence: 1, number: 7 })
record('copied', 'the first copy in an epoch: six numbers were left out', copied, 'start')
const damage = { sequence: 2, previous: sha256(flipped(one, 300)), isAfterDamage: true }
const afterDamage = await sealed(keys, CONTENT, damage)
record('after-damage', 'flag 4: what lay before it was damaged', afterDamage, one)
const unreadable = await sealed(keys, CONTENT, { ...damage, previous: NO_HASH })
record('after-nothing', 'flag 4: what lay before it could not be read', unreadable, one)

// ── markers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
const entry = {
  count: 9,
  last: { number: 7, id: sample(16, 3) },
  leftOut: [
    { first: 2, last: 2 },
    { first: 5, last: 6 },
  ],
}
const closing = encodeClose({
  former: [
    { epoch: 0, ...entry },
    { epoch: 2, ...entry, last: { number: 0, id: NO_ID }, leftOut: [] },
  ],
  last: entry.last,
})
const sealing = encodeSealOff({ epoch: 3, sequence: 2 })
const place = { sequence: 2, previous: sha256(one) }
const close = marked(keys, 'close', closing, place)
const sealOff = marked(keys, 'seal-off', sealing, place)
const says = { content: hex(closing) }
const names = { content: hex(sealing) }
record('close', 'two former epochs, three numbers left out', close, one, says)
record(
  'close-first',
  'nothing was taken over',
  marked(keys, 'close', closing, { epoch: 3, sequence: 1, number: 7 }),
  'start',
  says,
)
record('close-definition', 'a close, by a definition', close, one, { keyset: 'source-definition', ...says })
record('seal-off', 'epoch 3 follows', sealOff, one, names)
record('seal-off-unchecked', 'the same, without a look at what comes before', sealOff, null, names)
record(
  'seal-off-content',
  'what it says is looked at by readers of logs alone',
  marked(keys, 'seal-off', sample(100), place),
  one,
)
record('marker-after-damage', 'a seal-off with flag 4', marked(keys, 'seal-off', sealing, damage), one, names)

// ── what comes before ────────────────────────────────────────────────────────────────────────────────────────────────
record('not-the-start', 'the second one at the start', two, 'start', wrong)
record('repeated', 'the first one behind itself', one, one, wrong)
record('gap', 'the third one behind the first', three, one, wrong)
record('start-number', 'number 2 at the start of epoch 0', await sealed(keys, CONTENT, { number: 2 }), 'start', wrong)
const startHash = await sealed(keys, CONTENT, { previous: sha256(two) })
record('start-previous', 'a hash at the start', startHash, 'start', wrong)
record('number-gap', 'a number is left out', await sealed(keys, CONTENT, { ...place, number: 3 }), one, wrong)
record(
  'number-repeated',
  'the number of the one before',
  await sealed(keys, CONTENT, { ...place, number: 1 }),
  one,
  wrong,
)
const counting = marked(keys, 'close', closing, { ...place, number: 2 })
record('close-number', 'the number of a close counts what was left out', counting, one, says)
record(
  'other-epoch',
  'of epoch 1 behind one of epoch 0',
  await sealed(keys, CONTENT, { ...place, epoch: 1 }),
  one,
  wrong,
)
const fork = await sealed(keys, sample(5))
record('fork', 'the second one behind another first one', two, fork, wrong)
const behind = await sealed(keys, CONTENT, { sequence: 3, number: 2, previous: sha256(sealOff) })
record('behind-seal-off', 'behind a seal-off', behind, sealOff, wrong)
record(
  'behind-close',
  'behind a close',
  await sealed(keys, CONTENT, { sequence: 3, number: 2, previous: sha256(close) }),
  close,
)
record('after-malformed', 'what comes before is cut', two, one.subarray(0, 100), malformed)
record('after-unsupported', 'what comes before is an invite', two, patched(one, 5, [6]), unsupported)

// ── who made it ──────────────────────────────────────────────────────────────────────────────────────────────────────
record('forged', 'signed by the card signing key', resigned(one, { source: signers.card }), 'start', wrong)
record('other-log', 'of another log', await sealed(keys, CONTENT, {}, logIdOf('other')), 'start', wrong)
record(
  'close-other-log',
  'a close of another log',
  marked(keys, 'close', closing, place, logIdOf('other')),
  null,
  wrong,
)
record(
  'seal-off-other-log',
  'a seal-off of another log',
  marked(keys, 'seal-off', sealing, place, logIdOf('other')),
  null,
  wrong,
)
const foreign = resigned(patched(one, 32, sample(16)), { source: signers.source })
record('owner', 'another owner id, signed rightly', foreign, 'start', unknown)
record('close-owner', 'a close with another owner id', resigned(patched(close, 32, sample(16)), signers), null, unknown)
const bySource = { source: signers.source, card: signers.source }
record('close-second-by-source', 'the source has signed twice', resigned(close, bySource), null, wrong)
record('seal-off-second-by-source', 'the source has signed twice', resigned(sealOff, bySource), null, wrong)
const byCard = { source: signers.card, card: signers.card }
record('seal-off-first-by-card', 'the card signing key has signed twice', resigned(sealOff, byCard), null, wrong)
record('close-one-signature', 'a long close without the second signature', close.subarray(0, -64), null, wrong)
record('seal-off-one-signature', 'a seal-off without the second signature', sealOff.subarray(0, -64), null, malformed)
const swapped = concat(sealOff.subarray(0, -128), sealOff.subarray(-64), sealOff.subarray(-128, -64))
record('seal-off-swapped', 'the two signatures in the other order', swapped, null, wrong)
record(
  'close-key-id',
  'a close that names a key pair',
  resigned(patched(close, 16, one.subarray(16, 32)), signers),
  null,
  wrong,
)

// ── the header and the fields ────────────────────────────────────────────────────────────────────────────────────────
const byHost = { source: signers.source }
/** Alters a record, and signs it again. */
const altered = (at: number, bytes: ArrayLike<number>) => resigned(patched(one, at, bytes), byHost)
const alteredOff = (at: number, bytes: ArrayLike<number>) => resigned(patched(sealOff, at, bytes), signers)
record('type', 'type 6', altered(5, [6]), null, unsupported)
record('version', 'version 2 of the format', altered(4, [2]), null, unsupported)
record('suite', 'suite 0x0401', altered(6, [4, 1]), null, unsupported)
record('suite-none', 'suite 0x0000 with content', altered(6, [0, 0]), null, unsupported)
record('suite-marker', 'suite 0x0102 in a seal-off', alteredOff(6, [1, 2]), null, unsupported)
record('suite-vault', 'the suite of a vault', altered(6, [2, 2]), null, wrong)
record('suite-vault-marker', 'the suite of a vault in a seal-off, signed twice', alteredOff(6, [2, 2]), null, wrong)
record('flag-missing', 'no flag 8, as in records of version 0.2', altered(15, [0]), null, unsupported)
record('flag-missing-close', 'a close without flag 8', resigned(patched(close, 15, [1]), signers), null, unsupported)
record('flags-both', 'flags 1 and 2', alteredOff(15, [11]), null, unsupported)
record('flag-unknown', 'flag 16', altered(15, [24]), null, unsupported)
record('flag-high', 'a flag of the highest byte', altered(12, [1]), null, unsupported)
record('flag-close', 'flag 1 in a record with content', altered(15, [9]), null, unsupported)
record('sequence-zero', 'sequence 0', altered(48, u64(0)), null, malformed)
record('sequence-huge', 'sequence 2⁵³', altered(48, [0, 32, 0, 0, 0, 0, 0, 0]), null, malformed)
record('number-zero', 'number 0', altered(56, u64(0)), null, malformed)
record('number-huge', 'number 2⁵³', altered(56, [0, 32, 0, 0, 0, 0, 0, 0]), null, malformed)
record(
  'seal-off-number-zero',
  'an empty epoch is sealed off',
  marked(keys, 'seal-off', sealing, { sequence: 1 }),
  'start',
  names,
)
record('key-id', 'a key id that nobody has', resigned(flipped(one, 20), byHost), 'start', unknown)

// ── one altered bit ──────────────────────────────────────────────────────────────────────────────────────────────────
for (const [name, at] of Object.entries({ epoch: 11, sequence: 54, number: 62, id: 64, previous: 80 })) {
  record(`altered-${name}`, 'one bit', flipped(one, at), null, wrong)
  record(`altered-close-${name}`, 'one bit', flipped(close, at), null, wrong)
}
record('altered-flag-4', 'flag 4 was set', patched(one, 15, [12]), null, wrong)
record('altered-close-flag', 'a close that became a seal-off', patched(close, 15, [10]), null, wrong)
const body = { epk: 112, ct_m: 144, n: 1712, c: 1744, ct: 1776, tag: one.length - 65 }
for (const [name, at] of Object.entries(body)) {
  record(`altered-${name}`, 'one bit', flipped(one, at), null, wrong)
  record(`altered-${name}-signed`, 'one bit, signed again', resigned(flipped(one, at), byHost), null, wrong)
}
record('low-order', 'the point 0 for epk, signed again', altered(112, new Uint8Array(32)), null, wrong)
record('altered-signature', 'one bit', flipped(one, one.length - 1), null, wrong)
record('altered-close-text', 'one bit', flipped(close, 112), null, wrong)
record('altered-close-first-signature', 'one bit', flipped(close, close.length - 65), null, wrong)
record('altered-close-second-signature', 'one bit', flipped(close, close.length - 1), null, wrong)

// ── cut short ────────────────────────────────────────────────────────────────────────────────────────────────────────
record('cut', 'a byte short of the shortest with suite 0x0102', one.subarray(0, 1855), null, malformed)
record('cut-x25519', 'a byte short of the shortest with suite 0x0101', alone.subarray(0, 287), null, {
  keyset: 'no-minimum',
  ...malformed,
})
record('cut-close', 'a byte short of two signatures', close.subarray(0, 239), null, malformed)
record('cut-header', '47 bytes', one.subarray(0, 47), null, malformed)
record('cut-by-one', 'the last byte is gone', one.subarray(0, -1), null, wrong)
record('long', 'a byte more', concat(one, new Uint8Array(1)), null, wrong)

// ── one check alone ──────────────────────────────────────────────────────────────────────────────────────────────────
const lowest = await sealed(keysFor(handleWith({ ...lax, encryption: 1 })), CONTENT)
record('suite-x25519', 'suite 0x0101, to a pair with a minimum of 0', lowest, 'start', { keyset: 'no-minimum' })
record('magic', 'kSTR', altered(0, [0x6b]), null, malformed)
const ahead = await sealed(keys, CONTENT, { epoch: 1, sequence: 2, number: 5 })
record('start-sequence', 'sequence 2 at the start of an epoch', ahead, 'start', wrong)
record(
  'start-epoch-1',
  'number 7 at the start of epoch 1',
  await sealed(keys, CONTENT, { epoch: 1, number: 7 }),
  'start',
)
const skipping = await sealed(keys, CONTENT, { sequence: 3, number: 2, previous: sha256(one) })
record('sequence-gap', 'a sequence is left out', skipping, one, wrong)
const odd = encodeClose({ former: [], last: { number: 0, id: NO_ID } }).subarray(0, 3)
record(
  'close-odd',
  'a close that says nothing: readers of one record do not look',
  marked(keys, 'close', odd, place),
  one,
  {
    content: hex(odd),
  },
)
record('close-empty', 'a close of no bytes', marked(keys, 'close', new Uint8Array(0), place), one, { content: '' })
const [formerPair] = additional.retired
const apart = {
  ...formerPair!,
  publicHalves: { ...formerPair!.publicHalves, mlKem1024: additional.sharing.publicHalves.mlKem1024 },
}
const toApart = await sealed(keysFor(writing({ ...contents, encryption: 1, blockPair: apart })), CONTENT)
/** A handle that writes, and compares no halves. */
function writing(of: typeof contents) {
  return openWriter(encodeKeyset(of, master, 'host'))
}
record('retired-apart', 'to a retired pair whose halves differ', toApart, 'start', {
  keyset: 'storage-retired-apart',
  ...wrong,
})
record('order-owner-key-id', 'another owner id and another key id', flipped(flipped(one, 16), 40), null, unknown)
record('order-fields-owner', 'sequence 0, of another owner', flipped(patched(one, 48, u64(0)), 40), null, malformed)
record('order-signature-key-id', 'another key id, not signed', flipped(one, 20), null, wrong)
record(
  'order-signature-place',
  'one bit of the signature, and behind another one',
  flipped(two, two.length - 1),
  three,
  wrong,
)
record(
  'order-place-key-id',
  'a key id that nobody has, behind another one',
  resigned(flipped(two, 20), byHost),
  two,
  wrong,
)
record('order-place-policy', 'X25519 alone, behind itself', weak, weak, wrong)

// Names of logs. Nothing of the record is looked at before.
for (const [name, comment, of, expect] of [
  ['log-255', 'a name of 255 bytes', 'x'.repeat(255), 'ok'],
  ['log-256', 'a name of 256 bytes', 'x'.repeat(256), 'invalid-text'],
  ['log-empty', 'no name', '', 'invalid-text'],
  ['log-control', 'a name with a line end', 'a\nb', 'invalid-text'],
] as const) {
  const named = await sealed(keys, CONTENT, {}, expect === 'ok' ? logIdOf(of) : logId)
  record(name, comment, named, 'start', { log: of, expect })
}

// Signatures with s + L for the scalar s.
const again = (bytes: Uint8Array, from: number) => {
  const until = from + 64 < 0 ? from + 64 : bytes.length
  return concat(bytes.subarray(0, from), unreduced(bytes.subarray(from, until)), bytes.subarray(until))
}
record('unreduced', 's + L for the scalar s', again(one, -64), 'start', wrong)
record('unreduced-close', 's + L for the scalar s of the last signature', again(close, -64), one, wrong)
const closeBySource = again(close, -128)
const bySecond = concat(
  closeBySource.subarray(0, -64),
  signedBy(seedBytes(signers.card.seed), domain('sign/record-owner'), logId, closeBySource.subarray(0, -64)),
)
record('unreduced-close-first', 's + L for the scalar s of the first signature', bySecond, one, wrong)
function seedBytes(seed: SecretKey<'signing'>): Uint8Array {
  return withBytes(seed, (bytes) => new Uint8Array(bytes))
}

append('record.json', records)
