// Everything in a client as bytes (SPEC §15): what is sealed under a device key, and under an activation code.
import { type Bytes, utf8 } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { LegacyKeyType } from '../format/client.ts'
import { decode, encode } from '../format/codec.ts'
import { clientKeys } from '../format/device.ts'
import { decodeName, type parseName } from '../text.ts'
import type { Claimant } from './claim.ts'
import { disposeKeys } from '../secret.ts'

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
