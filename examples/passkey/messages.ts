// The messages that the page shows to people.
import { KeystrataError } from 'keystrata'
import { PasskeyError, type PasskeyProblem } from './passkey.ts'

/** What the user opened something with, or tried to. */
export type By = 'password' | 'passkey' | 'code'

/** Each says what to do instead. */
export const PASSKEY_PROBLEMS: Record<PasskeyProblem, string> = {
  'no-passkeys': 'This browser has no passkeys. Use a recovery code instead.',
  'no-secret':
    'This passkey cannot keep a secret (the PRF extension), so it cannot open a keyset. Use another device or password manager, or a recovery code.',
  'not-used':
    'No passkey was used. The request was cancelled or took too long, or this device has no passkey for this keyset. Try again, or use the password or a recovery code.',
  'already-there': 'This device already has a passkey for this keyset. It was not replaced.',
  'wrong-address':
    'Passkeys do not work at this address. Open this page by the name of its host over HTTPS, or by http://localhost. A recovery code works here too.',
}

export const OLD_SLOTS = 'The master key was replaced. Renew the marked ways in, so that they open the newest keyset.'

export const DAMAGED_SLOTS =
  'The list of the other ways in is damaged. Renew it, and then add each passkey and code again.'

const NO_SLOT: Record<By, string> = {
  password: '',
  passkey:
    'This passkey does not open the keyset. Its slot was removed, or it belongs to another keyset. Use the password, another passkey, or a recovery code.',
  code: 'This is a valid recovery code, but not one of this keyset, or its slot was removed. Use the password, another code, or a passkey.',
}

const NOT_RENEWED =
  'The master key was replaced, and this way in was not renewed. Unlock with the password, and renew the ways in.'

/** @param by what the user tried to open the keyset with, if that is what failed */
export function explain(error: unknown, by?: By): string {
  if (error instanceof PasskeyError) return PASSKEY_PROBLEMS[error.problem]
  if (error instanceof KeystrataError) return explainCode(error, by)
  if (error instanceof DOMException && error.name === 'QuotaExceededError') {
    return 'The browser has no space left for this page, so this was not stored. Make room, and try again.'
  }
  return `An unexpected error occurred: ${String(error)}`
}

function explainCode({ code, message, detail }: KeystrataError, by: By | undefined): string {
  switch (code) {
    case 'wrong-password':
      return by === 'password'
        ? 'The password is wrong.'
        : 'The password was changed in the meantime. Lock the keyset, and unlock it with the new password.'
    case 'key-not-found':
      if (by === undefined) return 'This was already removed.'
      return detail['object'] === 'keyset' ? NOT_RENEWED : NO_SLOT[by]
    case 'invalid-text':
      if (by === 'code') return 'This is not a recovery code: it has a typing mistake, or is not complete.'
      return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
    case 'missing':
      return 'This browser does not have the keyset any more.'
    case 'authentication-failed':
    case 'malformed':
    case 'forked':
    case 'rollback':
      return 'What the browser has stored was damaged or altered, so it was not used.'
    case 'limit-exceeded':
      return detail['object'] === 'slots'
        ? 'This keyset has no room for another way in. Remove one first.'
        : `This exceeds a limit: ${message}.`
    case 'unsupported':
      return 'A newer version of this page has written the keyset. Reload the page.'
    default:
      return `An unexpected error occurred: ${message}.`
  }
}
