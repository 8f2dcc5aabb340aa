// What somebody opens envelopes and records with: key pairs, imported, and the rules that come before any key.
// Opening a block, check by check (SPEC §6.4): the caller's rules before any key is used, the envelope before the mask,
// the commitment before the cipher, and at the end the content against its label.
// The blocks of a keyset in the hand of its owner (SPEC §6): they open, with everything checked that an owner can check, and
// get new envelopes.
import { type BlockHead, type BlockReader, partsOf, type SealedBlock } from '../core/block.ts'
import { type Bytes, bytesFrom, EMPTY, equalBytes, toHex, wipe } from '../core/bytes.ts'
import { MAX_CONTENT_BYTES, Mode } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type Header, Suite } from '../core/header.ts'
import { Identity, type KeyPair, Recipient, Strength } from '../core/key-pairs.ts'
import { SecretHolder, type SecretKey } from '../core/secret.ts'
import { ContentScheme } from './dedup.ts'
import { FRAME_BYTES, parseEnvelope, unmaskKey } from './envelope.ts'
import { isAddressedTo, rekeyBlock } from './rekey.ts'
import { decryptContent } from './seal.ts'

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

/** Checks content that was opened; `blockKey` is undefined where nothing was encrypted. */
export type ContentCheck = (
  mode: Mode,
  content: Uint8Array,
  label: Uint8Array,
  blockKey: SecretKey<'block'> | undefined,
) => Promise<void>

export async function openBlock(block: SealedBlock, keys: EnvelopeKeys, check: ContentCheck): Promise<Bytes> {
  const { ciphertext, label, envelope: stored } = partsOf(block)
  const envelope = parseEnvelope(stored)
  const { encrypted } = envelope
  const mode = encrypted?.mode ?? Mode.none
  assertWithinLimit(ciphertext, mode)
  const identity = keys.identityFor(envelope.header, encrypted !== undefined)

  // Content goes out only if it is what it should be; else it is wiped.
  const verified = async (content: Bytes, blockKey?: SecretKey<'block'>) => {
    try {
      await check(mode, content, label, blockKey)
      return content
    } catch (error) {
      wipe(content)
      throw error
    }
  }
  if (encrypted === undefined) return verified(new Uint8Array(ciphertext))
  const blockKey = unmaskKey({ ...envelope, encrypted }, identity, label, keys.sharer)
  try {
    return await verified(await decryptContent(encrypted.mode, blockKey, label, ciphertext), blockKey)
  } finally {
    blockKey.dispose()
  }
}

/** @throws KeystrataError `limit-exceeded` */
function assertWithinLimit({ length }: Uint8Array, mode: Mode): void {
  const { before, after } = FRAME_BYTES[mode]
  if (length <= before + MAX_CONTENT_BYTES + after) return
  throw new KeystrataError('limit-exceeded', 'a block over 64 MiB', { bytes: length })
}

/** What a keyset's envelopes need of it. */
export interface OwnerPairs {
  readonly id: Bytes
  readonly blockPair: KeyPair
  readonly retired: readonly KeyPair[]
  /** A {@link Strength} to take although a key pair demands more. */
  readonly accept: number | undefined
}

/** And what its contents need. */
export interface OwnerKeys extends OwnerPairs {
  /** A {@link Strength}: of new envelopes. */
  readonly encryption: number
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
}

/** The key pairs, imported. */
export const envelopeKeysOf = ({ id, blockPair, retired, accept }: OwnerPairs): EnvelopeKeys =>
  new EnvelopeKeys(id, blockPair, { retired, accept })

export class OwnerBlocks implements BlockReader {
  readonly keys: EnvelopeKeys
  readonly #owner: OwnerKeys
  readonly #schemes: Map<Mode, ContentScheme> = new Map()
  #prepared: Recipient | undefined

  /** Borrows the keys, which have to live as long. */
  constructor(owner: OwnerKeys) {
    this.keys = envelopeKeysOf(owner)
    this.#owner = owner
  }

  dispose(): void {
    this.keys.dispose()
    for (const scheme of this.#schemes.values()) scheme.dispose()
  }

  /** The public halves of today's key pair; prepared at the first use, which a mere reader never needs. */
  get recipient(): Recipient {
    return (this.#prepared ??= new Recipient(this.#owner.blockPair.publicHalves))
  }

  async open(block: SealedBlock): Promise<Bytes> {
    return openBlock(block, this.keys, (mode, content, label, blockKey) =>
      this.#scheme(mode).verify(content, label, blockKey),
    )
  }

  isCurrent(envelope: Uint8Array): boolean {
    return isAddressedTo(this.recipient, this.#owner.id, envelope)
  }

  rekey(head: BlockHead): Bytes {
    const { id: ownerId, encryption } = this.#owner
    const today = { ownerId, recipient: this.recipient, hybrid: encryption === Strength.hybrid }
    // Each property is read once: what was checked is what is given back.
    const { label, envelope: stored } = head
    const envelope = bytesFrom(stored, 'envelope')
    // An unencrypted block has no key that could be replaced.
    return rekeyBlock({ label, envelope }, this.keys, today) ?? new Uint8Array(envelope)
  }

  #scheme(mode: Mode): ContentScheme {
    let scheme = this.#schemes.get(mode)
    if (scheme === undefined) {
      scheme = new ContentScheme(mode, this.#owner)
      this.#schemes.set(mode, scheme)
    }
    return scheme
  }
}
