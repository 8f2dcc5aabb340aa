// Adds the vectors of recovery keys, codes, parts and text forms below to their files, unless they are there already.
// Run `npm run vectors`.
import { allocate, concat, domain, u64 } from '../../src/core/bytes.ts'
import { CODE_ALPHABET, codeCheck, fromLetters, inGroups, toLetters } from '../../src/core/code.ts'
import { encode } from '../../src/core/codec.ts'
import { recoveryPublicKeys } from '../../src/core/recovery-holder.ts'
import { armor } from '../../src/recovery.ts'
import { PART_CHARACTERS } from '../../src/recovery/split.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { flipped, hex, patched, sample, unhex } from '../fixtures.ts'
import { inverse, splitCode, times } from '../spec-reader-recovery.ts'
import { append } from './append.ts'
import { record } from './make-profile.ts'
import { codeOf, holderOf } from './make-slots.ts'
import {
  type ArmorVector,
  cardVectors,
  type CodeVector,
  keysetVectors,
  type PartsVector,
  type RecoveryKeyVector,
} from './vectors.ts'

const invalid = { expect: 'invalid-text' } as const

const CODE = codeOf('0123456789ABCDEFGHJKMNPQRS')
const OTHER = codeOf('ZYXWVTSRQPNMKJHGFEDCBA9876')
const ZEROS = codeOf('0'.repeat(26))
const LAST = codeOf('Z'.repeat(26))
const ACTIVATION = codeOf(CODE.slice(0, 26), 'activation-code')

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
const keys: RecoveryKeyVector[] = []
const NO_KEYS = { keys: '', ...invalid }
async function key(id: string, comment: string, secret: string | number, more: Partial<RecoveryKeyVector> = {}) {
  const { keys: derived } = await holderOf(secret)
  const source = typeof secret === 'string' ? 'code' : 'secret'
  const text = typeof secret === 'string' ? secret : hex(new Uint8Array(32).fill(secret))
  const made = { source, secret: text, keys: hex(encode(recoveryPublicKeys, derived)) } as const
  keys.push({ id, section: '20.1', comment, ...made, expect: 'ok', ...more })
}
await key('code', 'from a code', CODE)
await key('code-typed', 'from the same code as somebody typed it', inGroups(CODE).toLowerCase())
await key('code-other', 'from another code', OTHER)
await key('code-zeros', 'from a code of zeros', ZEROS)
await key('secret', 'from a secret', 0x17)
await key('secret-high', 'from a secret of ones', 0xff)
await key('code-mistyped', 'from a code with one other letter', CODE, {
  ...{ secret: CODE.slice(0, -1) + (CODE.endsWith('Z') ? 'Y' : 'Z'), ...NO_KEYS },
})
await key('code-activation', 'from an activation code', CODE, { secret: ACTIVATION, ...NO_KEYS })
append('recovery-key.json', keys)

// ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const codes: CodeVector[] = []
const code = (id: string, comment: string, text: string, more: Partial<CodeVector> = {}) =>
  codes.push({ id, section: '20.2', comment, kind: 'recovery', text, code: CODE, expect: 'ok', ...more })
const shown = inGroups(CODE)
const wide = (text: string) => text.replaceAll(/[0-9A-Z]/g, (x) => String.fromCharCode(x.charCodeAt(0) + 0xfee0))
code('plain', '30 characters', CODE)
code('shown', 'in groups, as it is shown', shown)
code('small', 'in small letters', shown.toLowerCase())
code('spaces', 'with spaces and line ends', ` ${shown.replaceAll('-', '\r\n')}\t`)
code('joined-wrong', 'in groups of another size', CODE.replaceAll(/(.{7})/g, '$1 '))
code(
  'misread',
  'with o for 0, l and i for 1, and dashes',
  shown.replace('0', 'o').replace('1', 'l').replaceAll('-', '–'),
)
code('misread-i', 'with a dotless ı for 1', shown.replace('1', 'ı'))
code('wide', 'in full-width letters', wide(shown))
code(
  'persian',
  'in Persian digits',
  shown.replaceAll(/\d/g, (digit) => String.fromCharCode(0x6f0 + Number(digit))),
)
code('quoted', 'out of a quoted mail', `> “${shown.slice(0, 18)}\r\n> ${shown.slice(18)}”`)
code('soft', 'with a soft hyphen and a zero-width space', `\u00ad${shown}\u200b`)
code('brackets', 'with brackets, and a comma behind them', `(${shown}),`)
code('next-line', 'with U+0085 for a line end', shown.replace('-', '\u0085'))
code('byte-order', 'with a byte order mark', `\ufeff${shown}`)
code('zeros', 'a code of zeros', ZEROS, { code: ZEROS })
code('zeros-as-o', 'the same, typed as O', ZEROS.replaceAll('0', 'O'), { code: ZEROS })
code('last', 'the last code', LAST, { code: LAST })
const SHARP = codeOf(`SS${'0'.repeat(24)}`)
code('sharp-s', 'ß for SS', SHARP.replace('SS', 'ß'), { code: SHARP })
const none = { code: '', ...invalid }
code('empty', 'an empty text', '', none)
code('dashes', 'dashes only', '-----', none)
code('short', 'without the last character', CODE.slice(0, -1), none)
code('long', 'with a character more', `${CODE}0`, none)
code('mistyped', 'with one other letter', CODE.replace('A', 'B'), none)
code('swapped', 'with two letters in the other order', CODE.replace('AB', 'BA'), none)
code('check', 'with another check', CODE.slice(0, -1) + (CODE.endsWith('Z') ? 'Y' : 'Z'), none)
code('letter-u', 'with a U', CODE.replace('A', 'U'), none)
code('letter-u-check', 'with a U, and the check that follows', codeOf(`U${CODE.slice(1, 26)}`), none)
code('emoji', 'with an emoji', CODE.replace('A', '😀'), none)
code('half', 'with half an emoji', `${CODE}\ud83d`, none)
code('256', '256 characters, most of them spaces', CODE + ' '.repeat(226))
code('257', '257 characters, most of them spaces', CODE + ' '.repeat(227), none)
code('activation', 'an activation code with the same 26 characters', ACTIVATION, none)
const uActivation = codeOf(`U${CODE.slice(1, 26)}`, 'activation-code')
const asActivation = { kind: 'activation', section: '18.1' } as const
code('activation-itself', 'the activation code, read as one', ACTIVATION, { ...asActivation, code: ACTIVATION })
code('activation-letter-u', 'an activation code with a U, and the check that follows', uActivation, {
  ...{ ...asActivation, ...none },
})
code('activation-recovery', 'a recovery code, read as an activation code', CODE, { ...asActivation, ...none })

// ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const sets: PartsVector[] = []
const set = (id: string, comment: string, parts: readonly string[], more: Partial<PartsVector> = {}) =>
  sets.push({ id, section: '20.3', comment, parts: [...parts], code: CODE, expect: 'ok', ...more })
const split = (xs: readonly number[], k: number, name = 'AB3D0', of = CODE, seed = 5) =>
  splitCode(of, name, xs, k, sample(19 * (k - 1), seed))
const plainOf = (part: string) => part.replaceAll('-', '')
/** Changes the 40 characters in front of the check, and makes the check right. */
function changed(part: string, change: (before: string) => string): string {
  const before = change(plainOf(part).slice(0, PART_CHARACTERS - 5))
  return inGroups(before + codeCheck('recovery-part', before, 5))
}
/** Changes one byte of the share. */
const withShare = (part: string, at: number, bits: number) =>
  changed(part, (before) => {
    const share = fromLetters(before.slice(8), allocate(20))
    return before.slice(0, 8) + toLetters(patched(share, at, [share[at]! ^ bits]))
  })
/** Replaces one character of the head: 5 is the number of the part, 6 is n, 7 is k. */
const withHead = (part: string, at: number, value: number) =>
  changed(part, (before) => before.slice(0, at) + CODE_ALPHABET.charAt(value) + before.slice(at + 1))
const XS = [0x91, 0x02, 0xff, 0x01, 0x40]
const five = split(XS, 3) as [string, string, string, string, string]
const [one, two, three, four, last] = five
set('all', 'all of five, of which three are needed', five)
set('first', 'the first three', [one, two, three])
set('last', 'the last three', [three, four, last])
set('reversed', 'in another order', [last, one, three])
set('typed', 'as somebody typed them', [` ${one.toLowerCase()} `, wide(two), `> “${last.replaceAll('-', ' ')}”`])
set('joined', 'without hyphens', [one, two, three].map(plainOf))
set('twice', 'one part twice, and enough others', [one, one, two, three])
set('two-of-two', 'two of two', split([1, 2], 2))
set('high-x', 'two of three, with the highest x', split([253, 254, 255], 2).slice(1))
const many = split(
  Array.from({ length: 31 }, (_, i) => 200 - 3 * i),
  31,
)
set('31-of-31', '31 of 31', many)
set(
  '2-of-31',
  '2 of 31',
  split(
    Array.from({ length: 31 }, (_, i) => i + 1),
    2,
  ).slice(29),
)
set('zeros', 'a code of zeros', split(XS, 3, 'AB3D0', ZEROS).slice(2), { code: ZEROS })
set('last-code', 'the last code', split(XS, 2, 'ZZZZZ', LAST).slice(3), { code: LAST })
set('four', 'four, where three are needed', [four, two, last, one])
set('last-counts', 'one number twice: the last one counts', [withShare(one, 0, 1), two, one, three])
set('last-counts-surplus', 'the same, with all others', [withShare(one, 0, 1), two, three, four, last, one])
const wrong = { code: '', ...invalid }
set('surplus-wrong', 'a wrong share behind enough others', [one, two, three, withShare(four, 0, 1)], wrong)
set('surplus-wrong-first', 'a wrong share in front of enough others', [withShare(four, 0, 1), one, two, three], wrong)
set(
  'surplus-wrong-all',
  'all of five, of which the last is wrong',
  [one, two, three, four, withShare(last, 18, 4)],
  wrong,
)
set('surplus-x', 'another x in a part behind enough others', [one, two, three, withShare(four, 19, 0x20)], wrong)
set(
  'surplus-number-wrong',
  'one number twice, and the last one is wrong',
  [one, two, three, four, withShare(one, 3, 8)],
  wrong,
)
set(
  'surplus-same-name',
  'a part of another set with the same name, behind enough others',
  [one, two, three, split(XS, 3, 'AB3D0', CODE, 7)[3]!],
  wrong,
)
set(
  'surplus-x-twice',
  'one x twice, behind enough others',
  [one, two, three, withShare(four, 19, XS[0]! ^ XS[3]!)],
  wrong,
)
set('surplus-copy', 'a part again under another number', [one, two, three, withHead(one, 5, 4)], wrong)
set('none', 'no part', [], wrong)
set('one', 'one part', [one], wrong)
set('too-few', 'two, where three are needed', [one, two], wrong)
set('same', 'one part three times', [one, one, one], wrong)
set('30-of-31', '30 of 31', many.slice(1), wrong)
set('empty', 'an empty text among them', [one, '', two, three], wrong)
const slip = one.slice(0, 20) + (one[20] === 'Z' ? 'Y' : 'Z') + one.slice(21)
set('slip', 'a slip of the pen', [slip, two, three], wrong)
set('slip-spare', 'a slip of the pen in a part that is not needed', [one, two, three, slip], wrong)
set('slip-head', 'a slip of the pen in the head', [one.replace('AB3D0', 'AB3D1'), two, three], wrong)
set(
  'slip-check',
  'a slip of the pen in the check',
  [...[one.slice(0, -1) + (one.endsWith('Z') ? 'Y' : 'Z'), two, three]],
  wrong,
)
set('short', 'a part without its last character', [one.slice(0, -1), two, three], wrong)
set('long', 'a part with a character more', [`${one}0`, two, three], wrong)
set('joined-two', 'two parts in one text', [one + two, three, four], wrong)
set('code', 'the code itself as a part', [CODE, two, three], wrong)
const withU = [one, two, three].map((part) => changed(part, (before) => before.replace('AB3D0', 'ABUD0')))
set('letter-u', 'a U in the set of all parts, under right checks', withU, wrong)
const shareU = changed(one, (before) => `${before.slice(0, 12)}U${before.slice(13)}`)
set('letter-u-share', 'a U in a share, under a right check', [shareU, two, three], wrong)
const otherSet = split(XS, 3, 'AB3D1', CODE, 6)
set('mixed', 'parts of two sets', [one, two, otherSet[2]!], wrong)
set('mixed-spare', 'a part of another set, behind enough others', [one, two, three, otherSet[3]!], wrong)
// Shares that fit, so that only the heads tell what is wrong.
for (const name of ['BB3D0', 'AB3D1']) {
  const renamed = changed(three, (before) => before.replace('AB3D0', name))
  set(`mixed-fitting-${name}`, 'a part that fits, under the name of another set', [one, two, renamed], wrong)
}
const line = split(XS, 2).map((part) => withHead(part, 7, 3))
set('too-few-fitting', 'two shares that give the code, where three are said to be needed', line.slice(0, 2), wrong)
set('lower-degree', 'three shares of a polynomial of degree 1, where three are needed', line.slice(0, 3))
const curve = split(XS, 3).map((part) => withHead(part, 7, 2))
set(
  'higher-degree',
  'three shares of a polynomial of degree 2, where two are needed: all of them count',
  curve.slice(0, 3),
)
set('higher-degree-two', 'two of the same', curve.slice(0, 2), wrong)
const sameName = split(XS, 3, 'AB3D0', CODE, 7)
set('same-name', 'parts of two sets with one name', [one, two, sameName[2]!], wrong)
set('mixed-n', 'a part with another n', [one, two, withHead(three, 6, 6)], wrong)
set('mixed-k', 'a part with another k', [one, two, withHead(three, 7, 2)], wrong)
const all = (at: number, value: number) => five.map((part) => withHead(part, at, value))
set('number-0', 'the number 0', [withHead(one, 5, 0), two, three], wrong)
set('number-6', 'the number 6 of 5', [withHead(one, 5, 6), two, three], wrong)
set('k-1', 'k is 1', all(7, 1), wrong)
set('k-0', 'k is 0', all(7, 0), wrong)
set('k-6', 'k is 6 of 5', all(7, 6), wrong)
set('n-0', 'n is 0', all(6, 0), wrong)
set('n-1', 'n is 1', [withHead(one, 6, 1)], wrong)
set('n-less', 'n is less than the numbers', all(6, 4), wrong)
set('numbers-swapped', 'with the numbers of each other: only x counts', [
  ...[withHead(one, 5, 2), withHead(two, 5, 1), three],
])
set('share', 'one bit of a share, under a right check', [withShare(one, 0, 1), two, three], wrong)
set('share-x', 'another x, under a right check', [withShare(one, 19, 0x20), two, three], wrong)
set('x-twice', 'one x twice', [withShare(one, 19, XS[0]! ^ XS[1]!), two, three], wrong)
/** A share that would give the code if two others, whose x is that of the first part, counted for nothing. */
const lone = changed(three, (before) => {
  const [a, b] = [XS[0]!, XS[2]!]
  const weight = times(a, inverse(a ^ b))
  const S = fromLetters(CODE, allocate(19))
  const y = S.map((byte) => times(byte, inverse(times(weight, weight))))
  return before.slice(0, 8) + toLetters(concat(y, Uint8Array.of(b)))
})
set(
  'x-twice-for-nothing',
  'one x twice, and a share that would give the code without them',
  [one, withHead(one, 5, 2), lone],
  wrong,
)
const zeroX = split([0, 7, 9], 2)
set('x-0', 'an x of 0, whose share is the code', zeroX.slice(0, 2), wrong)
set('x-0-surplus', 'the same behind enough others', [zeroX[1]!, zeroX[2]!, zeroX[0]!], wrong)
set('x-0-again', 'the same, which its right copy follows', [zeroX[0]!, ...split([5, 7, 9], 2)], wrong)
set(
  'last-bits',
  'S ends with the bit 1',
  five.map((part) => withShare(part, 18, 1)),
  wrong,
)
set(
  'last-bits-high',
  'S ends with the bits 1 and 0',
  five.map((part) => withShare(part, 18, 2)),
  wrong,
)
const notCode = split(XS, 3, 'AB3D0', codeOf(CODE.slice(0, 26), 'recovery-part'))
set('not-a-code', 'parts of a text whose check is not that of a recovery code', notCode, wrong)
set('activation', 'parts of an activation code', split(XS, 3, 'AB3D0', ACTIVATION), wrong)
set('order-slip-mixed', 'parts of two sets, and a slip of the pen', [one, otherSet[1]!, slip], wrong)
append('recovery-part.json', sets)
const partAsCode = { ...none, comment: 'a part of a code, read as a code' }
code('part', partAsCode.comment, one, none)
append('recovery-code.json', codes)

// ── text forms ───────────────────────────────────────────────────────────────────────────────────────────────────────
const armors: ArmorVector[] = []
function text(id: string, comment: string, armored: string, object: Uint8Array, more: Partial<ArmorVector> = {}): void {
  armors.push({
    ...{ id, section: '20.6', comment, text: armored, object: hex(object), written: false, expect: 'ok' },
    ...more,
  })
}
const bad = (id: string, comment: string, armored: string, expect: ArmorVector['expect'] = 'invalid-text') =>
  text(id, comment, armored, new Uint8Array(0), { expect })
const written = (id: string, comment: string, object: Uint8Array) =>
  text(id, comment, armor(object), object, { written: true })
const exportOf = (id: string) => unhex(keysetVectors().find((each) => each.id === id)!.export)
const card = unhex(cardVectors()[0]!.card)
const armored = armor(card)
written('card', 'a card', card)
written('keyset', 'an export to storage: with its revision', exportOf('source-storage'))
written('host', 'an export to a host: another length', exportOf('host'))
written('profile', 'a profile: with its version', record({ vaults: [] }))
/** An object of this type with nothing in it but ids: only the text form reads it. */
const bare = (type: number, length = 49) => {
  const object = patched(new Uint8Array(length), 0, [...Buffer.from('KSTR'), 1, type])
  return patched(patched(object, 16, sample(16, type)), 32, sample(16, type + 50))
}
for (const type of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 20, 22])
  written(`type-${type}`, `an object of type ${type}`, bare(type))
written('header-alone', 'a header alone: no unused bits', bare(14, 48))
written('unused-bits', 'four unused bits', bare(14, 52))
written('no-owner', 'an object without an owner: its id is that of its key', patched(bare(9), 32, new Uint8Array(16)))
const versioned = (type: number) => patched(bare(type, 100), 48, u64(2 ** 53 - 1))
/** A keyset up to its destination, with a history. */
const keysetBegin = (history: number, destination: number) =>
  patched(concat(versioned(13).subarray(0, 74), sample(24 * history, 3), new Uint8Array(30)), 72, [0, history]).map(
    (byte, index) => (index === 74 + 24 * history ? destination : byte),
  )
written('definition', 'an export of a definition', exportOf('source-definition'))
for (const destination of [1, 2, 3])
  written(`history-${destination}`, 'the version 2⁵³ − 1 of a keyset, and a history', keysetBegin(2, destination))
written('last-version', 'the version 2⁵³ − 1 of a keyset', keysetBegin(0, 3))
written('last-version-profile', 'the version 2⁵³ − 1 of a profile', versioned(12))
const delegation = patched(bare(21, 3400), 48, concat(u64(7), sample(16, 77)))
written('delegation', 'a delegation: with the revision of the keyset', delegation)
written('last-version-delegation', 'the version 2⁵³ − 1 of a keyset, in a delegation', versioned(21))

/** The text of any bytes under any name, with a right check. */
function around(object: Uint8Array, name: string): string {
  const data = Buffer.from(object).toString('base64').replaceAll('=', '').replaceAll(/.{64}/g, '$&\n')
  const check = Buffer.from(sha256(domain('armor'), object).subarray(0, 6)).toString('base64')
  return `-----BEGIN KEYSTRATA ${name}-----\nId: 00\n\n${data}\n=${check}\n-----END KEYSTRATA ${name}-----\n`
}
const lines = armored.trimEnd().split('\n')
const data = lines.slice(3, -2).join('')
const [begin, end] = [lines[0]!, lines.at(-1)!]
const check = lines.at(-2)!
text('around', 'with a shorter line for people', around(card, 'CARD'), card)
text('quoted', 'out of a quoted mail', lines.map((line) => `> ${line}`).join('\n'), card)
text('quoted-twice', 'out of a mail that was quoted twice', lines.map((line) => `>> | ${line}`).join('\n'), card)
text('crlf', 'with CR LF', armored.replaceAll('\n', '\r\n'), card)
text('rewrapped', 'in lines of 76', [begin, ...data.match(/.{1,76}/g)!, check, end].join('\n'), card)
text('joined', 'in one line', lines.join(' '), card)
text('no-spaces', 'without any white space', lines.join('').replaceAll(' ', ''), card)
text('check-behind-data', 'the check in the line of the data', [begin, '', data + check, end].join('\n'), card)
text(
  'in-mail',
  'in the middle of a mail',
  `Hello,\n\nhere is my card:\n${armored}\nBye!\n-- \nBob = b@example.com\n`,
  card,
)
text('no-facts', 'without the lines for people', [begin, data, check, end].join('\n'), card)
text('other-facts', 'with other lines for people', armored.replace(/Id: .*/, 'Comment: 1 = 1'), card)
text('long-dashes', 'with other dashes', armored.replaceAll('-----', '—'), card)
text('no-dashes', 'without dashes', armored.replaceAll('-----', ''), card)
text('soft', 'with soft hyphens and zero-width spaces', armored.replaceAll('\n', '\u00ad\n\u200b'), card)
text('spaces', 'with spaces of other kinds', armored.replaceAll('\n', '\u00a0\u0085\u2028\u3000\ufeff'), card)
text('marks', 'with U+061C, U+180E, U+202A and U+2060', armored.replaceAll('\n', '\u061c\u180e\u202a\u2060'), card)
text('longer-name', 'a longer name', armored.replaceAll('CARD', 'CARD OF BOB'), card)
text('other-end', 'another name in the last line', armored.replace(/END KEYSTRATA CARD/, 'END KEYSTRATA KEYSET'), card)
text('two-ends', 'two last lines: the first counts', `${armored}${end}\n`, card)
text('equals-behind', 'an equals sign behind the last line', `${armored}a=b`, card)
text('punctuation', 'punctuation behind the check', armored.replace(`${check}\n`, `${check}.;\n`), card)
text('accent', 'another letter behind the check than A–Z', armored.replace(`${check}\n`, `${check}é\n`), card)
text('slot-as-slots', 'a slot, named as slots: the name begins with that of a slot', around(bare(2), 'SLOTS'), bare(2))
text('slot-list-joined', 'a slot list, whose name has no space', around(bare(20), 'SLOTLIST'), bare(20))
bad('slot-as-slot-list', 'a slot, named as a slot list', around(bare(2), 'SLOT LIST'))
bad('slot-list-as-slot', 'a slot list, named as a slot', around(bare(20), 'SLOT'))
bad('slot-list-as-slots', 'a slot list, named as slots', around(bare(20), 'SLOTS'))
bad('slot-as-slot-list-name', 'a slot, whose longer name begins as that of a slot list', around(bare(2), 'SLOT LISTED'))
text('twice', 'one object twice', armored + armored, card)
text(
  'thrice',
  'one object three times, quoted and rewrapped',
  [armored, `> ${lines.join('\n> ')}\n`, around(card, 'CARD')].join(''),
  card,
)
text(
  'twice-other-facts',
  'one object twice, with other lines for people',
  armored + armored.replace(/Id: .*/, 'Id: 0'),
  card,
)
bad('two-of-three', 'one object twice, and another one', armored + armored + armor(bare(14)))
bad('other-first', 'another object, and one twice', armor(bare(14)) + armored + armored)
bad('longer', 'an object, and the same with a byte more', armored + around(concat(card, new Uint8Array(1)), 'CARD'))
bad('second-check', 'one object twice, and the second check is another', armored + armored.replace(check, `=AAAAAAAA`))
bad('first-check', 'one object twice, and the first check is another', armored.replace(check, `=AAAAAAAA`) + armored)
bad('second-cut', 'one object twice, and the second is cut', armored + lines.slice(0, -1).join('\n'))
bad('first-cut', 'one object twice, and the first has no last line', `${lines.slice(0, -1).join('\n')}\n${armored}`)
bad('second-name', 'one object twice, and the second has another name', armored + around(card, 'KEYSET'))
bad('second-no-object', 'an object, and a first line with nothing behind it', `${armored}${begin}\n${end}\n`)
bad('begin-behind', 'the first line behind an object', `${armored}${begin}\n`)
bad('second-short', 'an object, and one of 47 bytes', armored + around(card.slice(0, 47), 'CARD'), 'malformed')
bad('second-version', 'an object, and one of version 2', armored + around(patched(card, 4, [2]), 'CARD'), 'unsupported')
bad(
  'order-name-version',
  'another name, and then version 2',
  around(card, 'KEYSET') + around(patched(card, 4, [2]), 'CARD'),
)
bad(
  'order-version-name',
  'version 2, and then another name',
  around(patched(card, 4, [2]), 'CARD') + around(card, 'KEYSET'),
  'unsupported',
)
bad(
  'order-differs-version',
  'two objects that differ, and then version 2',
  armored + armor(bare(14)) + around(patched(card, 4, [2]), 'CARD'),
  'unsupported',
)
bad('empty', 'an empty text', '')
bad('words', 'other words', 'the card is in the attachment')
bad('data-alone', 'only the data', `${data}${check}`)
bad('no-begin', 'without the first line', lines.slice(1).join('\n'))
bad('no-end', 'without the last line', lines.slice(0, -1).join('\n'))
bad('cut', 'cut in the middle', lines.slice(0, 20).join('\n'))
bad('small', 'the first line in small letters', armored.replace('BEGIN KEYSTRATA', 'begin keystrata'))
bad('end-first', 'the last line first', [end, ...lines.slice(1, -1), begin].join('\n'))
bad('two', 'two objects', armored + armor(bare(14)))
bad('two-kinds', 'two objects of two kinds', armored + armor(bare(16)))
bad('two-begins', 'two first lines', `${begin}\n${armored}`)
bad('no-check', 'without the check', armored.replace(`${check}\n`, ''))
bad('check', 'another check', armored.replace(check, `=${check[1] === 'A' ? 'B' : 'A'}${check.slice(2)}`))
bad('check-short', 'a check without its last character', armored.replace(check, check.slice(0, -1)))
bad('check-long', 'a character behind the check', armored.replace(check, `${check}A`))
bad('check-letters', 'words behind the check', armored.replace(`${check}\n`, `${check}\nVersion 1\n`))
bad('check-underscore', 'an underscore behind the check', armored.replace(`${check}\n`, `${check}_\n`))
bad('letter', 'one other letter', armored.replace(data.slice(64, 68), data[64] === 'A' ? 'BAAA' : 'AAAA'))
bad('line-missing', 'without one of the lines', [...lines.slice(0, 7), ...lines.slice(8)].join('\n'))
bad('line-twice', 'with one line twice', [...lines.slice(0, 7), ...lines.slice(6)].join('\n'))
bad(
  'lines-swapped',
  'with two lines in the other order',
  [...[...lines.slice(0, 6), lines[7]!, lines[6]!, ...lines.slice(8)]].join('\n'),
)
bad('url', 'base64url', armored.replaceAll('+', '-').replaceAll('/', '_'))
bad('word', 'a word in the data', armored.replace(`${lines[8]!}\n`, `${lines[8]!}\n!\n`))
const odd = around(bare(14), 'CARD')
const oddData = Buffer.from(bare(14)).toString('base64').replaceAll('=', '')
text('odd', 'an object whose base64 has unused bits', odd, bare(14))
/** The next character of base64: it differs in the lowest bit, which is unused here. */
const next = String.fromCharCode(oddData.charCodeAt(oddData.length - 1) + 1)
const lastOf = (letter: string) => odd.replace(`${oddData.slice(64)}\n`, `${oddData.slice(64, -1)}${letter}\n`)
bad('unused-bit', 'an unused bit that is not 0', lastOf(next))
bad('padding', 'with padding', odd.replace(`${oddData.slice(64)}\n`, `${oddData.slice(64)}==\n`))
bad(
  'one-more',
  'a length of base64 that nothing has',
  odd.replace(`${oddData.slice(64)}\n`, `${oddData.slice(64)}AAA\n`),
)
bad('delegation-as-card', 'a delegation, named as a card', around(delegation, 'CARD'))
bad('delegation-as-type-23', 'type 23, named as a delegation', around(bare(23), 'DELEGATION'), 'unsupported')
text('delegation-longer', 'a delegation with a longer name', around(delegation, 'DELEGATION OF BOB'), delegation)
bad('other-kind', 'a card, named as a keyset', armored.replaceAll('CARD', 'KEYSET'))
bad('other-kind-shorter', 'a card, named as a part of its name', armored.replaceAll('CARD', 'CAR'))
bad('other-kind-behind', 'a card, whose name is not the first', armored.replaceAll('CARD', 'A CARD'))
bad('no-name', 'no name', armored.replaceAll(' CARD', ''))
bad('surrogate', 'half an emoji in front', `\ud83d${armored}`)
bad('start-behind', 'no object between the lines', [begin, '', check, end, data].join('\n'))
bad('no-object', 'nothing between the lines', `${begin}\n${end}\n`)
bad('check-of-nothing', 'the check of no object', around(new Uint8Array(0), 'CARD'))
bad('magic', 'another magic: nothing begins there', around(flipped(card, 0), 'CARD'))
bad('high-version', 'version 16, which begins with other letters', around(patched(card, 4, [16]), 'CARD'))
bad('short-object', 'an object of 47 bytes', around(card.slice(0, 47), 'CARD'), 'malformed')
bad('version', 'version 2 of this document', around(patched(card, 4, [2]), 'CARD'), 'unsupported')
for (const type of [0, 23, 24, 255])
  bad(`type-${type}`, `type ${type}`, around(patched(card, 5, [type]), 'CARD'), 'unsupported')
bad('order-check-version', 'another check, and version 2', around(patched(card, 4, [2]), 'CARD').replace(/=.*/, check))
bad('order-type-name', 'type 23, and another name', around(patched(card, 5, [23]), 'KEYSET'), 'unsupported')
bad('order-no-name', 'no name, and version 2', around(patched(card, 4, [2]), ''), 'unsupported')
bad('order-short-name', 'an object of 47 bytes, and another name', around(card.slice(0, 47), 'KEYSET'), 'malformed')
text('trailing-bytes', 'only the header is looked at', around(concat(card, card), 'CARD'), concat(card, card))
append('armor.json', armors)
