// Whether anything stored still needs the retired key pairs of a keyset. The key ids of blocks and records are not
// encrypted, so this needs no private keys. Of blocks it reads the heads alone.
import { equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { inOrder } from '../core/in-order.ts'
import { ObjectType, parseHeader } from '../core/header.ts'
import { publicKeyId } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import { BLOCK_SUITES, KEYSET_SUITES, Strength } from '../core/suite.ts'
import type { Blocks } from '../state/blocks.ts'
import { readHeads } from '../state/checked-blocks.ts'
import { type LogReader, StoredLog } from '../state/log.ts'
import { type Ahead, AHEAD, paceFrom, sourceFrom } from '../state/pace.ts'
import { assertComplete, type CompleteContents, type RetiredCheck } from './changes.ts'
import { insidesOf, type Keyset } from './keyset.ts'
import { isMasked, parseEnvelope } from './mask.ts'

/**
 * Checks that no stored block and no record needs a retired key pair of this keyset, so that they can be forgotten. It
 * reads every head, and every record of the given logs. Before this, replace every host export, wait until no host with an
 * old one can still be writing (`checkWriter` tells each host), rekey all blocks, and reseal all logs.
 * @param blocks the store with all blocks of this keyset; blocks of others may be in it too
 * @param keyset the keyset as it is stored now
 * @param options `logs`: all logs of this keyset, from `openLog`; a store cannot list them. `ahead`: how many of
 *   them are read at once. `signal`: aborts the check
 * @returns what {@link Keyset.forgetRetired} takes, as long as the keyset does not change
 * @throws KeystrataError `policy` while a block or a record needs a retired key pair. `detail` has the number of blocks that are sealed
 *   to one (`retired`), that are not encrypted although the current pair requires it (`unencrypted`), and whose heads are damaged, of
 *   a later release, or under a key pair that this keyset does not have (`unknown`), the label of the first of all these (`first`), and the number of records under a retired
 *   pair (`records`)
 * @throws KeystrataError `policy` if the keyset was unlocked from a `definition`
 * @throws KeystrataError `aborted`, `disposed`
 * @throws RangeError if `ahead` is not an integer from 1 to 1,024
 * @throws TypeError if `keyset` is not a keyset from this copy of the library
 * @throws TypeError for an unknown option
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
  options: Ahead & { logs: readonly LogReader[] },
): Promise<RetiredCheck> {
  const { logs, ...ahead } = optionsFrom(options, { ...AHEAD, logs: 'required' }, 'checkRetired')
  const pace = paceFrom(ahead)
  if (!Array.isArray(logs) || !logs.every((log) => log instanceof StoredLog))
    throw new TypeError('logs must be an array of what openLog returned')
  const contents = assertComplete(insidesOf(keyset, 'keyset').contents, 'checking retired keys')
  const { id, revision } = keyset
  const retired = new Set(contents.additional.retired.map(({ publicHalves }) => toHex(publicKeyId(publicHalves))))
  const found = { heads: 0, retired: 0, unencrypted: 0, unknown: 0, records: 0 }
  let first: string | undefined
  const assertGoing = () => {
    if (pace.signal?.aborted === true) throw new KeystrataError('aborted')
  }
  assertGoing()
  for await (const { label, envelope } of readHeads(blocks)) {
    assertGoing()
    found.heads++
    const need = needOf(envelope, contents, retired)
    if (need === undefined) continue
    found[need]++
    first ??= label
  }
  const recordsIn = async (log: StoredLog) => {
    let records = 0
    for await (const keyId of log.keyIds()) {
      assertGoing()
      if (retired.has(toHex(keyId))) records++
    }
    return records
  }
  for await (const records of inOrder(sourceFrom(logs, 'logs'), recordsIn, pace)) found.records += records
  if (first === undefined && found.records === 0) return { keyset: id, revision, heads: found.heads }
  const detail = { rule: 'retired-keys', ...(first !== undefined && { first }), ...found }
  throw new KeystrataError('policy', messageFor(found), detail)
}

function messageFor(found: { retired: number; unencrypted: number; unknown: number; records: number }): string {
  const { retired, unencrypted, unknown, records } = found
  if (retired > 0) return 'some blocks are still under a retired key pair: rekey them first'
  if (unencrypted > 0) {
    return 'some blocks are not encrypted, and the key pair of today does not accept that: open them (with allowWeaker if needed), seal their contents again, write the new labels into your log, then delete these blocks'
  }
  if (unknown === 0 && records > 0) return 'some records are still under a retired key pair: reseal their logs first'
  return 'some heads are damaged, of a later release, or under a key pair that this keyset does not have: do not delete them; put older heads back, or adopt the keyset that has the pair'
}

/** Returns why a block needs a retired key pair, or undefined if it does not need one. */
function needOf(
  stored: Uint8Array,
  { id, blockPair }: CompleteContents,
  retired: ReadonlySet<string>,
): 'retired' | 'unencrypted' | 'unknown' | undefined {
  try {
    const { suite } = parseHeader(stored, 'envelope', ObjectType.envelope, BLOCK_SUITES)
    // Blocks of other key models may be in the store too.
    if (!KEYSET_SUITES.some((each) => each.id === suite.id)) return undefined
    const envelope = parseEnvelope(stored)
    const { keyId, ownerId } = envelope.header
    const isRetired = retired.has(toHex(keyId))
    const isOwn = equalBytes(ownerId, id)
    const isCurrent = equalBytes(keyId, publicKeyId(blockPair.publicHalves))
    if (isMasked(envelope)) {
      if (isRetired) return 'retired'
      // The key pair of a revision that was never stored, for example. The old head may still be somewhere, and then a
      // retired pair is what opens it.
      return isOwn && !isCurrent ? 'unknown' : undefined
    }
    if (!isOwn || isCurrent) return undefined
    if (blockPair.publicHalves.minimum > Strength.none) return 'unencrypted'
    return isRetired ? 'retired' : undefined
  } catch (error) {
    if (error instanceof KeystrataError) return 'unknown'
    throw error
  }
}
