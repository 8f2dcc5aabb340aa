// The second reader, continued: text (SPEC §1.2). Like spec-reader.ts, it was written from SPEC.md alone.

function accept(ok: boolean): asserts ok {
  if (!ok) throw new Error('invalid-text')
}

/** §1.2 The invisible characters */
const INVISIBLE =
  /[\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u206F\uFFF9-\uFFFB\u{1BCA0}-\u{1BCA3}\u{1D173}-\u{1D17A}\u{E0001}\u{E0020}-\u{E007F}]/u
/** §1.2 The blank ones */
const BLANK =
  /[\u034F\u17B4\u17B5\u180B-\u180D\u180F\uFE00-\uFE0F\u{E0100}-\u{E01EF}\u{16FE4}\u115F\u1160\u2800\u3164\uFFA0\u{13441}\u{13442}\u{1D159}]/u

/** §1.2 Text: what is refused, and the normalization that passwords and names share */
export function text(given: string): string {
  accept(given.isWellFormed())
  accept(!/[\p{Cc}\u2028\u2029\uFEFF\uFFFC\uFFFD]/u.test(given))
  // The characters of the runtime, which has Unicode 16.0 or a later version
  accept(!/\p{Cn}/u.test(given))
  const hidden = (c: string) => /\p{Zs}/u.test(c) || INVISIBLE.test(c) || BLANK.test(c)
  // Tags belong to a black flag, and one variation selector to the character before it.
  const shown = given.replace(
    /(\u{1F3F4})[\u{E0020}-\u{E007E}]+\u{E007F}|(.)[\uFE00-\uFE0F\u{E0100}-\u{E01EF}]/gu,
    (all: string, flag: string | undefined, before: string) => flag ?? (hidden(before) ? all : before),
  )
  const letters = Array.from(shown)
  const from = letters.findIndex((c) => !hidden(c))
  const to = letters.findLastIndex((c) => !hidden(c))
  accept(from >= 0)
  accept([...letters.slice(0, from), ...letters.slice(to + 1)].every((c) => /\p{Zs}/u.test(c)))
  return given.replace(/\p{Zs}/gu, ' ').normalize('NFC')
}

/** §1.2 The letters with case, and what is skipped between one and a Σ */
const CASED =
  '[A-Za-z\xAA\xB5\xBA\xC0-\xD6\xD8-\xF6\xF8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377' +
  '\u037B-\u037D\u037F\u0386\u0388-\u03F5\u03F7-\u0481\u048A-\u052F\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A' +
  '\u1E00-\u1FBC\u1FBE\u1FC2-\u1FCC\u1FD0-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FFC]'
const SKIPPED =
  "[\u0483-\u0489\u20D0-\u20F0.:'^`\xA8\xAD\xAF\xB4\xB7\xB8\u02B0-\u036F\u0374\u0375\u037A\u0384\u0385\u0387" +
  '\u1D2C-\u1D6A\u1D78\u1D9B-\u1DFF\u1FBD\u1FBF-\u1FC1\u1FCD-\u1FCF\u1FDD-\u1FDF\u1FED-\u1FEF\u1FFD\u1FFE' +
  '\u200B-\u200F\u2018\u2019\u2024\u2027\u202A-\u202E\u2060-\u206F\u2071\u207F\u2090-\u209C]'

/** §1.2 The name of a user */
export function userName(given: string): string {
  const name = text(given)
  const isFinal = (at: number) =>
    new RegExp(`${CASED}${SKIPPED}*$`).test(name.slice(0, at)) &&
    !new RegExp(`^${SKIPPED}*${CASED}`).test(name.slice(at + 1))
  return name
    .replace(/\u03A3/g, (_, at: number) => (isFinal(at) ? '\u03C2' : '\u03C3'))
    .replace(/./gsu, (letter) => letter.toLowerCase())
    .normalize('NFC')
}

export const passwordBytes = (password: string): Buffer => Buffer.from(text(password), 'utf8')

/** §1.2 Text that a person typed or pasted: a code, a fingerprint */
export function plain(typed: string): string {
  accept(typed.isWellFormed() && typed.length <= 256)
  const added =
    /[\uFE0E\uFE0F\p{White_Space}\p{Pd}\u2212"'`>|\u00B4\u2032-\u2037\p{Quotation_Mark}.,:;/_*()[\]{}<\u00B7\u2022\u060C\u061B\u06D4\u2027\u2219\u22C5\u3001\u3002\u30FB\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]/gu
  const left = typed.replace(added, '').normalize('NFKC').replace(added, '')
  return left
    .replace(/\p{Nd}/gu, (digit) => (digit.length === 1 ? String(valueOf(digit)) : digit))
    .replace(/[Oo]/g, '0')
    .replace(/[IiLl\u0130\u0131]/g, '1')
}

/** The digits of a script follow each other, from 0 to 9. */
function valueOf(digit: string): number {
  const point = digit.codePointAt(0) ?? 0
  const isDigit = (at: number) => /\p{Nd}/u.test(String.fromCodePoint(at))
  let zero = point
  while (isDigit(zero - 1)) zero--
  return (point - zero) % 10
}
