// What is wrong with a text that somebody typed or pasted, as an error that says what to do. It never has the text.
import { KeystrataError } from './errors.ts'

/** What is wrong with a text; `detail.reason` of an `invalid-text`. */
export type TextReason = 'empty' | 'too-long' | 'control-character' | 'unassigned' | 'lone-surrogate' | 'check'

/** A character that a text must not have. */
export interface BadCharacter {
  readonly reason: 'control-character' | 'unassigned' | 'lone-surrogate'
  readonly point: number
  /** Its index in characters, from 0. */
  readonly position: number
  /** Whether nothing but line ends follows. */
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

export function badCharacter(
  field: string,
  { reason, point, position, isAtEnd, isNewHere }: BadCharacter,
): KeystrataError {
  const codePoint = `U+${point.toString(16).toUpperCase().padStart(4, '0')}`
  const place = position === 0 ? 'at its start' : isAtEnd ? 'at its end' : `after ${position} characters`
  const message = `the ${field} has ${messageFor(reason, point, `${codePoint}) ${place}`, isNewHere === true)}`
  return invalidText(reason, field, message, { codePoint, position })
}

function messageFor(reason: BadCharacter['reason'], point: number, where: string, isNewHere: boolean): string {
  switch (reason) {
    case 'control-character':
      return `${nameOf(point)} (${where}: remove it, because nobody sees it and it changes the result`
    case 'unassigned':
      return isNewHere
        ? `a character (${where} that this browser or runtime is too old to know: update it, or use another character`
        : `a character (${where} that Unicode 16.0 does not have: use another one, which every device knows`
    case 'lone-surrogate':
      return `half of a character (${where}: it was cut, perhaps by a maximum length; type it again`
  }
}

function nameOf(point: number): string {
  if ([0x0a, 0x0b, 0x0c, 0x0d, 0x85, 0x2028, 0x2029].includes(point)) return 'a line end'
  if (point === 0x09) return 'a tab'
  if (point === 0xfeff) return 'a byte order mark'
  return point < 0xa0 ? 'a control character' : 'an invisible character'
}
