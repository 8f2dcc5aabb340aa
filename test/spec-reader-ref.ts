// The second reader, continued: refs (SPEC §6.5). Like spec-reader.ts, it was written from SPEC.md alone, and the notes
// there apply.
import { check, hash } from './spec-reader.ts'

export interface ReadRef {
  label: string
  hash: Buffer | undefined
  member: string | undefined
}

/** Only one base64url text of 32 bytes is valid: the one that encoding them gives. */
function hashFrom(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  check(bytes.length === 32 && bytes.toString('base64url') === text, 'malformed')
  return bytes
}

/** §6.5 */
export function readRef(ref: string): ReadRef {
  const [label = '', ...rest] = ref.split('.')
  check(/^[0-9a-f]{64}$/.test(label), 'malformed')
  // A hash has 43 characters, and the form of a member has one.
  const [text] = rest[0]?.length === 43 ? rest.splice(0, 1) : []
  const hash = text === undefined ? undefined : hashFrom(text)
  check(rest.length === 0 || rest.length === 3, 'malformed')
  const [form, index, key] = rest
  if (form === undefined || index === undefined || key === undefined) return { label, hash, member: undefined }
  check((form === 'g' || form === 'k') && /^(0|[1-9][0-9]{0,3})$/.test(index), 'malformed')
  check(/^[A-Za-z0-9_-]{43}$/.test(key), 'malformed')
  return { label, hash, member: rest.join('.') }
}

/** §6.5: the hash of a stored block of a share */
export const hashOf = (ciphertext: Buffer): Buffer => hash('sha256', ciphertext)
