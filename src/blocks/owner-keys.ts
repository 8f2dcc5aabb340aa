// The key pairs of the owner of blocks, imported: today's and those of the past.
import { toHex } from '../bytes.ts'
import type { KeyPair } from '../format/keyset.ts'
import { Identity } from '../keys/key-pairs.ts'
import { SecretHolder } from '../secret.ts'
import type { EnvelopeKeys } from './open.ts'

export class OwnerKeys extends SecretHolder implements EnvelopeKeys {
  readonly ownerId: Uint8Array
  readonly accept: number | undefined
  readonly current: Identity
  readonly #identities: ReadonlyMap<string, Identity>

  /**
   * Borrows the pairs: what is imported has a life of its own.
   * @throws KeystrataError `authentication-failed` if the halves of one do not belong together
   */
  constructor(ownerId: Uint8Array, current: KeyPair, retired: readonly KeyPair[] = [], accept?: number) {
    const identities = [new Identity(current)] as [Identity, ...Identity[]]
    try {
      for (const pair of retired) identities.push(new Identity(pair))
    } catch (error) {
      for (const identity of identities) identity.dispose()
      throw error
    }
    super('keys of an owner', () => {
      for (const identity of identities) identity.dispose()
    })
    this.ownerId = ownerId
    this.accept = accept
    this.current = identities[0]
    this.#identities = new Map(identities.map((identity) => [toHex(identity.keyId), identity]))
  }

  identity(keyId: Uint8Array): Identity | undefined {
    return this.#identities.get(toHex(keyId))
  }
}
