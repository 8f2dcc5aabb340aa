// A client whose private key is of type DES-56 (SPEC §17): it restores what is under DES, so that it can be sealed anew.
import { deriveTextKey, knownType } from '../client/typed-key.ts'
import { LEGACY_KEY_TYPES } from '../client/layout.ts'
import { type Client, type ClientOptions, openedClient, parseNames } from '../client/client.ts'
import { DesScope } from './des-scope.ts'
import { findDes } from './des.ts'

/**
 * A key of 56 bits, as somebody typed it.
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
 * Derives a client for data that is already under DES-56. It opens that data and proves its key to its server, so that you can seal the
 * data again with a client that has an AES-256 key and another name. It seals public blocks, and account blocks if you give it an account
 * key; private blocks only with `dangerouslyAllowDes`. Its keys are neither saved nor safeguarded. The key is hashed by Argon2id as in
 * `deriveClient`, but it still has only 56 bits.
 * @param options `dangerouslyAllowDes`: lets it seal private blocks too, for tests and for readers that know nothing else; anybody can
 *   break DES by trying all keys
 * @throws KeystrataError `unsupported` if the platform has no DES and the package des.js is not installed; `limit-exceeded` for a key
 *   or a name that is empty or too long; `aborted`. The client throws `policy` from `prepare` and `seal` of the private scope without
 *   `dangerouslyAllowDes`, from `safeguard`, and from `save`
 * @throws TypeError for an unknown type or platform, and for what is not a well-formed text
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
  options: Omit<ClientOptions, 'privateKey' | 'accountKey'> & { privateKey: LegacyKey; dangerouslyAllowDes?: true },
): Promise<Client> {
  const { platform, dangerouslyAllowDes, privateKey: given, argon2, signal, onProgress } = options
  const names = parseNames(options, platform)
  if (typeof given !== 'object') throw new TypeError('privateKey must be { type, text }')
  const { type, text } = given
  const row = knownType(LEGACY_KEY_TYPES, type)
  const des = await findDes()
  const privateKey = await deriveTextKey(row, text, 'private', names, { argon2, signal, onProgress })
  return openedClient(
    { ...names, privateKey, accountKey: undefined },
    (claimant) => new DesScope(claimant, des, dangerouslyAllowDes === true),
  )
}
