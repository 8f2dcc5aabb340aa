import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseCard, unlockKeyset } from '../../src/index.ts'
import { encodeCard, keysOfCard } from '../../src/core/card.ts'
import { generateSigningPair } from '../../src/core/key-pairs.ts'
import { sign } from '../../src/primitives/signature.ts'
import { plantedContents } from '../keyset/planted.ts'
import { failure, flipped, hex, makeKeyset, PASSWORD, patched } from '../fixtures.ts'

const keyset = await makeKeyset()
const card = keyset.card()

/** Returns a card of fixed keys, and the key pair that signs it. */
function planted(change: { x25519?: Uint8Array<ArrayBuffer>; mlKem1024?: Uint8Array<ArrayBuffer> } = {}) {
  const { id, additional, sourceSigning } = plantedContents()
  const { sharing, cardSigning } = additional!
  const keys = {
    ownerId: id,
    sharing: { ...sharing.publicHalves, ...change },
    sourceSigning: sourceSigning.publicKey,
  }
  return { card: encodeCard(keys, cardSigning), cardSigning }
}

describe('a card', () => {
  it('has 1,776 bytes and 60 digits, the same at every call and after unlocking', async () => {
    expect(card.bytes).toHaveLength(1776)
    expect(card.fingerprint).toMatch(/^(\d{5} ){11}\d{5}$/)
    expect(keyset.card()).toEqual(card)
    expect((await unlockKeyset(keyset.export('host'), PASSWORD)).card()).toEqual(card)
    expect((await makeKeyset()).card().fingerprint).not.toBe(card.fingerprint)
  })

  it('parses to an equal card, from a copy of the bytes', () => {
    const bytes = Buffer.from(card.bytes)
    const parsed = parseCard(bytes)
    bytes.fill(0)
    expect(parsed).toEqual(card)
    expect(parseCard(card.bytes, { fingerprint: card.fingerprint })).toEqual(card)
    expect(parseCard(card.bytes, { fingerprint: card.fingerprint.replaceAll(' ', '') })).toEqual(card)
  })

  it('has the fingerprint that SPEC §5 computes from its bytes', () => {
    const lengthPrefixed = (bytes: Uint8Array) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return Buffer.concat([length, bytes])
    }
    const hash = createHash('sha512').update(lengthPrefixed(Buffer.from('keystrata/v1/fingerprint')))
    for (const [from, to] of [
      [48, 80],
      [80, 1648],
      [1648, 1680],
      [1680, 1712],
    ] as const) {
      hash.update(lengthPrefixed(card.bytes.subarray(from, to)))
    }
    const digest = hash.digest()
    const groups = Array.from({ length: 12 }, (_, index) => {
      const number = digest.readUIntBE(5 * index, 5)
      return String(number % 100_000).padStart(5, '0')
    })
    expect(card.fingerprint).toBe(groups.join(' '))
  })

  it('without the expected fingerprint is key-changed', async () => {
    const other = (await makeKeyset()).card()
    await failure(() => parseCard(other.bytes, { fingerprint: card.fingerprint }), 'key-changed')
    expect(() => parseCard(card.bytes, { fingerprint: 7 as never })).toThrow(TypeError)
  })

  it.each([
    ['empty', '', 'empty'],
    ['of hyphens', '- - -', 'empty'],
    ['one digit', '1', 'check'],
    ['a digit short', card.fingerprint.slice(1), 'check'],
    ['a digit longer', `${card.fingerprint}0`, 'too-long'],
    ['with a letter', card.fingerprint.replace(/\d/, 'x'), 'check'],
    ['with a superscript', card.fingerprint.replace(/\d/, '\u1d43'), 'check'],
    ['in a longer text', `${card.fingerprint}${' '.repeat(200)}`, 'too-long'],
    ['with half an emoji', `${card.fingerprint}\ud83d`, 'lone-surrogate'],
  ])('is not opened by a fingerprint that is %s', async (_, fingerprint, reason) => {
    const error = await failure(() => parseCard(card.bytes, { fingerprint }), 'invalid-text')
    expect(error.detail).toMatchObject({ reason, field: 'fingerprint' })
    // The same for a card that a caller made by hand.
    await failure(() => keysOfCard({ bytes: card.bytes, fingerprint }), 'invalid-text')
  })

  it.each([
    ['without spaces', card.fingerprint.replaceAll(' ', '')],
    ['with hyphens', card.fingerprint.replaceAll(' ', '-')],
    ['with other dashes', card.fingerprint.replaceAll(' ', ' \u2013 ').replace('\u2013', '\u2212')],
    [
      'in full-width digits',
      card.fingerprint.replaceAll(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
    ],
    ['in a quoted mail', `> "${card.fingerprint.slice(0, 36)}\r\n> ${card.fingerprint.slice(36)}"`],
    ['in German quotes', `\u201e${card.fingerprint}\u201c`],
    ['in French quotes', `\u00ab\u202f${card.fingerprint}\u202f\u00bb`],
    ['with a tab, a line end and a byte order mark', `\ufeff${card.fingerprint.replace(' ', '\t')}\n`],
    ['with invisible characters', `\u200e${card.fingerprint.replaceAll(' ', '\u00a0\u200b')}\u200f`],
    ['with the comma behind it', `(${card.fingerprint}),`],
    ['with full stops', card.fingerprint.replaceAll(' ', '.')],
    ['in a list', `\u2022 *${card.fingerprint.replaceAll(' ', '/')}*`],
    ['with wide punctuation', `\uff08${card.fingerprint.replaceAll(' ', '\u30fb')}\uff09\u3002`],
    ['with letters that look like digits', card.fingerprint.replaceAll('0', 'O').replaceAll('1', 'l')],
    ['with other such letters', card.fingerprint.replaceAll('0', 'o').replaceAll('1', 'I')],
    ...['arab', 'arabext', 'beng', 'deva', 'mymr', 'tamldec', 'thai'].map((script): [string, string] => {
      const digits = new Intl.NumberFormat('en', { numberingSystem: script })
      return [`in digits of ${script}`, card.fingerprint.replaceAll(/\d/g, (digit) => digits.format(Number(digit)))]
    }),
    ['in acute accents', `\u00b4${card.fingerprint}\u00b4`],
  ])('is opened by its fingerprint %s', (_, fingerprint) => {
    expect(parseCard(card.bytes, { fingerprint }).fingerprint).toBe(card.fingerprint)
    expect(keysOfCard({ bytes: card.bytes, fingerprint }).ownerId).toEqual(keysOfCard(card).ownerId)
  })

  it('with any bit flipped is refused', async () => {
    for (let index = 0; index < card.bytes.length; index += index < 60 || index > 1640 ? 1 : 37) {
      const damaged = flipped(card.bytes, index, index % 8)
      await failure(() => parseCard(damaged), 'malformed', 'unsupported', 'authentication-failed')
    }
    await failure(() => parseCard(card.bytes.subarray(1)), 'malformed')
    await failure(() => parseCard(card.bytes.subarray(0, -1)), 'malformed')
    await failure(() => parseCard(Buffer.concat([card.bytes, Buffer.alloc(1)])), 'malformed')
    await failure(() => parseCard(new Uint8Array(0)), 'malformed')
    expect(() => parseCard('card' as never)).toThrow(TypeError)
  })

  it('with invalid public keys is refused, although its signature is valid', async () => {
    await failure(() => parseCard(planted({ x25519: new Uint8Array(32) }).card.bytes), 'malformed')
    await failure(() => parseCard(planted({ mlKem1024: new Uint8Array(1568).fill(0xff) }).card.bytes), 'malformed')
  })

  it('signed by another key, or with a wrong key id, is refused', async () => {
    const { card: good, cardSigning } = planted()
    expect(parseCard(good.bytes).fingerprint).toBe(good.fingerprint)
    const signed = good.bytes.subarray(0, -64)
    const message = (bytes: Uint8Array) =>
      Buffer.concat([Buffer.from('00000016', 'hex'), Buffer.from('keystrata/v1/sign/card'), bytes])
    // The signature covers the message of SPEC §5.
    expect(hex(sign(cardSigning.seed, message(signed)))).toBe(hex(good.bytes.subarray(-64)))
    const foreign = sign(generateSigningPair().seed, message(signed))
    await failure(() => parseCard(patched(good.bytes, 1712, foreign)), 'authentication-failed')
    const renamed = patched(signed, 16, [good.bytes[16]! ^ 1])
    const resigned = Buffer.concat([renamed, sign(cardSigning.seed, message(renamed))])
    await failure(() => parseCard(resigned), 'authentication-failed')
  })

  it('comes only from a keyset that has all its keys', async () => {
    const definition = await unlockKeyset(keyset.export('definition'), PASSWORD)
    const error = await failure(() => definition.card(), 'policy')
    expect(error.detail).toEqual({ rule: 'all-keys', what: 'a card' })
    definition.dispose()
    await failure(() => definition.card(), 'disposed')
  })
})
