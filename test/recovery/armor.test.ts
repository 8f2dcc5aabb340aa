import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createDeviceKey } from '../../src/device.ts'
import { addSlot, armor, dearmor, deriveRecoveryKey } from '../../src/recovery.ts'
import { saveKeyset } from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { ALICE, expectSame, failure, makeKeyset, numRuns, PASSWORD, quickly, sample } from '../fixtures.ts'

const [keyset, friend] = await Promise.all([quickly(() => makeKeyset()), quickly(() => makeKeyset())])
const card = keyset.card().bytes
const text = armor(card)
const { share } = keyset.createShare()
const profile = createProfile(await quickly(() => deriveLogin(PASSWORD, ALICE)), { zeroTrust: true })
const store = memoryStateStore()
await saveKeyset(store, keyset)
await addSlot(store, keyset, await deriveRecoveryKey({ secret: sample(32) }), { label: 'x' })
const objects = {
  KEYSET: keyset.export('storage'),
  CARD: card,
  INVITE: share.invite(friend.card()),
  PROFILE: profile.record,
  'DEVICE KEY': createDeviceKey().exportUnprotected(),
  'SLOT LIST': (await store.read('slots'))!.bytes,
}

describe('armor', () => {
  it.each(Object.entries(objects))('writes a %s in lines of 64, with headers for people', (kind, object) => {
    const lines = armor(object).split('\n')
    expect(lines[0]).toBe(`-----BEGIN KEYSTRATA ${kind}-----`)
    expect(lines.at(-2)).toBe(`-----END KEYSTRATA ${kind}-----`)
    expect(lines[1]).toMatch(/^Id: [\da-f]{32}$/)
    const empty = lines.indexOf('')
    const data = lines.slice(empty + 1, -3)
    for (const line of data.slice(0, -1)) expect(line).toHaveLength(64)
    expectSame(Buffer.from(data.join(''), 'base64'), object)
    expect(lines.at(-3)).toMatch(/^=[\w+/]{8}$/)
    expectSame(dearmor(lines.join('\n')), object)
  })

  it('names the revision of a keyset and of a profile', () => {
    for (const to of ['host', 'definition', 'storage'] as const) {
      expect(armor(keyset.export(to))).toContain(`\nId: ${keyset.id}\nRevision: ${keyset.revision}\nExport: ${to}\n`)
    }
    expect(armor(profile.record)).toContain(`\nRevision: ${profile.revision}\n`)
    expect(text).not.toContain('Revision')
  })

  it('refuses what is no object of this library', async () => {
    await failure(() => armor(sample(100)), 'malformed')
    await failure(() => armor(card.subarray(0, 40)), 'malformed')
    const later = await failure(() => armor(card.map((byte, at) => (at === 5 ? 99 : byte))), 'unsupported')
    expect(later.detail).toEqual({ object: 'object', field: 'type', found: 99 })
    await failure(() => armor(card.map((byte, at) => (at === 4 ? 2 : byte))), 'unsupported')
    const large = await failure(() => armor(new Uint8Array(1024 * 1024 + 4097)), 'limit-exceeded')
    expect(large.detail).toEqual({ bytes: 1024 * 1024 + 4097 })
    await failure(() => armor(new Uint8Array(1024 * 1024 + 4096)), 'malformed')
    await failure(() => armor(keyset.export('storage').subarray(0, 60)), 'malformed')
    expect(() => armor(text as never)).toThrow(TypeError)
  })
})

describe('dearmor', () => {
  it('forgives what mail programs and people do', () => {
    const lines = text.trim().split('\n')
    for (const mangled of [
      text.replaceAll('\n', '\r\n'),
      lines.map((line) => `> ${line}`).join('\n'),
      lines.map((line) => `> | >${line}`).join('\r\n'),
      lines.join(' '),
      lines.join(''),
      text.replace(/.{20}/g, '$&\n'),
      text.replaceAll('\n', '\n\n'),
      `\ufeffDear Bob,\n\nhere is my card.\n\n${text}\n-- \nAlice`,
      text.replaceAll('-----', '—–—'),
      text.replaceAll('-----', ''),
      text.replace(/(.{7})/g, '$1\u200b'),
      `\t${lines.join('\n\t')}`,
      text.replace(/Id: .*\n/, ''),
      `${text}\n> ${lines.join('\n> ')}`,
      text.replace(/Id: .*\n/, 'Id: something else\nComment: added by somebody\n'),
    ])
      expectSame(dearmor(mangled), card)
  })

  it('gives back any object, however the text was cut into lines', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(objects)), fc.integer({ min: 1, max: 100 }), (object, width) => {
        const rewrapped = armor(object).replaceAll(new RegExp(`.{${width}}`, 'g'), '$&\r\n> ')
        expectSame(dearmor(rewrapped), object)
      }),
      { numRuns: numRuns(30, 500) },
    )
  })

  it.each([
    ['nothing', ''],
    ['only space', ' \n'],
    ['no first line', text.replace('BEGIN KEYSTRATA', 'BEGIN PGP')],
    ['no last line', text.slice(0, text.indexOf('-----END'))],
    ['two objects', text + armor(friend.card().bytes)],
    ['a second object that is damaged', text + text.slice(0, 200)],
    ['the name of a longer kind', text.replace('BEGIN KEYSTRATA CARD', 'BEGIN KEYSTRATA SLOT LIST')],
    ['no data', '-----BEGIN KEYSTRATA CARD-----\n-----END KEYSTRATA CARD-----'],
    ['no check', text.replace(/=.*\n/, '')],
    ['a short check', text.replace(/(=.*).\n/, '$1\n')],
    ['a wrong check', text.replace(/=./, (found) => (found === '=A' ? '=B' : '=A'))],
    ['a line left out', text.split('\n').toSpliced(6, 1).join('\n')],
    ['two lines swapped', text.split('\n').toSpliced(5, 2, text.split('\n')[6]!, text.split('\n')[5]!).join('\n')],
    ['another kind in its first line', text.replace('BEGIN KEYSTRATA CARD', 'BEGIN KEYSTRATA KEYSET')],
    ['something behind the check', text.replace('-----END', 'x-----END')],
    ['a lone surrogate', `${text}\ud800`],
  ])('refuses a text with %s', async (_, given) => {
    await failure(() => dearmor(given), 'invalid-text')
  })

  it.each([
    ['', 'empty', 'is empty'],
    [' \n> ', 'empty', 'has no character that can be seen'],
    ['A text.', 'check', 'has no line BEGIN KEYSTRATA'],
    [text.slice(0, text.indexOf('-----END')), 'check', 'is truncated'],
    [text + armor(friend.card().bytes), 'check', 'has more than one object'],
    ['BEGIN KEYSTRATA END KEYSTRATA', 'check', 'has no object between its first and its last line'],
    [`BEGIN KEYSTRATA ${text.slice(text.indexOf('S1NUUg'))}`, 'check', 'begins as something unknown'],
    ['BEGIN KEYSTRATA CARD END KEYSTRATA CARD', 'check', 'has no object between its first and its last line'],
    ['BEGIN KEYSTRATA CARD END KEYSTRATA CARD S1NUUg', 'check', 'has no object between its first and its last line'],
    [text.replace(/=./, (found) => (found === '=A' ? '=B' : '=A')), 'check', 'is damaged'],
    [
      text.replace('BEGIN KEYSTRATA CARD', 'BEGIN KEYSTRATA KEYSET'),
      'check',
      'begins as KEYSET, but the object in it is CARD',
    ],
    [text.replace('BEGIN KEYSTRATA CARD', 'BEGIN KEYSTRATA X'), 'check', 'begins as something unknown'],
    ['x'.repeat(4 * 1024 * 1024 + 1), 'too-long', 'is too long'],
  ])('says what is wrong with a text: %#', async (given, reason, message) => {
    const error = await failure(() => dearmor(given), 'invalid-text')
    expect(error.detail).toMatchObject({ reason, ...(reason !== 'empty' && { most: 4 * 1024 * 1024 }) })
    expect(error.message).toContain(message)
  })

  it('finds every slip of one character in the data', async () => {
    const start = text.indexOf('S1NUUg')
    const end = text.indexOf('-----END')
    for (let at = start; at < end; at += 13) {
      const letter = text[at]!
      if (letter === '\n') continue
      const slip = text.slice(0, at) + (letter === 'A' ? 'B' : 'A') + text.slice(at + 1)
      await failure(() => dearmor(slip), 'invalid-text')
    }
  })

  it('does not read endless texts, and reads nothing but texts', async () => {
    await failure(() => dearmor('x'.repeat(4 * 1024 * 1024 + 1)), 'invalid-text')
    expect(() => dearmor(card as never)).toThrow(new TypeError('text must be a string'))
  })

  it('never throws anything else, whatever the text is', async () => {
    const piece = fc.constantFrom(
      'BEGIN KEYSTRATA',
      'END KEYSTRATA',
      ' CARD',
      '-----',
      'S1NUUg',
      '=',
      'AAAA',
      '\n',
      '> ',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(piece, fc.string()), { maxLength: 12 }), async (pieces) => {
        await failure(() => dearmor(pieces.join('')), 'invalid-text', 'malformed', 'unsupported')
      }),
      { numRuns: numRuns(300, 5000) },
    )
  })
})
