// Puts everything in the store under new key pairs. It stores a keyset with the old and the new pairs, rekeys the
// envelopes, reseals the index, and only then forgets the retired pairs. In this order nothing is lost, wherever it
// stops. No ciphertext is rewritten.
import { changeKeyset, checkRetired, type Keyset, openLog, rekeyBlocks } from 'keystrata'
import type { BlobStore, Blocks } from 'keystrata/stores'
import { BACKUPS } from './backup-log.ts'
import type { FolderStore } from './backup-store.ts'
import { report, say } from './terminal.ts'
import { newPool } from './threads.ts'

/**
 * Regenerates the key pairs, and moves everything in the store to the new ones. Returns the keyset that is stored then.
 * @param atLeast a position that the index must have: a shorter one is never resealed
 */
export async function regenerate(
  { state, blocks, blobs }: FolderStore,
  keyset: Keyset,
  atLeast: string,
): Promise<Keyset> {
  const before = await ciphertexts(blobs)
  using both = await changeKeyset(state, keyset, (newest) => newest.regenerate())
  // Now a real tool gives every host its new export, and waits for backups that still run with the old one.
  const envelopes = await rekeyAll(blocks, both)
  const index = openLog(state, BACKUPS, both)
  const { copied } = await index.reseal({ atLeast })
  // It reads every head and every record again. What another process wrote meanwhile is noticed here. The logs of shares
  // are not under these key pairs: a share has its own.
  const checked = await checkRetired(blocks, both, { logs: [index] })
  const last = await changeKeyset(state, both, (newest) => newest.forgetRetired(checked))

  let rewritten = 0
  for (const [name, { size, modified }] of await ciphertexts(blobs)) {
    if (before.get(name)?.modified.getTime() !== modified.getTime()) rewritten += size
  }
  say(`regenerated the key pairs: ${envelopes} envelopes and ${copied} records are now under the new ones`)
  say(`${rewritten} bytes of the ${before.size} ciphertexts were rewritten`)
  return last
}

/** Rekeys all envelopes. It can stop and start again: it skips envelopes that are already under the current pairs. */
async function rekeyAll(blocks: Pick<Blocks, 'heads' | 'replaceEnvelope'>, keyset: Keyset): Promise<number> {
  await using pool = newPool()
  const { rekeyed, failed } = await rekeyBlocks(blocks, pool.rekeyer(keyset))
  for (const { label, error } of failed) report(`cannot rekey block ${label.slice(0, 12)}…: ${error.message}`)
  if (failed.length > 0) throw new Error('the old key pairs are kept, because some blocks still need them')
  return rekeyed
}

async function ciphertexts(blobs: BlobStore): Promise<Map<string, { size: number; modified: Date }>> {
  const found: Awaited<ReturnType<typeof ciphertexts>> = new Map()
  for await (const { name, size, modified } of blobs.list('data/')) found.set(name, { size, modified })
  return found
}
