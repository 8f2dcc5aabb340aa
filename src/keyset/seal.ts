// Encrypts and decrypts the content of a keyset's blocks (SPEC §10.2). Content is encrypted in the buffer that it was
// copied into. So a block is never in memory twice, and the bytes that were hashed are the ones that are encrypted.
import { allocate, type Bytes, concat, copyOf, domain, EMPTY, equalBytes, wipe } from '../core/bytes.ts'
import { contentFrom, roomFor, takeCiphertext } from '../core/content.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { disposable, type Handle, type Role, type SecretKey } from '../core/secret.ts'
import { lockKind, type LockKind, lockOf, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import type { ContentKey, ContentScheme } from './dedup.ts'
import { type EncryptedMode, FRAME_BYTES, Mode } from './mask.ts'

/** Content in the buffer that becomes its ciphertext, with its label and, if it will be encrypted, its key. */
export type PreparedContent = {
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
} & ContentKey

/**
 * Copies and labels content. All of it is read before the promise is returned.
 * @throws KeystrataError `limit-exceeded`
 */
export async function prepareContent(given: Uint8Array, scheme: ContentScheme): Promise<PreparedContent> {
  const content = contentFrom(given)
  const { before, after } = FRAME_BYTES[scheme.mode]
  const { buffer, copy } = roomFor(content, before, after)
  try {
    return { ...(await scheme.copyAndIdentify(content, copy)), buffer }
  } catch (error) {
    wipe(buffer)
    throw error
  }
}

/** Encrypts in place. Afterwards the buffer is the ciphertext. */
export async function encryptContent(prepared: PreparedContent): Promise<void> {
  if (prepared.mode === Mode.none) return
  const { mode, buffer, blockKey, label } = prepared
  using frame = frameOf(mode, blockKey, label, prepared.mode === Mode.off ? prepared.nonce : EMPTY)
  buffer.set(frame.lead)
  await gcmSealContent(frame.key, frame.iv, frame.aad, buffer.subarray(frame.lead.length))
}

/**
 * Decrypts the content of a block.
 * @throws KeystrataError `authentication-failed` if key, label and ciphertext do not match
 * @throws KeystrataError `malformed` if the ciphertext is too short
 */
export async function decryptContent(
  mode: EncryptedMode,
  blockKey: SecretKey<'block'>,
  label: Uint8Array,
  ciphertext: Uint8Array,
): Promise<Bytes> {
  const { before, after } = FRAME_BYTES[mode]
  if (ciphertext.length < before + after) {
    throw new KeystrataError('malformed', 'this ciphertext is cut short', { object: 'block', bytes: ciphertext.length })
  }
  const lead = copyOf(ciphertext.subarray(0, before))
  using frame = frameOf(mode, blockKey, label, lead.subarray(0, NONCE_BYTES))
  const into = takeCiphertext(ciphertext) ? ciphertext.subarray(before, ciphertext.length - after) : undefined
  // Check the commitment first: a ciphertext that was crafted for two keys is refused before the cipher runs.
  if (!equalBytes(lead, frame.lead)) throw authenticationFailed()
  return await gcmOpenContent(frame.key, frame.iv, frame.aad, ciphertext.subarray(before), into)
}

/** How one content is encrypted: the bytes before it, and the inputs of AES-GCM. */
interface Frame extends Handle {
  /** The bytes before the content: c, or n ‖ c, or nothing. */
  readonly lead: Bytes
  readonly key: SecretKey<Role>
  readonly iv: Uint8Array
  readonly aad: Bytes
}

/** The kinds of locks, made at first use. */
const kinds: { scoped?: LockKind; off?: LockKind } = {}

/**
 * Derives the frame of a content. The associated data is constant or depends on the label. It must not depend on
 * anything that a rekey or a share changes.
 */
function frameOf(mode: EncryptedMode, blockKey: SecretKey<'block'>, label: Uint8Array, nonce: Uint8Array): Frame {
  switch (mode) {
    case Mode.scoped: {
      const lock = lockOf(blockKey, EMPTY, (kinds.scoped ??= lockKind('block-scoped', [], 32)))
      return Object.assign(lock, { lead: lock.commitment, aad: domain('scoped-block') })
    }
    case Mode.off: {
      const lock = lockOf(blockKey, nonce, (kinds.off ??= lockKind('block-random', [], 32)))
      return Object.assign(lock, {
        lead: concat(nonce, lock.commitment),
        aad: concat(domain('random-block'), label),
      })
    }
    case Mode.global:
      // The key is the SHA3-256 of the content, so the IV can be the same for all contents. The reader compares that
      // hash.
      return disposable({ lead: EMPTY, key: blockKey, iv: allocate(12), aad: domain('global-block') }, () => undefined)
  }
}
