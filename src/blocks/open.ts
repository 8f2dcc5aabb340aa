// Opening a block, check by check (SPEC §6.4): the caller's rules before any key is used, the envelope before the mask,
// the commitment before the cipher, and at the end the content against its label.
import { type Bytes, bytesFrom, equalBytes, wipe } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { FRAME_BYTES, MAX_CONTENT_BYTES, Mode, parseEnvelope } from '../format/envelope.ts'
import { type Header, Suite } from '../format/header.ts'
import { Strength } from '../format/keyset.ts'
import type { Identity } from '../keys/key-pairs.ts'
import type { SecretKey } from '../secret.ts'
import type { SealedBlock } from './block.ts'
import { parseLabel } from './label.ts'
import { unmaskKey } from './mask.ts'
import { decryptContent } from './seal.ts'

/** Whose envelopes and records somebody opens: the keys, and the rules. */
export interface EnvelopeKeys {
  readonly ownerId: Uint8Array
  /** A {@link Strength} to take although the key pair demands more; undefined to take none such. */
  readonly accept: number | undefined
  /** Today's key pair. */
  readonly current: Identity
  identity(keyId: Uint8Array): Identity | undefined
}

/** Checks content that was opened; `blockKey` is undefined where nothing was encrypted. */
export type ContentCheck = (
  mode: Mode,
  content: Uint8Array,
  label: Uint8Array,
  blockKey: SecretKey<'block'> | undefined,
) => Promise<void>

export async function openBlock(block: SealedBlock, keys: EnvelopeKeys, check: ContentCheck): Promise<Bytes> {
  // Each property is read once: what was checked is what is used.
  const { envelope: stored, ciphertext: sealed, label: name } = block
  const ciphertext = bytesFrom(sealed, 'ciphertext')
  const envelopeBytes = bytesFrom(stored, 'envelope')
  const label = parseLabel(name)
  const envelope = parseEnvelope(envelopeBytes)
  const { encrypted } = envelope
  const mode = encrypted?.mode ?? Mode.none
  assertWithinLimit(ciphertext, mode)
  const identity = identityFor(envelope.header, encrypted !== undefined, keys)

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
  const blockKey = unmaskKey({ ...envelope, encrypted }, identity, label)
  try {
    return await verified(await decryptContent(encrypted.mode, blockKey, label, ciphertext), blockKey)
  } finally {
    blockKey.dispose()
  }
}

/**
 * The key pair that a block or a record is addressed to, after the caller's rules were checked.
 * @throws KeystrataError `key-not-found`, `authentication-failed`, `policy`
 */
export function identityFor(header: Header, isEncrypted: boolean, keys: EnvelopeKeys): Identity {
  // An unencrypted block needs no key; whether it is taken, today's key pair decides where its own is forgotten.
  const identity = keys.identity(header.keyId) ?? (isEncrypted ? undefined : keys.current)
  if (identity === undefined) throw new KeystrataError('key-not-found')
  if (!equalBytes(header.ownerId, keys.ownerId)) throw authenticationFailed()
  assertStrongEnough(header, identity, keys.accept)
  return identity
}

/** @throws KeystrataError `limit-exceeded` */
function assertWithinLimit({ length }: Uint8Array, mode: Mode): void {
  const { before, after } = FRAME_BYTES[mode]
  if (length <= before + MAX_CONTENT_BYTES + after) return
  throw new KeystrataError('limit-exceeded', 'a block over 64 MiB', { bytes: length })
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
