// Typed keys (SPEC §16.1): derive a key from a text that people type. The same text gives the same key on every
// machine, so another machine can restore. An attacker has to guess the text, and every guess costs one Argon2id hash.
import { type Bytes, domain, EMPTY, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { invalidText } from '../core/invalid-text.ts'
import { fieldsFrom } from '../core/options.ts'
import { type Argon2Costs, type HashOptions, hashPassword } from '../core/password.ts'
import { SecretKey } from '../core/secret.ts'
import { normalizeText } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'
import { derive } from '../primitives/kdf.ts'
import {
  KEY_TYPES,
  type KeyRole,
  type KeyTypeName,
  type KeyTypeNumber,
  keyTypeName,
  type KeyTypeRow,
} from './layout.ts'

/**
 * The Argon2id costs of a typed key (SPEC §16.1). They are part of the format and stored nowhere: other costs give every
 * client other keys from the same text.
 */
const TYPED_KEY_COSTS: Readonly<Argon2Costs> = { iterations: 3, memoryKiB: 65_536, lanes: 4 }

/**
 * A key as somebody typed it: the text, and the type of the key to derive from it.
 * @example
 * ```ts
 * import type { TypedKey } from 'keystrata/client'
 *
 * const fromForm = (typed: string): TypedKey => ({ type: 'AES-256', text: typed })
 * ```
 */
export interface TypedKey {
  readonly type: 'AES-256' | 'AES-192' | 'AES-128'
  /** 1 to 32 characters for AES-256, 1 to 24 for AES-192, 1 to 16 for AES-128. */
  readonly text: string
}

/**
 * Returns a copy of a typed key that a caller passed.
 * @throws TypeError if it is not one
 */
export const typedKeyFrom = <K extends { readonly type: string; readonly text: string }>(given: K, what: string): K =>
  fieldsFrom<{ type: string; text: string }>(given, { type: 'required', text: 'required' }, what) as K

/** A derived key and its type. */
export interface ClientKey {
  readonly type: KeyTypeNumber
  readonly key: SecretKey<'client'>
}

/** The names that key derivation includes. */
export interface AccountNames {
  readonly realm: string
  readonly account: string
}

/**
 * Returns the properties of a key type.
 * @throws TypeError for an unknown type
 */
export function knownType<Row extends KeyTypeRow>(types: Readonly<Record<string, Row>>, type: string): Row {
  const row = typeof type === 'string' && Object.hasOwn(types, type) ? types[type] : undefined
  if (row === undefined) throw new TypeError(`the key type must be one of ${Object.keys(types).join(', ')}`)
  return row
}

/**
 * Derives a key from its text.
 * @throws KeystrataError `invalid-text` if the text is empty or too long (a text is never truncated), or has a character
 *   that no text may have
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError for an unknown type, and for a text that is not a string
 */
export async function deriveTypedKey(
  key: TypedKey,
  role: KeyRole,
  names: AccountNames,
  options: HashOptions,
): Promise<ClientKey> {
  return deriveTextKey(knownType(KEY_TYPES, key.type), key.text, role, names, options)
}

/** Derives a key of any type from its text, including the type that only `keystrata/legacy` accepts. */
export async function deriveTextKey(
  { number, keyBytes, characters }: KeyTypeRow,
  text: string,
  role: KeyRole,
  { realm, account }: AccountNames,
  options: HashOptions,
): Promise<ClientKey> {
  if (typeof text !== 'string') throw new TypeError(`the ${role} key must be { type, text }, where text is a string`)
  const type = keyTypeName(number)
  const normalized = normalizeText(text, `${role} key`)
  assertLength(normalized, type, role, characters)
  const fields = [realm, account, role, type].map((name) => lengthPrefixed(utf8(name)))
  const salt = sha256(domain('typed-key'), ...fields)
  const derived = await hashPassword(normalized, salt, TYPED_KEY_COSTS, options, keyBytes)
  return { type: number, key: SecretKey.take('client', derived) }
}

function assertLength(text: string, type: KeyTypeName, role: KeyRole, most: number): void {
  const { length } = Array.from(text)
  if (length <= most) return
  const message = `the ${role} key has ${length} characters; a key of type ${type} has 1 to ${most}`
  throw invalidText('too-long', `${role} key`, message, { role, type, characters: length, most })
}

/**
 * Derives the owner id of everything under a key in one role, 16 bytes. Every client with the key derives the same id.
 */
export function deriveScopeId(key: SecretKey<'client'>, account: string, role: KeyRole): Bytes {
  return derive(key, EMPTY, 'owner-id', [utf8(account), utf8(role)], 16)
}
