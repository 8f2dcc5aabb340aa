// Names of stored objects and blobs (SPEC §6.1). They belong to keystrata, and contain no text that people chose.

const MAX_NAME_LENGTH = 200

/** The objects that keystrata stores, and how their names are made. */
export const KEYSET_NAME = 'keyset'
export const SLOTS_NAME = 'slots'
export const PROFILE_NAME = 'profile'
/** What the names of keyrings begin with. The id of the vault follows. */
export const KEYRING_NAME = 'keyring/'
/** @param vaultId 32 hex digits */
export const keyringName = (vaultId: string): string => KEYRING_NAME + vaultId
/** What the names of verifiers begin with. The rest lets anyone test passwords, so it must not get into messages. */
export const LOGIN_NAME = 'login/'
/** @param keyId the key id of a root key, 32 hex digits */
export const loginName = (keyId: string): string => LOGIN_NAME + keyId
export const REGISTRY_NAME = 'registry'

/**
 * Checks the name of an object or a blob. Adapters call this, so that no name can leave their folder or table.
 * @throws TypeError if it has other characters than `a-z`, `0-9`, `-` and, between parts, `/`
 * @throws RangeError if it is longer than 200 characters
 */
export function assertName(name: string): void {
  if (typeof name !== 'string' || !/^[a-z\d-]+(?:\/[a-z\d-]+)*$/.test(name)) {
    throw new TypeError(`invalid object name "${name}": use parts of a-z, 0-9 and -, separated by /`)
  }
  if (name.length > MAX_NAME_LENGTH) {
    throw new RangeError(`a name in a store has at most ${MAX_NAME_LENGTH} characters, not ${name.length}`)
  }
}

/**
 * Checks the beginning of a name, as `list` takes it.
 * @throws TypeError if no name can begin with it
 */
export function assertNameStart(start: string): void {
  if (typeof start === 'string' && (start === '' || /^[a-z\d-]+(?:\/[a-z\d-]+)*\/?$/.test(start))) return
  throw new TypeError(`invalid beginning of an object name "${start}": use parts of a-z, 0-9 and -, separated by /`)
}

/**
 * Checks a prefix that separates one part of a store from the others.
 * @throws TypeError unless it is made of whole parts, and so ends with `/`
 */
export function assertPrefix(prefix: string): void {
  if (typeof prefix === 'string' && /^(?:[a-z\d-]+\/)+$/.test(prefix)) return
  throw new TypeError(`invalid prefix "${prefix}": use parts of a-z, 0-9 and -, each followed by /`)
}

/**
 * Checks a version number.
 * @throws RangeError if it is not an integer from 1 to 2⁵³ − 1
 */
export function assertVersion(version: number): void {
  if (!Number.isSafeInteger(version) || version < 1) throw new RangeError('a version must be an integer of at least 1')
}
