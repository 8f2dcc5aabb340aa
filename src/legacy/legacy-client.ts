// A client whose private key is of type DES-56 (SPEC §17): it restores what is under DES, so that it can be sealed anew.
import { type Client, openedClient, parseNames } from '../client/client.ts'
import { LegacyKeyType, type Platform } from '../client/layout.ts'
import { deriveTextKey } from '../client/typed-key.ts'
import type { HashOptions } from '../core/password.ts'
import { numberOf } from '../core/text.ts'
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
 * Who a client under DES-56 is.
 * @example
 * ```ts
 * import type { LegacyClientOptions } from 'keystrata/legacy'
 *
 * const names = { realm: 'com.example.backup', account: 'customer-17', client: 'old' }
 * const options: LegacyClientOptions = { ...names, key: { type: 'DES-56', text: 'asigra56' } }
 * ```
 */
export interface LegacyClientOptions extends HashOptions {
  /** A constant of the product, never a host name. */
  realm: string
  /** The customer's account. */
  account: string
  /** The name of this client in the account. */
  client: string
  /** What it runs on: `windows` unless said. Its server takes it only with the one that it was enrolled with. */
  platform?: Platform
  key: LegacyKey
  /** Lets it seal, too: for tests, and for readers that know nothing else. Anybody can break DES by trying all keys. */
  dangerouslyAllowDes?: true
}

/**
 * A client for data that is already under DES-56: it opens it, and proves its key to its server, so that the data can be
 * sealed anew by a client with an AES-256 key under another name. It seals public blocks, and those of an account key that
 * it is given; private ones only with `dangerouslyAllowDes`. Its keys are not saved and not safeguarded. The key is hashed
 * by Argon2id as in `createClient`; that does not make 56 bits more.
 * @throws KeystrataError `unsupported` where the platform has no DES and the package des.js is not installed;
 *   `limit-exceeded` for a key or a name that is empty or too long; `aborted`. Of the client: `policy` from `prepare` and
 *   `seal` of the private scope without `dangerouslyAllowDes`, from `safeguard`, and from `DeviceKey.save`
 * @throws TypeError for a type or a platform that is none, and for texts that are none
 * @example
 * ```ts
 * import type { SealedBlock } from 'keystrata'
 * import { createLegacyClient, type LegacyClientOptions } from 'keystrata/legacy'
 *
 * async function openOld(block: SealedBlock, options: LegacyClientOptions) {
 *   using old = await createLegacyClient(options)
 *   return await old.open(block) // to be sealed by a client with an AES-256 key
 * }
 * ```
 */
export async function createLegacyClient(options: LegacyClientOptions): Promise<Client> {
  const { platform = 'windows', dangerouslyAllowDes, argon2, signal, onProgress } = options
  const names = parseNames(options, platform)
  const key = { ...options.key }
  const type = numberOf(LegacyKeyType, key.type, 'the type of a legacy key')
  const des = await findDes()
  const privateKey = await deriveTextKey(type, key, 'private', names, { argon2, signal, onProgress })
  return openedClient(
    { ...names, privateKey, accountKey: undefined },
    (claimant) => new DesScope(claimant, des, dangerouslyAllowDes === true),
  )
}
