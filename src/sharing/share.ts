// Shares (SPEC §12): a block's key, masked again for a key pair that others hold. The ciphertext stays as it is, and the
// share's reader learns the keys of the blocks that were added, and no others.
import { type BlockHead } from '../blocks/block.ts'
import { maskKey } from '../blocks/mask.ts'
import type { EnvelopeKeys } from '../blocks/envelope-keys.ts'
import { type EnvelopeTarget, rekeyBlock } from '../blocks/rekey.ts'
import type { PreparedContent } from '../blocks/seal.ts'
import { type Bytes, equalBytes, toHex } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { Mode } from '../format/envelope.ts'
import { type ActiveShare, type PublicHalves, type PublicShare, Strength } from '../format/keyset.ts'
import { generateKeyPair, Recipient } from '../keys/key-pairs.ts'
import { digestContent } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { SecretKey, equalKeys } from '../secret.ts'

/**
 * A new share: with key pairs of its own, or straight to those of a card.
 * @param least what the blocks of the keyset are protected with at least (a {@link Strength})
 */
export function createActiveShare(least: number, card?: PublicHalves): ActiveShare {
  // What is not encrypted needs no share, and its reader could not check it.
  const minimum = Math.max(least, Strength.x25519)
  const id = randomBytes(16)
  return card === undefined ? { id, ...generateKeyPair(minimum) } : { id, publicHalves: { ...card, minimum } }
}

/** Whom an active share is sealed to. */
export class ShareRecipient implements Omit<EnvelopeTarget, 'hybrid'> {
  readonly ownerId: Bytes
  readonly recipient: Recipient
  /** Whether its reader takes nothing but both agreements together. */
  readonly isHybrid: boolean
  readonly sharer: Uint8Array

  /**
   * @param sharer the source signing key of the keyset
   * @throws KeystrataError `malformed` for keys that are none
   */
  constructor({ id, publicHalves }: PublicShare, sharer: Uint8Array) {
    this.sharer = sharer
    this.ownerId = id
    this.recipient = new Recipient(publicHalves)
    this.isHybrid = publicHalves.minimum === Strength.hybrid
  }
}

/** The active shares of a keyset, each imported when it is first used. */
export class ShareRecipients {
  readonly ids: readonly string[]
  readonly #shares: ReadonlyMap<string, PublicShare>
  readonly #imported: Map<string, ShareRecipient> = new Map()
  readonly #sharer: () => Uint8Array

  /** @param sharer gives the source signing key of the keyset, once it is needed */
  constructor(shares: readonly PublicShare[], sharer: () => Uint8Array) {
    this.#sharer = sharer
    this.#shares = new Map(shares.map((share) => [toHex(share.id), share]))
    this.ids = Object.freeze([...this.#shares.keys()])
  }

  /** @throws KeystrataError `key-not-found` for an id that is none, or of a share that was revoked; `malformed` */
  of(id: string): ShareRecipient {
    const known = this.#imported.get(id)
    if (known !== undefined) return known
    const share = this.#shares.get(id)
    if (share === undefined) throw noSuchShare(id)
    const recipient = new ShareRecipient(share, this.#sharer())
    this.#imported.set(id, recipient)
    return recipient
  }
}

export function noSuchShare(id: string): KeystrataError {
  return new KeystrataError(
    'key-not-found',
    'no such share, or none any more: is this handle, or export, older than the share?',
    { share: id.slice(0, 32) },
  )
}

/**
 * The envelope by which the reader of a share comes to a block that is being sealed, or was sealed before.
 * @throws KeystrataError `policy` for an unencrypted block
 */
export function maskForShare(
  { mode, blockKey, label }: PreparedContent,
  share: ShareRecipient,
  hybrid: boolean,
): Bytes {
  if (mode === Mode.none) throw unencrypted()
  const { ownerId, recipient, isHybrid, sharer } = share
  return maskKey(blockKey, recipient, { ownerId, hybrid: hybrid || isHybrid, mode, label, sharer })
}

/**
 * The same for a stored block, from its own envelope, which is verified first.
 * @throws KeystrataError `policy` for an unencrypted block, and as {@link rekeyBlock}
 */
export function addToShare(head: BlockHead, keys: EnvelopeKeys, share: ShareRecipient, hybrid: boolean): Bytes {
  const { ownerId, recipient, isHybrid, sharer } = share
  const envelope = rekeyBlock(head, keys, { ownerId, recipient, hybrid: hybrid || isHybrid, sharer })
  if (envelope === undefined) throw unencrypted()
  return envelope
}

function unencrypted(): KeystrataError {
  return new KeystrataError('policy', 'an unencrypted block has no key that could be shared: whoever has it reads it', {
    rule: 'encrypted-blocks',
  })
}

/**
 * What the reader of a share can check of content: the labels are keyed by secrets that it has not. In `global` the cipher
 * does not commit to its key, which is the content's hash; in the other modes it does.
 * @throws KeystrataError `authentication-failed`
 */
export async function checkSharedContent(
  mode: Mode,
  content: Uint8Array,
  _label: Uint8Array,
  blockKey: SecretKey<'block'> | undefined,
): Promise<void> {
  if (mode !== Mode.global || blockKey === undefined) return
  const [digest] = (await digestContent(content, [{ hash: 'sha3-256' }])) as [Bytes]
  const found = SecretKey.take('block', digest)
  const holds = equalKeys(found, blockKey)
  found.dispose()
  if (!holds) throw authenticationFailed()
}

/** Whether two sets of public halves are the same key pairs. */
export function samePair(a: PublicHalves, b: PublicHalves): boolean {
  return equalBytes(a.x25519, b.x25519) && equalBytes(a.mlKem1024, b.mlKem1024)
}
