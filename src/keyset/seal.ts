// Encrypting and decrypting the content of blocks (SPEC §6.2). Content is encrypted in the buffer that it was copied into,
// so a block is never twice in memory, and what was hashed is what is encrypted.
import { type Bytes, concat, domain, EMPTY, equalBytes, wipe } from '../core/bytes.ts'
import { contentFrom, roomFor } from '../core/content.ts'
import { type EncryptedMode, Mode } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import type { Role, SecretKey } from '../core/secret.ts'
import { deriveLock, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { randomBytes } from '../primitives/random.ts'
import { type ContentScheme, generateBlockKey } from './dedup.ts'
import { FRAME_BYTES } from './envelope.ts'

/** Content in the buffer that will be its ciphertext, with the label and the key that it has. */
export type PreparedContent = {
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
} & (
  | { readonly mode: EncryptedMode; readonly blockKey: SecretKey<'block'> }
  | { readonly mode: typeof Mode.none; readonly blockKey?: undefined }
)

/**
 * Copies and names content; all of it is read before this first yields.
 * @throws KeystrataError `limit-exceeded`
 */
export async function prepareContent(given: Uint8Array, scheme: ContentScheme): Promise<PreparedContent> {
  const content = contentFrom(given)
  const { mode } = scheme
  const { before, after } = FRAME_BYTES[mode]
  const { buffer, copy } = roomFor(content, before, after)
  try {
    const { label, blockKey } = await scheme.copyAndIdentify(content, copy)
    if (mode === Mode.none) return { mode, buffer, label }
    return { mode, buffer, label, blockKey: blockKey ?? generateBlockKey() }
  } catch (error) {
    wipe(buffer)
    throw error
  }
}

/** Encrypts in place: afterwards the buffer is the ciphertext. */
export async function encryptContent(prepared: PreparedContent): Promise<void> {
  const { mode, buffer, blockKey, label } = prepared
  if (mode === Mode.none) return
  const nonce = mode === Mode.off ? randomBytes(NONCE_BYTES) : EMPTY
  const frame = frameOf(mode, blockKey, label, nonce)
  try {
    buffer.set(frame.lead)
    await gcmSealContent(frame.key, frame.iv, frame.aad, buffer.subarray(frame.lead.length))
  } finally {
    frame.dispose()
  }
}

/** @throws KeystrataError `authentication-failed`; `malformed` for a ciphertext too short to be one */
export async function decryptContent(
  mode: EncryptedMode,
  blockKey: SecretKey<'block'>,
  label: Uint8Array,
  ciphertext: Uint8Array,
): Promise<Bytes> {
  const { before, after } = FRAME_BYTES[mode]
  if (ciphertext.length < before + after) {
    throw new KeystrataError('malformed', 'a ciphertext cut short', { bytes: ciphertext.length })
  }
  const lead = new Uint8Array(ciphertext.subarray(0, before))
  const frame = frameOf(mode, blockKey, label, lead.subarray(0, NONCE_BYTES))
  try {
    // The commitment first: a ciphertext made for two keys is refused before the cipher sees it.
    if (!equalBytes(lead, frame.lead)) throw authenticationFailed()
    return await gcmOpenContent(frame.key, frame.iv, frame.aad, ciphertext.subarray(before))
  } finally {
    frame.dispose()
  }
}

/** How one content is encrypted: what stands in front of it, and the inputs of AES-GCM. */
interface Frame {
  /** c, or n ‖ c, or nothing. */
  readonly lead: Bytes
  readonly key: SecretKey<Role>
  readonly iv: Uint8Array
  readonly aad: Bytes
  dispose(): void
}

/** The associated data is constant, or the label's: it must not depend on anything that a rekey or a share changes. */
function frameOf(mode: EncryptedMode, blockKey: SecretKey<'block'>, label: Uint8Array, nonce: Uint8Array): Frame {
  switch (mode) {
    case Mode.scoped: {
      const lock = deriveLock(blockKey, EMPTY, 'block-scoped')
      return { ...lock, lead: lock.commitment, aad: domain('scoped-block') }
    }
    case Mode.off: {
      const lock = deriveLock(blockKey, nonce, 'block-random')
      const lead = concat(nonce, lock.commitment)
      return { ...lock, lead, aad: concat(domain('random-block'), label) }
    }
    case Mode.global:
      // The key is the SHA3-256 of the content, so one IV serves them all, and the reader compares that hash.
      return {
        lead: EMPTY,
        key: blockKey,
        iv: new Uint8Array(12),
        aad: domain('global-block'),
        dispose: () => undefined,
      }
  }
}
