// What somebody opens envelopes and records with: key pairs, imported, and the rules that come before any key.
import { type Bytes, EMPTY, equalBytes, toHex } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { type Header, Suite } from '../format/header.ts'
import { type KeyPair, Strength } from '../format/keyset.ts'
import { Identity } from '../keys/key-pairs.ts'
import { SecretHolder } from '../secret.ts'

/** Beside the owner of the keys: what a keyset and a share differ in. */
interface Rules {
  /** Key pairs of the past. */
  readonly retired?: readonly KeyPair[] | undefined
  /** A {@link Strength} to take although a key pair demands more. */
  readonly accept?: number | undefined
  /** Of a share: the source signing key of who shares. */
  readonly sharer?: Uint8Array
}

export class EnvelopeKeys extends SecretHolder {
  /** The keyset or the share whose envelopes and records these are. */
  readonly ownerId: Bytes
  /** What agreements are bound to, behind the label: empty, or the source signing key of who shares. */
  readonly sharer: Uint8Array
  readonly #accept: number | undefined
  readonly #current: Identity
  readonly #identities: ReadonlyMap<string, Identity>

  /**
   * Borrows the pairs: what is imported has a life of its own.
   * @throws KeystrataError `authentication-failed` if the halves of one do not belong together
   */
  constructor(ownerId: Bytes, current: KeyPair, { retired = [], accept, sharer = EMPTY }: Rules) {
    const identities = [new Identity(current)] as [Identity, ...Identity[]]
    const disposeAll = () => {
      for (const identity of identities) identity.dispose()
    }
    try {
      for (const pair of retired) identities.push(new Identity(pair))
    } catch (error) {
      disposeAll()
      throw error
    }
    super('keys of a reader', disposeAll)
    this.ownerId = ownerId
    this.#accept = accept
    this.sharer = sharer
    this.#current = identities[0]
    this.#identities = new Map(identities.map((identity) => [toHex(identity.keyId), identity]))
  }

  /**
   * The key pair that a block or a record is addressed to, after the caller's rules were checked.
   * @throws KeystrataError `key-not-found`, `authentication-failed`, `policy`
   */
  identityFor(header: Header, isEncrypted: boolean): Identity {
    // An unencrypted block needs no key; whether it is taken, today's key pair decides where its own is forgotten.
    const identity = this.#identities.get(toHex(header.keyId)) ?? (isEncrypted ? undefined : this.#current)
    if (identity === undefined) throw new KeystrataError('key-not-found')
    if (!equalBytes(header.ownerId, this.ownerId)) throw authenticationFailed()
    assertStrongEnough(header, identity, this.#accept)
    return identity
  }
}

const strengthOfSuite: Readonly<Record<number, number>> = {
  [Suite.none]: Strength.none,
  [Suite.x25519]: Strength.x25519,
  [Suite.hybrid]: Strength.hybrid,
}

/** @throws KeystrataError `policy` */
function assertStrongEnough({ suite }: Header, { publicHalves }: Identity, accept = Strength.hybrid as number): void {
  const strength = strengthOfSuite[suite] ?? Strength.none
  const minimum = Math.min(publicHalves.minimum, accept)
  if (strength >= minimum) return
  throw new KeystrataError('policy', 'protected more weakly than its keyset demands', {
    rule: 'minimum-encryption',
    strength,
    minimum,
  })
}
