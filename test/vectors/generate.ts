// Adds the vectors of blocks and packs below to their files, unless they are there already. It runs the generators of
// keysets, of their records, and of what belongs to adopted sources first.
// Run `npm run vectors`.
import { createHash } from 'node:crypto'
import { Recipient } from '../../src/core/key-pairs.ts'
import { Suite } from '../../src/core/suite.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { ContentScheme } from '../../src/keyset/dedup.ts'
import { encodePack, packFiles } from '../../src/core/pack.ts'
import { encryptContent, prepareContent } from '../../src/keyset/seal.ts'
import { concat, toBase64Url } from '../../src/core/bytes.ts'
import { hmacSha256 } from '../../src/primitives/hash.ts'
import { derive } from '../../src/primitives/kdf.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { flipped, hex, patched, sample } from '../fixtures.ts'
import { append } from './append.ts'
import { D } from '../spec-reader.ts'
import { gcm } from './make-by-hand.ts'
import { contents, full, unencrypted } from './generate-keyset.ts'
import './generate-record.ts'
import './generate-adopted.ts'
import './generate-hedge.ts'
import './generate-ref.ts'
import { blockFields, type Made, make } from './make-block.ts'
import { type BlockVector, type PackVector } from './vectors.ts'

const blocks: BlockVector[] = []
function block(id: string, section: string, comment: string, made: Made, more: Partial<BlockVector> = {}): void {
  blocks.push({ id, section, comment, keyset: 'host', ...blockFields(made), expect: 'ok', ...more })
}

const { additional } = contents
if (additional === undefined) throw new Error('the planted keyset has all keys')
const names = { [Mode.scoped]: 'scoped', [Mode.global]: 'global', [Mode.off]: 'off', [Mode.none]: 'none' }
for (const mode of [Mode.scoped, Mode.global, Mode.off] as const) {
  block(`hybrid-${names[mode]}`, '10.2', '100 bytes', await make(mode, sample(100)))
  block(`hybrid-${names[mode]}-empty`, '10.2', 'no bytes at all', await make(mode, new Uint8Array(0)))
  const lax = await make(mode, sample(100), { of: unencrypted, suite: Suite.x25519 })
  block(`x25519-${names[mode]}`, '10.1', 'X25519 alone, where it may be', lax, { keyset: 'no-minimum' })
}
block('none', '10.1', 'not encrypted, where it may be', await make(Mode.none, sample(100), { of: unencrypted }), {
  keyset: 'no-minimum',
})
block(
  'retired',
  '10.4',
  'addressed to a retired pair',
  await make(Mode.scoped, sample(100), { pair: additional.retired[0]! }),
)
block(
  'retired-definition',
  '10.4',
  'the same, for a definition, which has no retired pairs',
  await make(Mode.scoped, sample(100), { pair: additional.retired[0]! }),
  { keyset: 'source-definition', expect: 'key-not-found' },
)

const good = await make(Mode.scoped, sample(100))
const with_ = (change: Partial<Made>, expect: BlockVector['expect']) => [{ ...good, ...change }, { expect }] as const
const envelopeOf = (offset: number, patch: ArrayLike<number>) => ({ envelope: patched(good.envelope, offset, patch) })
const flippedAt = (offset: number, bit = 0) => ({ envelope: flipped(good.envelope, offset, bit) })
block('label', '10.4', 'the label of another block', ...with_({ label: sample(32) }, 'authentication-failed'))
block('label-upper-case', '10.4', 'the label in capitals', good, {
  label: hex(good.label).toUpperCase(),
  expect: 'malformed',
})
block('label-short', '10.4', 'a label of 62 digits', good, { label: hex(good.label).slice(2), expect: 'malformed' })
block('envelope-version', '2', 'version 2 of the format', ...with_(envelopeOf(4, [2]), 'unsupported'))
block('envelope-type', '2', 'type 5', ...with_(envelopeOf(5, [5]), 'unsupported'))
block('envelope-flag', '2', 'an unknown flag', ...with_(envelopeOf(15, [1]), 'unsupported'))
block('envelope-suite', '2', 'suite 0x0201', ...with_(envelopeOf(6, [2, 1]), 'unsupported'))
block(
  'envelope-downgraded',
  '10.4',
  'the suite rewritten to X25519, the ML-KEM part taken out',
  ...with_(
    { envelope: concat(patched(good.envelope, 6, [1, 1]).subarray(0, 80), good.envelope.subarray(1648)) },
    'policy',
  ),
)
block('envelope-key-id', '10.4', 'a key id that nobody has', ...with_(flippedAt(16), 'key-not-found'))
block('envelope-owner-id', '10.4', 'another owner id', ...with_(flippedAt(32), 'authentication-failed'))
block('envelope-ephemeral', '3.2', 'one bit of epk', ...with_(flippedAt(50), 'authentication-failed'))
block(
  'envelope-ephemeral-alias',
  '3.2',
  'bit 255 of epk, which X25519 ignores',
  ...with_(flippedAt(79, 7), 'authentication-failed'),
)
block(
  'envelope-ephemeral-low-order',
  '1.5',
  'the point 0 for epk',
  ...with_(envelopeOf(48, new Uint8Array(32)), 'authentication-failed'),
)
block('envelope-encapsulated', '3.2', 'one bit of ct_m', ...with_(flippedAt(900), 'authentication-failed'))
block('envelope-mode-unknown', '10.1', 'mode 5', ...with_(envelopeOf(1648, [5]), 'unsupported'))
block('envelope-mode-none', '10.1', 'mode 4 in an encrypting suite', ...with_(envelopeOf(1648, [4]), 'unsupported'))
block('envelope-mode-other', '10.1', 'mode 3 for mode 1', ...with_(envelopeOf(1648, [3]), 'authentication-failed'))
block('envelope-mask', '10.1', 'one bit of the mask', ...with_(flippedAt(1650), 'authentication-failed'))
block('envelope-tag', '10.1', 'one bit of the tag', ...with_(flippedAt(1712), 'authentication-failed'))
block(
  'envelope-foreign-owner',
  '10.4',
  'made with the public halves, for another owner',
  await make(Mode.scoped, sample(100), { ownerId: sample(16) }),
  { expect: 'authentication-failed' },
)
block(
  'ciphertext-commitment',
  '10.2',
  'one bit of c',
  ...with_({ ciphertext: flipped(good.ciphertext, 0) }, 'authentication-failed'),
)
block(
  'ciphertext-text',
  '10.2',
  'one bit of ct',
  ...with_({ ciphertext: flipped(good.ciphertext, 50) }, 'authentication-failed'),
)
block(
  'ciphertext-tag',
  '10.2',
  'one bit of the GCM tag',
  ...with_({ ciphertext: flipped(good.ciphertext, good.ciphertext.length - 1) }, 'authentication-failed'),
)
block(
  'ciphertext-cut',
  '10.2',
  'a byte short',
  ...with_({ ciphertext: good.ciphertext.subarray(0, -1) }, 'authentication-failed'),
)
block(
  'ciphertext-extended',
  '10.2',
  'a byte long',
  ...with_({ ciphertext: concat(good.ciphertext, new Uint8Array(1)) }, 'authentication-failed'),
)
block(
  'ciphertext-too-short',
  '10.4',
  '47 bytes, which cannot hold c and tag',
  ...with_({ ciphertext: good.ciphertext.subarray(0, 47) }, 'malformed'),
)
block('ciphertext-none', '10.4', 'no ciphertext', ...with_({ ciphertext: new Uint8Array(0) }, 'malformed'))
block(
  'envelope-cut',
  '10.1',
  'the envelope a byte short, and nothing behind',
  ...with_({ envelope: good.envelope.subarray(0, -1), ciphertext: new Uint8Array(0) }, 'malformed'),
)
block(
  'weaker',
  '10.4',
  'X25519 alone, where both are due',
  await make(Mode.scoped, sample(100), { suite: Suite.x25519 }),
  {
    expect: 'policy',
  },
)
block('weaker-none', '10.4', 'not encrypted, where both are due', await make(Mode.none, sample(100)), {
  expect: 'policy',
})
const plain = await make(Mode.none, sample(100), { of: unencrypted })
block(
  'none-altered',
  '10.4',
  'one bit of unencrypted content',
  { ...plain, ciphertext: flipped(plain.ciphertext, 7) },
  { keyset: 'no-minimum', expect: 'authentication-failed' },
)
block(
  'none-forgotten',
  '10.4',
  'unencrypted, under a key pair that nobody has: today’s decides',
  { ...plain, envelope: flipped(plain.envelope, 16) },
  { keyset: 'no-minimum' },
)
block(
  'none-forgotten-policy',
  '10.4',
  'the same, where today’s key pair demands more',
  { ...plain, envelope: patched(flipped(plain.envelope, 16), 32, contents.id) },
  { expect: 'policy' },
)
// Content planted by someone who knows the block key of another content: only the check of the label can reject it.
const victim = await prepareContent(sample(100), new ContentScheme(Mode.scoped, contents))
const poison = { ...victim, buffer: concat(new Uint8Array(32), sample(90, 5), new Uint8Array(16)) }
await encryptContent(poison)
const poisoned = { mode: Mode.scoped, suite: Suite.hybrid, ownerId: contents.id, label: victim.label } as const
const planted = maskKey(victim.blockKey!, new Recipient(contents.blockPair.publicHalves), poisoned)
block(
  'planted',
  '10.4',
  'other content under the label and the block key of this one',
  { label: victim.label, envelope: planted, ciphertext: poison.buffer, content: sample(90, 5) },
  { expect: 'authentication-failed' },
)

// The form of an envelope, and what a caller accepts.
block('envelope-magic', '2', 'kSTR', ...with_(envelopeOf(0, [0x6b]), 'malformed'))
const onlyHeader = { envelope: good.envelope.subarray(0, 48), ciphertext: new Uint8Array(0) }
block('header-alone', '10.1', 'a header', ...with_(onlyHeader, 'malformed'))
const cutHeader = { envelope: patched(good.envelope, 5, [5]).subarray(0, 47), ciphertext: new Uint8Array(0) }
block('header-cut', '2', '47 bytes, of type 5', ...with_(cutHeader, 'malformed'))
block('envelope-mode-0', '10.1', 'mode 0', ...with_(envelopeOf(1648, [0]), 'unsupported'))
block(
  'plain-mode-1',
  '10.1',
  'mode 1 where nothing is encrypted',
  { ...plain, envelope: patched(plain.envelope, 48, [1]) },
  {
    ...{ keyset: 'no-minimum', expect: 'unsupported' },
  },
)
block(
  'plain-cut',
  '10.1',
  'no mode',
  { ...plain, envelope: plain.envelope.subarray(0, 48), ciphertext: new Uint8Array(0) },
  {
    ...{ keyset: 'no-minimum', expect: 'malformed' },
  },
)
block(
  'order-key-id-owner',
  '10.4',
  'another key id and another owner id',
  ...with_({ envelope: flipped(flipped(good.envelope, 16), 32) }, 'key-not-found'),
)
block(
  'order-owner-policy',
  '10.4',
  'X25519 alone, for another owner',
  await make(Mode.scoped, sample(100), { suite: Suite.x25519, ownerId: sample(16) }),
  {
    expect: 'authentication-failed',
  },
)
const weakTag = await make(Mode.scoped, sample(100), { suite: Suite.x25519 })
block(
  'order-policy-tag',
  '10.4',
  'X25519 alone, with another tag',
  { ...weakTag, envelope: flipped(weakTag.envelope, 144) },
  {
    expect: 'policy',
  },
)
block(
  'order-tag-short',
  '10.4',
  'another tag, and 47 bytes of ciphertext',
  ...with_({ ...flippedAt(1712), ciphertext: good.ciphertext.subarray(0, 47) }, 'authentication-failed'),
)
block(
  'order-key-short',
  '10.4',
  'another key id, and 47 bytes of ciphertext',
  ...with_({ ...flippedAt(16), ciphertext: good.ciphertext.subarray(0, 47) }, 'key-not-found'),
)
block('accepted-none', '10.4', 'not encrypted, where the caller accepts it', await make(Mode.none, sample(100)), {
  acceptsWeaker: true,
})
block('accepted-x25519', '10.4', 'X25519 alone, where the caller accepts it', weakTag, { acceptsWeaker: 'x25519' })
block(
  'accepted-x25519-none',
  '10.4',
  'not encrypted, where the caller accepts X25519 alone',
  await make(Mode.none, sample(100)),
  {
    ...{ acceptsWeaker: 'x25519', expect: 'policy' },
  },
)
block(
  'accepted-owner',
  '10.4',
  'not encrypted, for another owner: that is never accepted',
  await make(Mode.none, sample(100), { ownerId: sample(16) }),
  {
    ...{ acceptsWeaker: true, expect: 'authentication-failed' },
  },
)

/** Makes a block of mode 2 under any key by hand: the envelope and the label are right. */
async function globalUnder(blockKey: Uint8Array): Promise<Made> {
  const made = await make(Mode.global, sample(100))
  const place = { mode: Mode.global, suite: Suite.hybrid, ownerId: contents.id, label: made.label } as const
  const key = new SecretKey('block', new Uint8Array(blockKey))
  const envelope = maskKey(key, new Recipient(contents.blockPair.publicHalves), place)
  const ciphertext = gcm(blockKey, new Uint8Array(12), sample(100), D('global-block'))
  return { ...made, envelope, ciphertext }
}
const hashKey = createHash('sha3-256').update(sample(100)).digest()
block('global-by-hand', '10.2', 'mode 2, made piece by piece', await globalUnder(hashKey))
block(
  'global-other-key',
  '10.4',
  'mode 2 under another key than the hash of its content',
  await globalUnder(sample(32, 7)),
  {
    expect: 'authentication-failed',
  },
)

// A retired pair whose halves differ: storage-retired-apart.
const [retiredPair] = additional.retired
const apart = {
  ...retiredPair!,
  publicHalves: { ...retiredPair!.publicHalves, mlKem1024: additional.sharing.publicHalves.mlKem1024 },
}
const place = { keyset: 'storage-retired-apart', expect: 'authentication-failed' } as const
block(
  'retired-apart',
  '9.3',
  'to a retired pair whose halves differ',
  await make(Mode.scoped, sample(100), { pair: apart, suite: Suite.x25519 }),
  place,
)
const noneApart = await make(Mode.none, sample(100), { pair: apart })
block(
  'order-none-apart-minimum',
  '10.4',
  'not encrypted, where both are due, under a retired pair whose halves differ',
  noneApart,
  place,
)
block('none-apart-accepted', '10.4', 'the same, where the caller accepts it', noneApart, {
  ...place,
  acceptsWeaker: true,
})
block('beside-apart', '9.3', 'to the block pair, beside that pair', await make(Mode.scoped, sample(100)), {
  keyset: 'storage-retired-apart',
})
block(
  'order-apart-owner',
  '10.4',
  'to that pair, for another owner',
  await make(Mode.none, sample(100), { pair: apart, ownerId: sample(16) }),
  place,
)

// Ids that are twice in a list: the keyset's own takes precedence, then the first entry.
const [listed] = full.adopted
const twice = { keyset: 'storage-ids-twice' }
block(
  'twice-first',
  '9.3',
  'of an adopted source that is there twice',
  await make(Mode.scoped, sample(100), { of: { ...listed!, blockPair: full.blockPair } }),
  twice,
)
const secondSalt = { ...listed!, blockSalt: new SecretKey('block-salt', sample(32, 41)), blockPair: full.blockPair }
block(
  'twice-second',
  '9.3',
  'the same with the block salt of the second entry',
  await make(Mode.scoped, sample(100), { of: secondSalt }),
  {
    ...{ ...twice, expect: 'authentication-failed' },
  },
)
block(
  'twice-own',
  '9.3',
  'of the keyset itself, whose id is among the adopted ones',
  await make(Mode.scoped, sample(100), { of: full }),
  twice,
)

const packs: PackVector[] = []
const packed = {
  g: await packFiles([sample(100), new Uint8Array(0), sample(32, 2)], undefined),
  k: await packFiles([sample(100), new Uint8Array(0), sample(32, 2)], contents.dedupKey),
}
function pack(id: string, comment: string, bytes: Uint8Array, member: string, more: Partial<PackVector> = {}): void {
  packs.push({ id, section: '10.6', comment, pack: hex(bytes), member, file: '', expect: 'ok', ...more })
}
const refused = { expect: 'authentication-failed' } as const
for (const form of ['g', 'k'] as const) {
  const { content, members } = packed[form]
  const [first, empty, last] = members as [string, string, string]
  pack(`${form}-first`, '100 bytes', content, first, { file: hex(sample(100)) })
  pack(`${form}-empty`, 'no bytes at all', content, empty)
  pack(`${form}-last`, 'a multiple of a block', content, last, { file: hex(sample(32, 2)) })
  pack(`${form}-altered`, 'one bit of a member', flipped(content, 40), first, refused)
  pack(`${form}-other-altered`, 'one bit of another member', flipped(content, 40), last, { file: hex(sample(32, 2)) })
  pack(`${form}-index`, 'the index of another member', content, last.replace('.2.', '.0.'), refused)
  pack(`${form}-no-index`, 'an index that is not there', content, last.replace('.2.', '.3.'), refused)
  pack(`${form}-form`, 'the other form', content, `${form === 'g' ? 'k' : 'g'}${first.slice(1)}`, refused)
}
const { content: whole, members: opening } = packed.k
pack('cut', 'a byte short', whole.subarray(0, -1), opening[0]!, { expect: 'malformed' })
pack('long', 'a byte long', concat(whole, new Uint8Array(1)), opening[0]!, { expect: 'malformed' })
pack('count-short', 'three bytes', whole.subarray(0, 3), opening[0]!, { expect: 'malformed' })
pack('count', '1,025 members', patched(whole, 0, [0, 0, 4, 1]), opening[0]!, { expect: 'limit-exceeded' })
pack('length', 'a length one more', patched(whole, 7, [whole[7]! + 1]), opening[0]!, { expect: 'malformed' })
pack('member-form', 'a form that is none', whole, `x${opening[0]!.slice(1)}`, { expect: 'malformed' })
pack('member-zero', 'an index with a leading zero', whole, opening[0]!.replace('.0.', '.00.'), { expect: 'malformed' })
pack('member-short', 'a key of 31 bytes', whole, opening[0]!.slice(0, -1), { expect: 'malformed' })
// A CBC ciphertext of two blocks with invalid padding, under a valid MAC.
const unpadded = new SecretKey('member', sample(32, 5))
const badly = sample(32, 6)
pack('g-padding', 'no padding', encodePack([badly]), `g.0.${withBytes(unpadded, toBase64Url)}`, refused)
const macKey = new SecretKey('mac', derive(unpadded, new Uint8Array(0), 'member', [], 64).subarray(32))
pack(
  'k-padding',
  'no padding, under a right MAC',
  encodePack([concat(hmacSha256(macKey, badly), badly)]),
  `k.0.${withBytes(unpadded, toBase64Url)}`,
  refused,
)

pack(
  'member-bits',
  'unused bits in the last character of the key',
  whole,
  opening[0]!.slice(0, -1) + nextLetter(opening[0]!.at(-1)!),
  {
    expect: 'malformed',
  },
)
/** The letter after one: those of 32 bytes end with two bits that are not used. */
function nextLetter(letter: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(letter) + 1]!
}
pack('member-empty', 'no string', whole, '', { expect: 'malformed' })
pack('member-five', 'an index of five digits', whole, opening[0]!.replace('.0.', '.10000.'), { expect: 'malformed' })
pack('no-members', 'no members', encodePack([]), opening[0]!, refused)
pack('no-bytes', 'no bytes', new Uint8Array(0), opening[0]!, { expect: 'malformed' })
const thousand = encodePack(Array.from({ length: 1024 }, () => new Uint8Array(0)))
pack('count-1024', '1,024 members', thousand, opening[0]!.replace('.0.', '.1023.'), refused)
pack('lengths-cut', 'a count of members, and no lengths', Uint8Array.of(0, 0, 0, 1), opening[0]!, {
  expect: 'malformed',
})
pack('order-string-pack', 'a form that is none, and no pack', new Uint8Array(3), 'x.0.', { expect: 'malformed' })
pack('order-count-cut', '1,025 members, and nothing else', Uint8Array.of(0, 0, 4, 1), opening[0]!, {
  expect: 'limit-exceeded',
})
pack(
  'order-lengths-index',
  'lengths that do not add up, and an index that is not there',
  patched(whole, 7, [whole[7]! + 1]),
  opening[0]!.replace('.0.', '.9.'),
  {
    expect: 'malformed',
  },
)
for (const [id, comment, member] of [
  ['nothing', 'a member of no bytes', new Uint8Array(0)],
  ['mac-alone', 'a MAC, and nothing behind it', hmacSha256(macKey, new Uint8Array(0))],
  ['odd', '33 bytes', concat(hmacSha256(macKey, Uint8Array.of(1)), Uint8Array.of(1))],
] as const) {
  pack(`k-${id}`, comment, encodePack([new Uint8Array(member)]), `k.0.${withBytes(unpadded, toBase64Url)}`, refused)
  pack(`g-${id}`, comment, encodePack([new Uint8Array(member)]), `g.0.${withBytes(unpadded, toBase64Url)}`, refused)
}

append('pack.json', packs)
append('block.json', blocks)
