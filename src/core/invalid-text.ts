// What is wrong with a text that somebody typed or pasted, as an error that says what to do. It never has the text.
import { KeystrataError } from './errors.ts'

/** What is wrong with a text; `detail.reason` of an `invalid-text`. `too-few` and `mixed` are about the parts of a code. */
export type TextReason =
  'empty' | 'too-long' | 'control-character' | 'unassigned' | 'lone-surrogate' | 'check' | 'too-few' | 'mixed'

/** A character that a text must not have. */
export interface BadCharacter {
  readonly reason: 'control-character' | 'unassigned' | 'lone-surrogate'
  readonly point: number
  /** Its index in characters, from 0. */
  readonly position: number
  /** Whether nothing that can be seen follows. */
  readonly isAtEnd: boolean
  /** Whether only this runtime does not know it. */
  readonly isNewHere?: boolean
}

/**
 * Returns the error for a text that nobody can derive a key from, or that is not what it should be.
 * @param field what the text is: `password`, `realm`, `activation code`
 */
export function invalidText(
  reason: TextReason,
  field: string,
  message: string,
  detail: KeystrataError['detail'] = {},
): KeystrataError {
  return new KeystrataError('invalid-text', message, { reason, field, ...detail })
}

/** @param isBlank whether the text has characters, but none that can be seen */
export const emptyText = (field: string, isBlank: boolean): KeystrataError =>
  invalidText(
    'empty',
    field,
    `the ${field} ${isBlank ? 'has no character that can be seen' : 'is empty'}: type it again`,
  )

export function badCharacter(field: string, bad: BadCharacter): KeystrataError {
  const { reason, point, position } = bad
  const codePoint = `U+${point.toString(16).toUpperCase().padStart(4, '0')}`
  return invalidText(reason, field, messageFor(field, bad, codePoint), { codePoint, position })
}

function messageFor(field: string, bad: BadCharacter, codePoint: string): string {
  const { reason, point, isAtEnd, isNewHere = false } = bad
  const where = `(${codePoint}) ${placeOf(bad)}`
  switch (reason) {
    case 'control-character':
      return `the ${field} has ${nameOf(point)} ${where}${isAtEnd && SHAPERS.includes(point) ? OF_SHAPER : OF_HIDDEN}`
    case 'unassigned':
      return isNewHere
        ? `the ${field} has a character ${where} that this browser or runtime is too old to know: update it, or use another character`
        : `the ${field} has a character ${where} that Unicode 16.0 does not have: use another one, which every device knows`
    case 'lone-surrogate':
      if (point === 0xfffd)
        return `a character of the ${field} was lost when this text was decoded ${where}: type it again`
      return isAtEnd
        ? `the last character of the ${field} is incomplete (${codePoint}): it was cut, perhaps by a maximum length; type it again`
        : `the ${field} has an incomplete character ${where}: it was cut, perhaps by a maximum length; type it again`
  }
}

function placeOf({ position, isAtEnd }: BadCharacter): string {
  if (position === 0) return 'at its start'
  if (isAtEnd) return 'at its end'
  return `after ${position} ${position === 1 ? 'character' : 'characters'}`
}

/** Joiners, a separator and variation selectors that words in Malayalam, Bengali, Persian and Mongolian end with. */
const SHAPERS: readonly number[] = [0x200c, 0x200d, 0x180b, 0x180c, 0x180d, 0x180e, 0x180f]

const OF_SHAPER =
  ', where it is invisible. In some languages it changes the letter before it: use another spelling or another text'

const OF_HIDDEN = ': remove it: it is invisible, and with it the keys would be different'

function nameOf(point: number): string {
  if ([0x0a, 0x0b, 0x0c, 0x0d, 0x85, 0x2028, 0x2029].includes(point)) return 'a line end'
  if (point === 0x09) return 'a tab'
  if (point === 0xfeff) return 'a byte order mark'
  if (point === 0xfffc) return 'the place of a lost picture'
  return point < 0xa0 ? 'a control character' : 'an invisible character'
}
