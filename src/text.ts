// Text that people type, as bytes: the same on every keyboard and operating system (SPEC §1.2).
import { type Bytes, utf8 } from './bytes.ts'

/**
 * Bytes of a text: every space of Unicode class Zs becomes U+0020, then NFC, then UTF-8.
 * @throws TypeError for what is not a string, and for lone surrogates, which have no UTF-8 form.
 */
export function encodeText(text: string, what: string): Bytes {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`)
  if (!text.isWellFormed()) throw new TypeError(`${what} is not well-formed Unicode`)
  return utf8(text.replace(/\p{Zs}/gu, ' ').normalize('NFC'))
}
