import encodeQR from 'qr'
import { describe, expect, it } from 'vitest'
import { generateRecoveryCode, recoverySheet, splitRecoveryCode } from '../../src/recovery.ts'
import { failure } from '../fixtures.ts'

const code = generateRecoveryCode()
const given = {
  code,
  title: 'Recovery sheet',
  text: 'First.\n\nSecond.',
  facts: { Store: 's3://backup', Printed: 'today' },
}

describe('recoverySheet', () => {
  it('has the code in groups, all texts of the caller, and a picture', () => {
    const html = recoverySheet(given)
    for (const group of code.split('-')) expect(html).toContain(`>${group}<`)
    for (const part of ['>Recovery sheet</h1>', '>First.<', '>Second.<', '>Store<', '>s3://backup<', '<svg '])
      expect(html).toContain(part)
    expect(html.match(/<p /g)).toHaveLength(2)
  })

  it('has one paragraph for each line that has text, and the facts in their order', () => {
    const html = recoverySheet({ ...given, text: 'First.\n\n \n\t\nSecond.\nThird.\n' })
    expect(html).toContain(
      '<div class="text"><p dir="auto">First.</p>\n<p dir="auto">Second.</p>\n<p dir="auto">Third.</p></div>',
    )
    const groups = code.split('-').map((group) => `<li>${group}</li>`)
    expect(html).toContain(`<ol>${groups.join('')}</ol>\n<svg role="img" aria-label="QR" `)
    expect(html).toContain(
      '<dl>\n<dt><bdi>Store</bdi></dt><dd><bdi>s3://backup</bdi></dd>\n<dt><bdi>Printed</bdi></dt><dd><bdi>today</bdi></dd>\n</dl>',
    )
  })

  it('has a QR code that can be read with a quarter of it damaged, and a quiet zone of four modules', () => {
    const picture = encodeQR(code, 'svg', { ecc: 'quartile', border: 4 })
    expect(recoverySheet(given)).toContain(
      `</ol>\n${picture.replace('<svg', '<svg role="img" aria-label="QR"')}\n</div>`,
    )
  })

  it('writes the code in its plain form, however it was typed', () => {
    const typed = ` ${code.toLowerCase().replaceAll('-', '')} `
    expect(recoverySheet({ ...given, code: typed })).toBe(recoverySheet(given))
  })

  it('takes one part of a code', async () => {
    const [part = ''] = await splitRecoveryCode(code, { parts: 3, needed: 2 })
    const html = recoverySheet({ ...given, code: part })
    for (const group of part.split('-')) expect(html).toContain(`>${group}<`)
    expect(html.match(/<li/g)).toHaveLength(9)
  })

  it('needs no network and no script, and shows texts as texts', () => {
    const nasty = '</title><script>alert(1)</script>"\'&amp;'
    const html = recoverySheet({ code, title: nasty, text: nasty, facts: { [nasty]: nasty } })
    expect(html).not.toMatch(/<script|<\/title><|href=|src=|url\(|@import/i)
    expect(html).toContain("default-src 'none'")
    expect(html).toContain('&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;amp;')
  })

  it('refuses what is no code, and what is no text', async () => {
    const { detail } = await failure(() => recoverySheet({ ...given, code: 'hunter2' }), 'invalid-text')
    expect(detail).toMatchObject({ field: 'recovery code' })
    await failure(() => recoverySheet({ ...given, code: '' }), 'invalid-text')
    await failure(() => recoverySheet({ ...given, title: 'x\ud800' }), 'invalid-text')
    for (const wrong of [
      { ...given, title: 5 },
      { ...given, text: undefined },
      { ...given, facts: 'x' },
      { ...given, facts: null },
      { ...given, facts: ['x'] },
      { ...given, facts: new Map([['Store', 'x']]) },
      { ...given, facts: { Store: 5 } },
      { ...given, font: 'x' },
      undefined,
    ])
      expect(() => recoverySheet(wrong as never)).toThrow(TypeError)
  })
})
