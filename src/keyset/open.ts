// Opens the blocks of a keyset (SPEC §10.4). It checks the caller's rules before it uses any key, the envelope before
// the mask, the commitment before the cipher, and last the content against its label.
import { partsOf, type StoredBlock } from '../core/block.ts'
import { type Bytes, EMPTY, equalBytes, toHex, wipe } from '../core/bytes.ts'
import { ownCiphertext } from '../core/content.ts'
import { MAX_CONTENT_BYTES } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type Header, keyNotFound, objectName } from '../core/header.ts'
import { Identity, type KeyPair, type PrivateHalves, publicKeyId, type PublicHalves } from '../core/key-pairs.ts'
import { SecretHolder, type SecretKey } from '../core/secret.ts'
import { type KeysetSuite, Strength } from '../core/suite.ts'
import { FRAME_BYTES, isMasked, type Mode, parseEnvelope, unmaskKey } from './mask.ts'
import { decryptContent } from './seal.ts'

/** An adopted source, whose blocks and records a keyset opens too. */
export interface KnownSource {
  readonly id: Bytes
}

/** Returns the adopted source with this id. Returns undefined for the own id, and if there is none. */
export function sourceIn<S extends { readonly id: Uint8Array }>(
  { id: own, adopted }: { readonly id: Uint8Array; readonly adopted: readonly S[] },
  ownerId: Uint8Array,
): S | undefined {
  return equalBytes(ownerId, own) ? undefined : adopted.find(({ id }) => equalBytes(id, ownerId))
}

/** The key pair of today. A delegation does not have its private halves. */
export interface CurrentPair {
  readonly publicHalves: PublicHalves
  readonly privateHalves?: PrivateHalves | undefined
}

/** The keys and rules that a keyset, or a delegation, uses to open its envelopes. */
export interface OwnerPairs {
  readonly id: Bytes
  readonly blockPair: CurrentPair
  readonly retired: readonly KeyPair[]
  /** The sources of adopted keysets, whose blocks and records this keyset opens too. */
  readonly adopted: readonly KnownSource[]
  /** The weakest blocks to accept, even if a key pair requires stronger ones. Undefined: no exception. */
  readonly allowWeaker: Strength | undefined
}

/** What differs between keysets and shares: only a share gives `sharer`, and a share gives nothing else. */
interface Rules extends Partial<Pick<OwnerPairs, 'retired' | 'adopted' | 'allowWeaker'>> {
  /** For a share: the source signing key of the keyset that shares. */
  readonly sharer?: Uint8Array
}

/** The key pairs that open envelopes and records, and the rules to check before any of them is used. */
export class EnvelopeKeys extends SecretHolder {
  /** The keyset or the share that the envelopes and records belong to. */
  readonly ownerId: Bytes
  /**
   * What agreements are bound to, after the label. In a share it is the source signing key of the keyset that shares,
   * otherwise it is empty.
   */
  readonly sharer: Uint8Array
  readonly #adopted: readonly KnownSource[]
  readonly #allowWeaker: Strength | undefined
  readonly #current: PublicHalves
  readonly #retired: ReadonlyMap<string, KeyPair>
  readonly #imported: Map<string, Identity>

  /**
   * Imports the current key pair, if its private halves are there. Retired pairs are imported at first use, which checks
   * that their halves match. So they must live as long as this object.
   * @throws KeystrataError `authentication-failed` if the halves of the current pair do not match
   */
  constructor(
    ownerId: Bytes,
    current: CurrentPair,
    { retired = [], adopted = [], allowWeaker, sharer = EMPTY }: Rules,
  ) {
    const { publicHalves, privateHalves } = current
    const currentId = toHex(publicKeyId(publicHalves))
    const imported: Map<string, Identity> = new Map()
    if (privateHalves !== undefined) imported.set(currentId, new Identity({ publicHalves, privateHalves }))
    // Of pairs with one key id the current one counts, and then the first.
    const pairs = new Map([...retired].reverse().map((pair) => [toHex(publicKeyId(pair.publicHalves)), pair]))
    pairs.delete(currentId)
    super('keys of a reader', () => {
      for (const each of imported.values()) each.dispose()
    })
    this.ownerId = ownerId
    this.sharer = sharer
    this.#adopted = adopted
    this.#allowWeaker = allowWeaker
    this.#current = publicHalves
    this.#retired = pairs
    this.#imported = imported
  }

  /**
   * Finds the key pair that an encrypted block or a record is addressed to, and checks the caller's rules.
   * @throws KeystrataError `key-not-found` if there is no such key pair
   * @throws KeystrataError `authentication-failed` if the header names another owner
   * @throws KeystrataError `policy` if the suite is weaker than the key pair requires
   */
  identityFor(header: Header<KeysetSuite>): Identity {
    this.assertUsable()
    const identity = this.#find(toHex(header.keyId))
    if (identity === undefined) throw keyNotFound(objectName(header.type) ?? 'object', header)
    this.assertOwner(header)
    this.#assertStrongEnough(header.suite, identity.publicHalves.minimum)
    return identity
  }

  /**
   * Checks the caller's rules for an unencrypted block. It needs no key: if its own pair is gone, the minimum of the
   * current pair decides whether it is accepted.
   * @throws KeystrataError `authentication-failed` if the header names another owner, or a pair whose halves do not match
   * @throws KeystrataError `policy` if its key pair requires encryption, or if it is of an adopted keyset: anybody who once
   *   had its host export can make such blocks
   */
  assertPlainAllowed(header: Header<KeysetSuite>): void {
    this.assertPlainKnown(header)
    const { publicHalves } = this.#find(toHex(header.keyId)) ?? { publicHalves: this.#current }
    this.#assertStrongEnough(header.suite, this.#isAdopted(header.ownerId) ? Strength.x25519 : publicHalves.minimum)
  }

  /**
   * Checks the halves of the key pair that an unencrypted block names, if it is known, and the owner.
   * @throws KeystrataError `authentication-failed` if the header names another owner, or a pair whose halves do not match
   */
  assertPlainKnown(header: Header<KeysetSuite>): void {
    this.assertUsable()
    this.#find(toHex(header.keyId))
    this.assertOwner(header)
  }

  /** Returns whether a block or a record is addressed to the current key pair, or to a retired one. */
  isKnown({ keyId }: Pick<Header, 'keyId'>): boolean {
    return this.#retired.has(toHex(keyId)) || equalBytes(publicKeyId(this.#current), keyId)
  }

  /**
   * Checks that a block or a record belongs to this keyset, or to one that it adopted.
   * @throws KeystrataError `authentication-failed` if the header names another owner
   */
  assertOwner({ ownerId }: Pick<Header, 'ownerId'>): void {
    if (!this.#isAdopted(ownerId) && !equalBytes(ownerId, this.ownerId)) throw authenticationFailed()
  }

  #isAdopted(ownerId: Uint8Array): boolean {
    return sourceIn({ id: this.ownerId, adopted: this.#adopted }, ownerId) !== undefined
  }

  #find(keyId: string): Identity | undefined {
    const known = this.#imported.get(keyId)
    if (known !== undefined) return known
    const pair = this.#retired.get(keyId)
    if (pair === undefined) return undefined
    const identity = new Identity(pair)
    this.#imported.set(keyId, identity)
    return identity
  }

  /**
   * Checks that a suite is strong enough, or that the caller accepts it nevertheless.
   * @throws KeystrataError `policy` if it is weaker
   */
  #assertStrongEnough({ strength }: KeysetSuite, demanded: Strength): void {
    const minimum = this.#allowWeaker === undefined ? demanded : Math.min(demanded, this.#allowWeaker)
    if (strength >= minimum) return
    throw new KeystrataError('policy', 'this block or record is weaker than its key pair requires: do not trust it', {
      rule: 'minimum-encryption',
      strength,
      minimum,
    })
  }
}

/** Returns the envelope keys of a keyset, whose key pairs must live as long as the result. */
export const envelopeKeysOf = ({ id, blockPair, retired, adopted, allowWeaker }: OwnerPairs): EnvelopeKeys =>
  new EnvelopeKeys(id, blockPair, { retired, adopted, allowWeaker })

/** Content that was opened, and what it must match. */
export interface OpenedContent {
  readonly ownerId: Uint8Array
  readonly mode: Mode
  readonly content: Bytes
  readonly label: Uint8Array
  /** Undefined for unencrypted content. */
  readonly blockKey: SecretKey<'block'> | undefined
}

/** Checks content that was opened. */
export type ContentCheck = (opened: OpenedContent) => Promise<void>

export async function openBlock(block: StoredBlock, keys: EnvelopeKeys, check: ContentCheck): Promise<Bytes> {
  const { ciphertext, label, envelope: stored } = partsOf(block)
  const envelope = parseEnvelope(stored)
  assertWithinLimit(ciphertext, envelope.mode)
  const { mode, header } = envelope
  const found = { ownerId: header.ownerId, mode, label }

  if (!isMasked(envelope)) {
    keys.assertPlainAllowed(header)
    return verified({ ...found, content: ownCiphertext(ciphertext), blockKey: undefined }, check)
  }
  const identity = keys.identityFor(header)
  using blockKey = unmaskKey(envelope, identity, label, keys.sharer)
  const content = await decryptContent(envelope.mode, blockKey, label, ciphertext)
  return await verified({ ...found, content, blockKey }, check)
}

/** Returns the content if it passes the check, and wipes it otherwise. */
async function verified(opened: OpenedContent, check: ContentCheck): Promise<Bytes> {
  try {
    await check(opened)
    return opened.content
  } catch (error) {
    wipe(opened.content)
    throw error
  }
}

/**
 * Checks the size of a ciphertext.
 * @throws KeystrataError `limit-exceeded` if its content is over 64 MiB
 */
function assertWithinLimit({ length }: Uint8Array, mode: Mode): void {
  const { before, after } = FRAME_BYTES[mode]
  if (length <= before + MAX_CONTENT_BYTES + after) return
  throw new KeystrataError('limit-exceeded', 'this block is too large: a block holds at most 64 MiB of content', {
    object: 'block',
    bytes: length,
  })
}
