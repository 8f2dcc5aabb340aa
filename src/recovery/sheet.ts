// A recovery code on paper: one HTML file that a browser prints on A4 or Letter (SPEC §20.2 has the code). It has no script,
// loads nothing, and says only what the caller says. Not protected: anyone who finds the sheet has the code.
import encodeQR from 'qr'
import { inGroups } from '../core/code.ts'
import { assertPlain, optionsFrom } from '../core/options.ts'
import { assertText } from '../core/text.ts'
import { readCodeOrPart } from './split.ts'

/** Black on white, with plain fonts: it must be readable after years, and on any printer. */
const STYLE = `
@page { margin: 15mm }
* { box-sizing: border-box; margin: 0; padding: 0 }
html { color: #111; background: #fff; font: 10.5pt/1.42 system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif }
body { max-width: 190mm; margin: 0 auto; padding: 10mm 8mm; overflow-wrap: anywhere }
h1 { font-size: 20pt; line-height: 1.15; text-wrap: balance; letter-spacing: -0.015em }
.text { margin-top: 5mm }
.text p + p { margin-top: 2.5mm }
.code { display: flex; align-items: center; justify-content: space-between; gap: 6mm; margin-top: 7mm; padding: 4mm 4mm 4mm 9mm; border: 0.5mm solid #111; border-radius: 3mm; break-inside: avoid; direction: ltr }
ol { list-style: none; flex: 1; max-width: 110mm; display: grid; grid-template-columns: repeat(3, max-content); justify-content: space-between; gap: 9mm 6mm }
li { font: 600 21pt/1 ui-monospace, 'Cascadia Mono', Consolas, Menlo, 'DejaVu Sans Mono', monospace; font-feature-settings: 'zero'; letter-spacing: 0.05em }
svg { width: 52mm; height: 52mm; flex: none; shape-rendering: crispEdges }
dl { display: grid; grid-template-columns: max-content 1fr; margin-top: 7mm; font-size: 9.5pt; border-top: 0.25mm solid #999 }
dt, dd { padding: 1.3mm 0; border-bottom: 0.25mm solid #ccc; break-inside: avoid }
dt { color: #555; padding-inline-end: 10mm; max-width: 60mm }
dd { font-variant-numeric: tabular-nums }
@media print { body { padding: 0; max-width: none } }
@media (max-width: 600px) { body { padding: 5mm } .code { flex-direction: column; padding: 6mm 4mm } ol { flex: none; gap: 5mm } li { font-size: 15pt } dt { max-width: 30vw; padding-inline-end: 4mm } }
`

/**
 * Returns a page with a recovery code, to print and to put away: one HTML file with the code in groups and as a QR code. It
 * prints on one page of A4 or Letter, with up to about five short paragraphs and eight facts. All texts are yours, in your
 * language: say what the code opens, how to use it, where the store is, and that anyone with the sheet who can read the store
 * can read the data. Show it in a frame or save it as a file, and let the user print it; do not send it anywhere.
 * A frame from a blob URL inherits the content-security policy of your page, which must then allow inline styles.
 * @param options `code`: a recovery code, or one part of a split one. `title` and `text`: plain text; a line end in `text`
 *   starts a paragraph. `facts`: names and values for a table, such as the address of the store, the id and the revision of
 *   the keyset, and the date
 * @throws KeystrataError `invalid-text` if `code` is neither a recovery code nor a part of one; or if a text has a lone surrogate
 * @throws TypeError if a text is not a string, or for an unknown option
 * @example
 * ```ts
 * import { generateRecoveryCode, recoverySheet } from 'keystrata/recovery'
 *
 * const facts = { Store: 's3://backup-4711', Printed: new Date().toDateString() }
 * const text = 'This code opens your backup without its password.\nKeep it where only you can find it.'
 * const html = recoverySheet({ code: generateRecoveryCode(), title: 'Recovery sheet', text, facts })
 * ```
 */
export function recoverySheet(options: {
  code: string
  title: string
  text: string
  facts: Readonly<Record<string, string>>
}): string {
  const rules = { code: 'required', title: 'required', text: 'required', facts: 'required' } as const
  const { code, title, text, facts } = optionsFrom(options, rules, 'recoverySheet')
  const groups = inGroups(readCodeOrPart(code))
  const heading = escaped(title, 'title')
  const paragraphs = escaped(text, 'text')
    .split('\n')
    .filter((line) => line.trim() !== '')
  assertPlain(facts, 'facts must be an object of texts')
  const rows = Object.entries(facts)
  const picture = encodeQR(groups, 'svg', { ecc: 'quartile', border: 4 })
  return `<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${heading}</title>
<style>${STYLE}</style>
</head>
<body dir="auto">
<h1>${heading}</h1>
<div class="text">${paragraphs.map((line) => `<p dir="auto">${line}</p>`).join('\n')}</div>
<div class="code">
<ol>${groups
    .split('-')
    .map((group) => `<li>${group}</li>`)
    .join('')}</ol>
${picture.replace('<svg ', '<svg role="img" aria-label="QR" ')}
</div>
<dl>
${rows.map(([name, value]) => `<dt><bdi>${escaped(name, 'facts')}</bdi></dt><dd><bdi>${escaped(value, 'facts')}</bdi></dd>`).join('\n')}
</dl>
</body>
</html>
`
}

/** @throws KeystrataError `invalid-text`; TypeError */
function escaped(text: string, what: string): string {
  assertText(text, what)
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)
}
