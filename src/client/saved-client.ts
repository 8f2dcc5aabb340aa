// A whole client as bytes (SPEC §8): the plaintext that is sealed under a device key or under an activation code.
import { type Bytes, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { disposeKeys } from '../core/secret.ts'
import { readSavedName } from '../core/text.ts'
import { DES_56, savedClient } from './layout.ts'
import type { Claimant } from './proof.ts'

/**
 * Encodes a client with its keys. The keys still belong to the claimant. The caller wipes the result.
 * @throws KeystrataError `policy` if the private key is of type DES-56
 */
export function encodeClient({ realm, account, client, platform, privateKey, accountKey }: Claimant): Bytes {
  if (privateKey.type === DES_56) {
    const message =
      'a client with a DES-56 key cannot be saved or safeguarded: move its data to a client with an AES key'
    throw new KeystrataError('policy', message, { rule: 'no-des' })
  }
  const names = { realm: utf8(realm), account: utf8(account), client: utf8(client) }
  return encode(savedClient, { ...names, platform, privateKey, accountKey })
}

/**
 * Decodes a client. The caller disposes of its keys.
 * @throws KeystrataError `malformed`, `authentication-failed`
 */
export function decodeClient(bytes: Uint8Array): Claimant {
  const { platform, privateKey, accountKey, ...names } = decode(savedClient, bytes, 'client')
  try {
    const [realm, account, client] = [
      readSavedName(names.realm),
      readSavedName(names.account),
      readSavedName(names.client),
    ]
    return { realm, account, client, platform, privateKey, accountKey }
  } catch (error) {
    disposeKeys([privateKey, accountKey])
    throw error
  }
}
