// Row 34. Somebody changes or replaces an object that people mail, print and paste as text, or a sheet's texts. They want
// a person to use another card, invite or keyset than they believe to see. Nothing in front of the data is protected.
import { describe, expect, it } from 'vitest'
import { parseCard, unlockKeyset } from '../../src/index.ts'
import { armor, dearmor, generateRecoveryCode, recoverySheet } from '../../src/recovery.ts'
import { concat, domain } from '../../src/core/bytes.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { expectSame, failure, flipped, PASSWORD, quickly, resummed } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const [owner, thief, friend] = await Promise.all([quickKeyset(), quickKeyset(), quickKeyset()])
const { share, keyset } = owner.createShare()
const card = armor(keyset.card().bytes)
const stored = armor(keyset.export('storage'))
const invite = armor(share.invite(friend.card()))
const { fingerprint } = keyset.card()
const linesOf = (text: string) => text.trimEnd().split('\n')

/** Writes a text with other data, and the checksum that belongs to it, under the first lines of an honest text. */
function withData(text: string, object: Uint8Array): string {
  const lines = linesOf(text)
  const data = Buffer.from(object)
    .toString('base64')
    .replaceAll('=', '')
    .match(/.{1,64}/g)!
  const check = Buffer.from(sha256(concat(domain('armor'), object)).subarray(0, 6)).toString('base64')
  return [...lines.slice(0, lines.indexOf('') + 1), ...data, `=${check}`, lines.at(-1)!, ''].join('\n')
}

describe('somebody who changes an object in a mail wants another object to be used', () => {
  it('the construction of the forged texts is right', () => {
    expect(withData(card, keyset.card().bytes)).toBe(card)
  })

  it('changes the lines for people: nothing reads them', () => {
    const lines = linesOf(stored)
    expect(lines.slice(1, 4).map((line) => line.split(':')[0])).toEqual(['Id', 'Revision', 'Export'])
    const lied = [
      lines[0]!,
      `Id: ${thief.id}`,
      `Revision: 999-${'0'.repeat(32)}`,
      'Export: host',
      'Fingerprint: 00000 00000',
      ...lines.slice(4),
    ]
    expectSame(dearmor(lied.join('\n')), keyset.export('storage'))
  })

  it('calls an object something else', async () => {
    for (const [text, kinds] of [
      [card, ['KEYSET', 'INVITE', 'CARDS', 'THING']],
      [invite, ['CARD', 'KEYSET']],
      [stored, ['CARD', 'SLOT LIST']],
    ] as const) {
      const own = /BEGIN KEYSTRATA ([A-Z]+)/.exec(text)![1]!
      for (const kind of kinds.filter((each) => !each.startsWith(own))) {
        await failure(() => dearmor(text.replaceAll(`KEYSTRATA ${own}`, `KEYSTRATA ${kind}`)), 'invalid-text')
      }
    }
  })

  it('adds an object of its own before or behind the honest one', async () => {
    const theirs = armor(thief.card().bytes)
    for (const text of [theirs + card, card + theirs, `> ${theirs.replaceAll('\n', '\n> ')}\n${card}`]) {
      await failure(() => dearmor(text), 'invalid-text')
    }
    // Data without its own first and last line, in front of the honest data or behind it.
    const lines = linesOf(card)
    const data = linesOf(theirs).slice(linesOf(theirs).indexOf('') + 1, -1)
    const at = lines.indexOf('') + 1
    for (const where of [at, lines.length - 1]) {
      await failure(() => dearmor(lines.toSpliced(where, 0, ...data).join('\n')), 'invalid-text')
    }
  })

  it('puts its own object under the honest lines: the checks of each object find it', async () => {
    const swapped = dearmor(withData(card, thief.card().bytes))
    await failure(() => parseCard(swapped, { fingerprint }), 'key-changed')
    const theirs = dearmor(withData(stored, thief.export('storage')))
    const options = { atLeast: keyset.revision }
    await failure(() => quickly(() => unlockKeyset(theirs, PASSWORD, options)), 'forked', 'rollback')
    const { share: other, keyset: sharing } = thief.createShare()
    const lure = dearmor(withData(invite, other.invite(friend.card())))
    await failure(() => friend.acceptShare(lure, keyset.card()), 'authentication-failed')
    expect(friend.acceptShare(lure, sharing.card()).id).toBe(other.id)
  })

  it('changes a byte of the object, and corrects both checksums', async () => {
    const object = keyset.card().bytes
    for (let at = 0; at < object.length; at += 7) {
      const changed = flipped(object, at)
      const text = linesOf(card)
      text[text.indexOf('') + 1] = linesOf(withData(card, changed))[text.indexOf('') + 1]!
      if (at < 48) await failure(() => dearmor(text.join('\n')), 'invalid-text')
      const codes = ['authentication-failed', 'malformed', 'unsupported', 'invalid-text', 'key-changed'] as const
      await failure(() => parseCard(dearmor(withData(card, changed)), { fingerprint }), ...codes)
    }
    const whole = keyset.export('storage')
    const storage = flipped(whole, whole.length - 100)
    const opened = dearmor(withData(stored, resummed(storage)))
    await failure(() => quickly(() => unlockKeyset(opened, PASSWORD)), 'authentication-failed', 'wrong-password')
  })
})

describe('somebody who chooses a text on a sheet wants it to run, or to hide the code', () => {
  it('every text is shown as text', () => {
    const code = generateRecoveryCode()
    const evil = '</p><script>alert(1)</script><img src=x onerror=alert(1)>"\'&'
    const html = recoverySheet({ code, title: evil, text: `${evil}\n${evil}`, facts: { [evil]: evil } })
    expect(html).not.toContain('<script')
    expect(html).not.toContain('<img')
    for (const group of code.split('-')) expect(html).toContain(`>${group}<`)
  })
})
