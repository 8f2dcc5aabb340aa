// The owners of the vectors that every key model has: records, logs and packs. Each as a handle of the library.
import { openedClient } from '../../src/client/client.ts'
import type { Keys } from '../../src/index.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { DES_56 } from '../../src/client/layout.ts'
import { findDes } from '../../src/legacy/des.ts'
import { DesScope } from '../../src/legacy/des-scope.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { unhex } from '../fixtures.ts'
import type { OwnerVector } from './vectors.ts'

const des = await findDes()

/** Returns a new handle of a vault, or of a scope. */
export function handleOf(owner: OwnerVector): Keys {
  if (owner.kind === 'vault') return new OpenedVault(unhex(owner.id), new SecretKey('data', unhex(owner.key)))
  const { kind, realm, account } = owner
  const names = { realm, account, client: 'desktop', platform: 3 }
  const spare = () => ({ type: 1 as const, key: new SecretKey('client', new Uint8Array(16)) })
  if (kind === 'public') return openedClient({ ...names, privateKey: spare(), accountKey: undefined }).scope(kind)
  const key = new SecretKey('client', unhex(owner.key))
  if (owner.type === DES_56) {
    const claimant = { ...names, privateKey: { type: DES_56, key }, accountKey: undefined }
    return openedClient(claimant, (by) => new DesScope(by, des, false)).scope(kind)
  }
  const own = { type: owner.type, key }
  const keys =
    kind === 'private' ? { privateKey: own, accountKey: undefined } : { privateKey: spare(), accountKey: own }
  return openedClient({ ...names, ...keys }).scope(kind)
}
