// The messages that the page shows to people.
import { KeystrataError } from 'keystrata'
import type { Step } from './sealed-file.ts'

export const STEPS: Record<'seal' | 'open', Record<Step, string>> = {
  seal: { password: 'Deriving the key from the password…', content: 'Sealing the file…' },
  open: { password: 'Deriving the key from the password…', content: 'Opening the file…' },
}

/** Explains an error. A wrong password and a damaged file always get different messages. */
export function explain(error: unknown): string {
  if (error instanceof KeystrataError) return explainCode(error)
  if (error instanceof DOMException) {
    return 'The browser cannot read this file. It may have changed or moved since you chose it, or be a folder.'
  }
  return `An unexpected error occurred: ${String(error)}`
}

function explainCode({ code, message }: KeystrataError): string {
  switch (code) {
    case 'wrong-password':
      return 'The password is not the right one for this file.'
    case 'malformed':
      return 'This file is damaged or not complete, so it cannot be opened. Try another copy of it.'
    case 'authentication-failed':
    case 'key-not-found':
    case 'policy':
      return 'The password is right, but the file was damaged or altered after it was sealed. It was not opened. Try another copy of it.'
    case 'unsupported':
      return 'This page does not know the format of this file. Try a newer version of this page.'
    case 'invalid-text':
      return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
    case 'limit-exceeded':
      return `This exceeds a limit of this page: ${message}.`
    case 'aborted':
      return 'Cancelled. Nothing was saved.'
    default:
      return `An unexpected error occurred: ${message}.`
  }
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']

export function sizeOf({ size }: Blob): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(size, 1)) / 3), UNITS.length - 1)
  const unitDisplay = power === 0 ? 'long' : 'short'
  const format = { style: 'unit', unit: UNITS[power], unitDisplay, maximumFractionDigits: 1 } as const
  return (size / 1000 ** power).toLocaleString('en', format)
}
