// Objects as text (SPEC §20.6): people mail exports, cards and invites, print them, and paste them back. The text survives
// quoting, other line ends and other line lengths. Not protected: it is as secret as the object. The lines in front of the
// data are for people: nothing reads them, so they may lie.
import { type Bytes, bytesFrom, copyOf, domain, equalBytes, fromBase64, toBase64, toHex } from '../core/bytes.ts'
import { bytes, decode, list, rest, struct, uint8, version, within } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { HEADER_BYTES, NOBODY, objectName, ObjectType, parseMagic } from '../core/header.ts'
import { emptyText, invalidText, type TextReason } from '../core/invalid-text.ts'
import { assertText, forgetLastMatch } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'

const FIELD = 'armored text'

const CHECK_BYTES = 6

/** The characters of the check, with its equals sign. */
const CHECK_CHARACTERS = 9

/** The largest object that exists: a saved handle. */
const MAX_OBJECT_BYTES: number = 1024 * 1024 + 4096

/** The longest text that is read. Quoting, and other text around it, may double the length. */
const MAX_TEXT: number = 4 * 1024 * 1024

/** How the data of every object begins: base64 of `KSTR` and the first bits of the version. */
const START = 'S1NUUg'

const BEGIN = 'BEGINKEYSTRATA'
const END = 'ENDKEYSTRATA'

/** White space, marks of quoted mail, and characters that nobody sees. */
const ADDED = /* @__PURE__ */ /[\s\x85>|\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f]/gu

const keysetRevision = struct({
  version,
  id: bytes(16),
  history: list(bytes(24)),
  destination: within<1 | 2 | 3>(uint8, 1, 3),
  others: rest,
})
const delegationRevision = struct({ version, id: bytes(16), others: rest })
const objectVersion = struct({ version, others: rest })

/**
 * Writes an object as text that people can mail, print and paste: lines of 64 characters, with its kind, its id, its
 * revision if it has one, the export if it is a keyset, and a checksum. {@link dearmor} reads it. The text is as secret as the
 * object. A storage export is too long for one QR code; a card and a recovery code fit.
 * @param object an export, a card, an invite, a registration file, or any other object of this library
 * @throws KeystrataError `malformed` if it is not an object of this library
 * @throws KeystrataError `unsupported` if it needs a later release
 * @throws KeystrataError `limit-exceeded` over 1 MiB + 4,096 bytes
 * @throws TypeError if it is not a Uint8Array
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 * import { armor } from 'keystrata/recovery'
 *
 * const toMail = (keyset: Keyset) => armor(keyset.card().bytes)
 * ```
 */
export function armor(object: Uint8Array): string {
  const given = bytesFrom(object, 'object')
  if (given.length > MAX_OBJECT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'this is too large to be an object of keystrata', {
      bytes: given.length,
    })
  }
  const kind = kindOf(given)
  const data = toBase64(given).match(/.{1,64}/g) ?? []
  forgetLastMatch()
  return [
    `-----BEGIN KEYSTRATA ${kind}-----`,
    ...factsOf(given),
    '',
    ...data,
    `=${toBase64(checkOf(given))}`,
    `-----END KEYSTRATA ${kind}-----`,
    '',
  ].join('\n')
}

/** All kinds, in capitals. The longest come first, because some begin like others. */
const KINDS: readonly string[] = /* @__PURE__ */ Object.values(ObjectType)
  .map((type) => objectName(type)?.toUpperCase() ?? '')
  .sort((one, other) => other.length - one.length)

/** Returns the kind of an object, in capitals. */
function kindOf(object: Uint8Array): string {
  const { type, version: format } = parseMagic(object, 'object')
  const name = format === 1 ? objectName(type) : undefined
  if (name !== undefined) return name.toUpperCase()
  throw new KeystrataError('unsupported', 'this object needs a later release', {
    object: 'object',
    field: 'type',
    found: type,
  })
}

const DESTINATIONS = { 1: 'host', 2: 'definition', 3: 'storage' } as const

/** Returns the lines for people. */
function factsOf(object: Uint8Array): string[] {
  const { type, keyId, ownerId } = parseMagic(object, 'object')
  const body = object.subarray(HEADER_BYTES)
  const id = `Id: ${toHex(equalBytes(ownerId, NOBODY) ? keyId : ownerId)}`
  switch (type) {
    case ObjectType.keyset: {
      const revision = decode(keysetRevision, body, 'keyset')
      const text = `${revision.version}-${toHex(revision.id)}`
      return [id, `Revision: ${text}`, `Export: ${DESTINATIONS[revision.destination]}`]
    }
    case ObjectType.delegation: {
      const revision = decode(delegationRevision, body, 'delegation')
      return [id, `Revision: ${revision.version}-${toHex(revision.id)}`]
    }
    case ObjectType.profile:
      return [id, `Revision: ${decode(objectVersion, body, 'profile').version}`]
    default:
      return [id]
  }
}

const checkOf = (object: Uint8Array): Bytes => copyOf(sha256(domain('armor'), object).subarray(0, CHECK_BYTES))

/**
 * Reads an object from text that {@link armor} wrote. It forgives what mail programs and people do to it: quoting, other line
 * ends, lines that were joined or broken, and other text around it.
 * @returns the bytes of the object. Only what opens it shows whether it is authentic
 * @throws KeystrataError `invalid-text` if the text has no such object, has different ones, is truncated, or its checksum does not
 *   match
 * @throws KeystrataError `malformed`, `unsupported` if its object is not one of this library, or needs a later release
 * @throws TypeError if it is not a string
 * @example
 * ```ts
 * import { parseCard } from 'keystrata'
 * import { dearmor } from 'keystrata/recovery'
 *
 * const readCard = (pasted: string, fingerprint: string) => parseCard(dearmor(pasted), { fingerprint })
 * ```
 */
export function dearmor(text: string): Bytes {
  if (typeof text !== 'string') throw new TypeError('text must be a string')
  if (text.length > MAX_TEXT) throw invalid('too-long', 'is too long to hold an object')
  assertText(text, FIELD)
  const plain = text.replace(ADDED, '')
  forgetLastMatch()
  if (plain === '') throw emptyText(FIELD, text !== '')
  const [first, ...others] = plain.split(BEGIN).slice(1).map(objectAfter)
  if (first === undefined) throw invalid('check', 'has no line BEGIN KEYSTRATA: paste all of it')
  // A mail may quote what it answers. Only different objects are a mistake.
  if (others.every((each) => equalBytes(each, first))) return first
  throw invalid('check', 'has more than one object: paste one at a time')
}

/** Reads the object in what follows the word BEGIN. */
function objectAfter(text: string): Bytes {
  const end = text.indexOf(END)
  if (end < 0) throw invalid('check', 'is truncated: the line END KEYSTRATA is missing')
  const start = text.indexOf(START)
  if (start < 0 || start > end) throw invalid('check', 'has no object between its first and its last line')
  const object = objectIn(text.slice(start, end))
  const kind = kindOf(object)
  const named = KINDS.find((each) => text.startsWith(each.replaceAll(' ', '')))
  if (named === kind) return object
  throw invalid('check', `begins as ${named ?? 'something unknown'}, but the object in it is ${kind}`)
}

/** Decodes the data and its check. Dashes of the last line, of any kind, may follow. */
function objectIn(body: string): Bytes {
  const at = body.lastIndexOf('=')
  const object = fromBase64(body.slice(0, Math.max(at, 0)))
  const check = fromBase64(body.slice(at + 1, at + CHECK_CHARACTERS))
  const holds = object !== undefined && check !== undefined && equalBytes(checkOf(object), check)
  if (holds && !/[\w+/]/.test(body.slice(at + CHECK_CHARACTERS))) return object
  throw invalid('check', 'is damaged: its checksum does not match. Copy all of it again')
}

const invalid = (reason: TextReason, message: string): KeystrataError =>
  invalidText(reason, FIELD, `the ${FIELD} ${message}`, { most: MAX_TEXT })
