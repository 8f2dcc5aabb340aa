// Whether anything stored still needs the retired key pairs of a keyset. The key ids of blocks are not encrypted, so
// this needs no private keys, and reads heads alone.
import { toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { ObjectType, parseHeader } from '../core/header.ts'
import { publicKeyId } from '../core/key-pairs.ts'
import { BLOCK_SUITES, KEYSET_SUITES } from '../core/suite.ts'
import type { Blocks } from '../state/blocks.ts'
import { assertComplete, type RetiredCheck } from './changes.ts'
import { insidesOf, type Keyset } from './keyset.ts'
import { isMasked, parseEnvelope } from './mask.ts'

/**
 * Checks that no stored block needs a retired key pair of this keyset, so that they can be forgotten. It reads every
 * head. Before this, replace every host export, wait until no host with an old one can still be writing (`checkWriter`
 * tells each host), and rekey all blocks.
 * @param blocks the store with all blocks of this keyset; blocks of others may be in it too
 * @param keyset the keyset as it is stored now
 * @param options `logs`: the logs of this keyset. Logs cannot be checked yet: pass an empty array, and make sure yourself
 *   that each one is resealed. `signal`: aborts the check
 * @returns what {@link Keyset.forgetRetired} takes, as long as the keyset does not change
 * @throws KeystrataError `policy` while a block is under a retired key pair, with the numbers of such blocks (`retired`)
 *   and of heads that are damaged, so that nobody can tell (`damaged`)
 * @throws KeystrataError `policy` if the keyset was unlocked from a `definition`
 * @throws KeystrataError `aborted`, `disposed`
 * @throws TypeError if `keyset` is not a keyset from this copy of the library
 * @example
 * ```ts
 * import { checkRetired, createKeyset } from 'keystrata'
 * import { blocksIn, memoryBlobStore } from 'keystrata/stores'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * using regenerated = keyset.regenerate()
 * const checked = await checkRetired(blocksIn(memoryBlobStore()), regenerated, { logs: [] })
 * console.log(regenerated.forgetRetired(checked).retired) // 0
 * ```
 */
export async function checkRetired(
  blocks: Pick<Blocks, 'heads'>,
  keyset: Keyset,
  options: { logs: readonly never[]; signal?: AbortSignal },
): Promise<RetiredCheck> {
  const { logs, signal } = options
  if (!Array.isArray(logs) || logs.length > 0)
    throw new TypeError('logs must be an empty array: logs cannot be checked yet')
  const { additional } = assertComplete(insidesOf(keyset, 'keyset').contents, 'checking retired keys')
  const { id, revision } = keyset
  const retired = new Set(additional.retired.map(({ publicHalves }) => toHex(publicKeyId(publicHalves))))
  const found = { heads: 0, retired: 0, damaged: 0 }
  for await (const { envelope } of blocks.heads()) {
    if (signal?.aborted === true) throw new KeystrataError('aborted')
    found.heads++
    const keyId = keyIdOfHead(envelope)
    if (keyId === undefined) found.damaged++
    else if (retired.has(keyId)) found.retired++
  }
  if (found.retired + found.damaged === 0) return { keyset: id, revision, heads: found.heads }
  const message =
    found.retired > 0
      ? 'some blocks are still under a retired key pair: rekey them first'
      : 'some heads are damaged, so nobody can tell whether their blocks need a retired key pair: store or delete them'
  throw new KeystrataError('policy', message, { rule: 'retired-keys', ...found })
}

/**
 * Returns the key id in an envelope of a keyset, and an empty one if it needs no key, or belongs to another key model.
 * Returns undefined if it is damaged.
 */
function keyIdOfHead(stored: Uint8Array): string | undefined {
  try {
    const { suite } = parseHeader(stored, 'envelope', ObjectType.envelope, BLOCK_SUITES)
    if (!KEYSET_SUITES.some(({ id }) => id === suite.id)) return ''
    const envelope = parseEnvelope(stored)
    return isMasked(envelope) ? toHex(envelope.header.keyId) : ''
  } catch (error) {
    if (error instanceof KeystrataError) return undefined
    throw error
  }
}
