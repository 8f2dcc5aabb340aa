// A client whose private key is of type DES-56 (SPEC §19). It opens existing DES data, so that the data can be sealed
// again under an AES key. DES-56 does not protect confidentiality.
import { deriveTextKey, knownType, typedKeyFrom } from '../client/typed-key.ts'
import { LEGACY_KEY_TYPES } from '../client/layout.ts'
import { type Client, CLIENT_OPTIONS, type ClientOptions, openedClient, parseNames } from '../client/client.ts'
import { DesScope } from './des-scope.ts'
import { findDes } from './des.ts'
import { optionsFrom } from '../core/options.ts'

/**
 * A DES-56 key as somebody typed it.
 * @example
 * ```ts
 * import type { LegacyKey } from 'keystrata/legacy'
 *
 * const fromSettings = (text: string): LegacyKey => ({ type: 'DES-56', text })
 * ```
 */
export interface LegacyKey {
  readonly type: 'DES-56'
  /** 1 to 8 characters. */
  readonly text: string
}

/**
 * Derives a client for data that is already under DES-56. It opens that data and proves its key to its server, so that
 * you can seal the data again with a client that has an AES-256 key and another name. It seals public blocks, and
 * account blocks if you give it an account key. It seals private blocks only with `dangerouslyAllowDes`. Its keys
 * cannot be saved or safeguarded. The key text is hashed by Argon2id as in `deriveClient`, but the DES key still has
 * only 56 bits.
 * @param options `dangerouslyAllowDes`: lets the client seal private blocks too, for tests and for readers that support
 *   nothing else. Anybody can break DES by trying all keys
 * @throws KeystrataError `unsupported` if the platform has no DES and the package des.js is not installed
 * @throws KeystrataError `invalid-text` if the key or a name is empty or too long, or has a character that no text may have
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws KeystrataError `policy` later, from the client's `safeguard` and `save`, and without `dangerouslyAllowDes`
 *   also from `prepare` and `seal` of its private scope
 * @throws TypeError for an unknown type or platform, and for a key or name that is not a string
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import type { StoredBlock } from 'keystrata'
 * import { deriveLegacyClient } from 'keystrata/legacy'
 *
 * async function openOld(block: StoredBlock, text: string) {
 *   const names = { realm: 'com.example.backup', account: 'customer-17', name: 'old', platform: 'windows' } as const
 *   using old = await deriveLegacyClient({ ...names, privateKey: { type: 'DES-56', text } })
 *   return await old.open(block) // to be sealed by a client with an AES-256 key
 * }
 * ```
 */
export async function deriveLegacyClient(
  options: Omit<ClientOptions, 'privateKey' | 'accountKey'> & {
    privateKey: LegacyKey
    dangerouslyAllowDes?: true | undefined
  },
): Promise<Client> {
  const rules = { ...CLIENT_OPTIONS, dangerouslyAllowDes: 'optional' } as const
  const given = optionsFrom(options, rules, 'deriveLegacyClient')
  const { platform, dangerouslyAllowDes, argon2, signal, onProgress } = given
  const names = parseNames(given, platform)
  const { type, text } = typedKeyFrom(given.privateKey, 'privateKey')
  const row = knownType(LEGACY_KEY_TYPES, type)
  const des = await findDes()
  const privateKey = await deriveTextKey(row, text, 'private', names, { argon2, signal, onProgress })
  return openedClient(
    { ...names, privateKey, accountKey: undefined },
    (claimant) => new DesScope(claimant, des, dangerouslyAllowDes === true),
  )
}
