// The second reader, continued: refs (SPEC §18.5). Like spec-reader.ts, it was written from SPEC.md alone, and the notes
// there apply.
import { check, hash } from './spec-reader.ts'

export interface ReadRef {
  label: string
  pins: { envelope: Buffer; ciphertext: Buffer } | undefined
  member: string | undefined
}

/** Only one base64url text of 32 bytes is valid: the one that encoding them gives. */
function hashFrom(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  check(bytes.length === 32 && bytes.toString('base64url') === text, 'malformed')
  return bytes
}

/** §18.5 */
export function readRef(ref: string): ReadRef {
  const [label = '', ...rest] = ref.split('.')
  check(/^[0-9a-f]{64}$/.test(label), 'malformed')
  // A hash has 43 characters, and the form of a member has one.
  const hashes = rest[0]?.length === 43 ? rest.splice(0, 2) : []
  check(hashes.length === 0 || hashes.length === 2, 'malformed')
  const [envelope, ciphertext] = hashes.map(hashFrom)
  check(rest.length === 0 || rest.length === 3, 'malformed')
  const [form, index, key] = rest
  if (form === undefined || index === undefined || key === undefined) {
    return { label, pins: envelope && ciphertext && { envelope, ciphertext }, member: undefined }
  }
  check((form === 'g' || form === 'k') && /^(0|[1-9][0-9]{0,3})$/.test(index), 'malformed')
  check(/^[A-Za-z0-9_-]{43}$/.test(key), 'malformed')
  return { label, pins: envelope && ciphertext && { envelope, ciphertext }, member: rest.join('.') }
}

/** §18.5: the two hashes of a stored block of a share */
export const pinsOf = (envelope: Buffer, ciphertext: Buffer): NonNullable<ReadRef['pins']> => ({
  envelope: hash('sha256', envelope),
  ciphertext: hash('sha256', ciphertext),
})
