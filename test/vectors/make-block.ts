// Makes the blocks of the vectors with the parts of the library.
import { concat } from '../../src/core/bytes.ts'
import { encodePlainEnvelope } from '../../src/core/envelope.ts'
import { encodeHeader, ObjectType } from '../../src/core/header.ts'
import { type KeyPair, Recipient } from '../../src/core/key-pairs.ts'
import { type EncryptedSuite, Suite } from '../../src/core/suite.ts'
import { ContentScheme } from '../../src/keyset/dedup.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { encryptContent, prepareContent } from '../../src/keyset/seal.ts'
import { hex } from '../fixtures.ts'
import { contents } from './generate-keyset.ts'
import { type BlockVector } from './vectors.ts'

/** A block, with its content. */
export interface Made {
  label: Uint8Array
  envelope: Uint8Array
  ciphertext: Uint8Array
  content: Uint8Array
}

/** What a block is made of: other keys, another suite, key pair or owner than usual. */
export interface Making {
  of?: Pick<KeysetContents, 'id' | 'blockPair' | 'blockSalt' | 'dedupKey'>
  suite?: EncryptedSuite
  pair?: KeyPair
  ownerId?: Uint8Array
}

export async function make(mode: Mode, content: Uint8Array, making: Making = {}): Promise<Made> {
  const { of = contents, suite = Suite.hybrid } = making
  const { pair = of.blockPair, ownerId = of.id } = making
  const prepared = await prepareContent(content, new ContentScheme(mode, of))
  const recipient = new Recipient(pair.publicHalves)
  const { label, blockKey, buffer } = prepared
  const envelope =
    mode === Mode.none
      ? encodePlainEnvelope(
          encodeHeader({ type: ObjectType.envelope, suite: Suite.none, keyId: recipient.keyId, ownerId }),
        )
      : maskKey(blockKey!, recipient, { ownerId, suite, mode, label })
  await encryptContent(prepared)
  return { label, envelope, ciphertext: buffer, content }
}

/** The fields of a block's vector. */
export function blockFields({
  label,
  envelope,
  ciphertext,
  content,
}: Made): Pick<BlockVector, 'label' | 'block' | 'content'> {
  return { label: hex(label), block: hex(concat(envelope, ciphertext)), content: hex(content) }
}
