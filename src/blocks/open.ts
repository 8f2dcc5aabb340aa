// Opening a block, check by check (SPEC §6.4): the caller's rules before any key is used, the envelope before the mask,
// the commitment before the cipher, and at the end the content against its label.
import { type Bytes, wipe } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { FRAME_BYTES, MAX_CONTENT_BYTES, Mode, parseEnvelope } from '../format/envelope.ts'
import type { SecretKey } from '../secret.ts'
import { partsOf, type SealedBlock } from './block.ts'
import type { EnvelopeKeys } from './envelope-keys.ts'
import { unmaskKey } from './mask.ts'
import { decryptContent } from './seal.ts'

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
