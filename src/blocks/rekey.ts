// Rekeying (SPEC §6.5): a new envelope for a block, under today's key pair. Neither the ciphertext nor the content is needed,
// so millions of blocks can be rekeyed by their heads alone. Whoever held the old envelope's key can still open the block.
import { type Bytes, bytesFrom, equalBytes } from '../bytes.ts'
import { type Envelope, parseEnvelope } from '../format/envelope.ts'
import { Suite } from '../format/header.ts'
import type { Recipient } from '../keys/key-pairs.ts'
import type { BlockHead } from './block.ts'
import { parseLabel } from './label.ts'
import { maskKey, unmaskKey } from './mask.ts'
import { type BlockKeys, identityFor } from './open.ts'

/** Whether an envelope is one of this owner, and to this recipient. Unencrypted blocks have no key that could be replaced. */
export function isAddressedTo(recipient: Recipient, ownerId: Uint8Array, envelope: Uint8Array): boolean {
  const { header, encrypted } = parseEnvelope(bytesFrom(envelope, 'envelope'))
  if (!equalBytes(header.ownerId, ownerId)) return false
  return encrypted === undefined || equalBytes(header.keyId, recipient.keyId)
}

/**
 * A new envelope to `recipient`, after the old one was verified. It is never weaker than the old one.
 * @param hybrid whether it must have both agreements, whatever the old one has
 * @throws KeystrataError `malformed`, `unsupported`, `key-not-found`, `policy`, `authentication-failed`
 */
export function rekeyBlock(head: BlockHead, keys: BlockKeys, recipient: Recipient, hybrid: boolean): Bytes {
  // Each property is read once: what was checked is what is used.
  const { label: name, envelope: stored } = head
  const bytes = new Uint8Array(bytesFrom(stored, 'envelope'))
  const label = parseLabel(name)
  const envelope: Envelope = parseEnvelope(bytes)
  const { header, encrypted } = envelope
  const identity = identityFor(header, encrypted !== undefined, keys)
  if (encrypted === undefined) return bytes
  const blockKey = unmaskKey({ header, encrypted }, identity, label)
  try {
    return maskKey(blockKey, recipient, {
      ownerId: keys.ownerId,
      hybrid: hybrid || header.suite === Suite.hybrid,
      mode: encrypted.mode,
      label,
    })
  } finally {
    blockKey.dispose()
  }
}
