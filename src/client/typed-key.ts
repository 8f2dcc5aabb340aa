// Typed text → key (SPEC §13.1): the keys of a client, as people type them. The same text gives the same key to every client
// of the account, so another machine restores; and what a thief has to guess is the text, at the cost of Argon2id.
// Everything in a client as bytes (SPEC §15): what is sealed under a device key, and under an activation code.
import { type Bytes, domain, EMPTY, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { DEFAULT_ARGON2_COSTS, type HashOptions, hashPassword } from '../core/password.ts'
import { disposeKeys, SecretKey } from '../core/secret.ts'
import { decodeName, normalizeText, numberOf, type parseName } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'
import { derive } from '../primitives/kdf.ts'
import { randomLetters } from '../primitives/random.ts'
import {
  clientKeys,
  KEY_BYTES,
  KEY_CHARACTERS,
  KEY_TYPES,
  type KeyRole,
  type KeyType,
  LegacyKeyType,
} from './layout.ts'
import type { Claimant } from './proof.ts'

/**
 * A key as somebody types it.
 * @example
 * ```ts
 * import type { TypedKey } from 'keystrata'
 *
 * const fromForm = (typed: string): TypedKey => ({ type: 'AES-256', text: typed })
 * ```
 */
export interface TypedKey {
  readonly type: KeyType
  /** AES-256: at most 32 characters, AES-192: 24, AES-128: 16; at least one. */
  readonly text: string
}

/** A key that was derived, with its type. */
export interface ClientKey {
  /** A {@link KeyType}, or that of DES-56. */
  readonly type: number
  readonly key: SecretKey<'client'>
}

/** Whose keys these are: the names that they are derived with. */
export interface AccountNames {
  readonly realm: string
  readonly account: string
}

/** 64 characters that are told apart in print, so that each is 6 bits: without 0 and O, 1 and l and I. */
const ALPHABET = 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789+-=.?%@'

/**
 * A fresh text of the longest length that its type allows: 192, 144 or 96 random bits. Write it down: without it what is
 * sealed under it is lost.
 * @example
 * ```ts
 * import { generateTypedKey } from 'keystrata'
 *
 * const accountKey = generateTypedKey('AES-256')
 * console.log(accountKey.type, accountKey.text.length) // AES-256 32
 * ```
 */
export function generateTypedKey(type: KeyType): TypedKey {
  const length = KEY_CHARACTERS[typeNumber(type)] ?? 0
  return { type, text: randomLetters(ALPHABET, length) }
}

/**
 * The key of a text.
 * @throws KeystrataError `limit-exceeded` for a text that is empty or too long: none is ever cut; `aborted`
 * @throws TypeError for a type that is none, and for what is not well-formed text
 */
export async function deriveTypedKey(
  key: TypedKey,
  role: KeyRole,
  names: AccountNames,
  options: HashOptions,
): Promise<ClientKey> {
  return deriveTextKey(typeNumber(key.type), key, role, names, options)
}

/** The key of a text of any type, also of one that only `keystrata/legacy` takes. */
export async function deriveTextKey(
  number: number,
  { type, text }: { readonly type: string; readonly text: string },
  role: KeyRole,
  { realm, account }: AccountNames,
  options: HashOptions,
): Promise<ClientKey> {
  if (typeof text !== 'string') throw new TypeError(`the ${role} key is { type, text }, with a text of letters`)
  assertLength(text, type, role, KEY_CHARACTERS[number] ?? 0)
  const fields = [realm, account, role, type].map((name) => lengthPrefixed(utf8(name)))
  const salt = sha256(domain('typed-key'), ...fields)
  const derived = await hashPassword(text, salt, DEFAULT_ARGON2_COSTS, options, KEY_BYTES[number])
  return { type: number, key: SecretKey.take('client', derived) }
}

const typeNumber = (type: string): number => numberOf(KEY_TYPES, type, 'the type of a key')

function assertLength(text: string, type: string, role: KeyRole, most: number): void {
  const { length } = Array.from(normalizeText(text, `${role} key`))
  if (length >= 1 && length <= most) return
  const rule = `a key of type ${type} has 1 to ${most} characters`
  throw new KeystrataError('limit-exceeded', `the ${role} key has ${length} characters: ${rule}`, {
    role,
    type,
    characters: length,
    most,
  })
}

/** The owner id of what is under a key in one role, 16 bytes: derived, so that every client of the account knows it. */
export function deriveScopeId(key: SecretKey<'client'>, account: string, role: KeyRole): Bytes {
  return derive(key, EMPTY, 'owner-id', [utf8(account), utf8(role)], 16)
}

/**
 * Borrows the keys; the caller wipes what it gets.
 * @throws KeystrataError `policy` for a client under DES-56
 */
export function encodeClientKeys({ realm, account, client, platform, privateKey, accountKey }: Claimant): Bytes {
  if (privateKey.type === LegacyKeyType['DES-56']) {
    throw new KeystrataError('policy', 'a client under DES-56 is for moving its data away: it is not kept', {
      rule: 'no-des',
    })
  }
  const names = { realm: utf8(realm), account: utf8(account), client: utf8(client) }
  return encode(clientKeys, { ...names, platform, privateKey, accountKey })
}

/** @throws KeystrataError `malformed`, `authentication-failed` */
export function decodeClientKeys(bytes: Uint8Array): Claimant {
  const { platform, privateKey, accountKey, ...names } = decode(clientKeys, bytes, 'client')
  try {
    const [realm, account, client] = [names.realm, names.account, names.client].map((name) => readSavedName(name))
    return { realm, account, client, platform, privateKey, accountKey } as Claimant
  } catch (error) {
    disposeKeys([privateKey, accountKey])
    throw error
  }
}

/**
 * A name in something that was sealed: it was in its one form then.
 * @throws KeystrataError `authentication-failed`
 */
export function readSavedName(bytes: Uint8Array, parse?: typeof parseName): string {
  const name = decodeName(bytes, parse)
  if (name === undefined) throw authenticationFailed()
  return name
}
