// Puts everything in the store under new key pairs. It stores a keyset with the old and the new pairs, rekeys the
// envelopes, reseals the index, and only then forgets the retired pairs. In this order nothing is lost, wherever it
// stops. No ciphertext is rewritten.
import type { Keyset } from 'keystrata'
import { BLOCKS, CIPHERTEXTS, getHead, type Head, replaceHead } from './blocks.ts'
import { indexFolder, putRecord, readIndex } from './log.ts'
import { type FolderStore, putVersion } from './store.ts'
import { say } from './terminal.ts'
import { newPool } from './threads.ts'

/**
 * Regenerates the key pairs, and moves everything in the store to the new ones.
 * @param unlock unlocks the newest keyset in the store
 */
export async function regenerate(store: FolderStore, unlock: () => Promise<Keyset>): Promise<void> {
  const before = await stamps(store)
  using old = await unlock()
  using both = old.regenerate()
  await putVersion(store, 'keyset', both.export('storage'))
  // Read the stored keyset back and check that it opens, before anything else changes.
  using next = await unlock()

  const envelopes = await rekeyAll(next, store)
  const records = await resealIndex(next, store)
  using last = next.forgetRetired('unchecked')
  await putVersion(store, 'keyset', last.export('storage'))

  let rewritten = 0
  for (const [hash, { bytes, stamp }] of await stamps(store)) if (before.get(hash)?.stamp !== stamp) rewritten += bytes
  say(`regenerated the key pairs: ${envelopes} envelopes and ${records} records are now under the new ones`)
  say(`${rewritten} bytes of the ${before.size} ciphertexts were rewritten`)
}

/** Rekeys all envelopes. It can stop and start again: it skips envelopes that are already under the current pairs. */
async function rekeyAll(keyset: Keyset, store: FolderStore): Promise<number> {
  let rekeyed = 0
  const underWay: Map<string, Head> = new Map()
  const heads = async function* () {
    for await (const label of store.hashes(BLOCKS)) {
      const head = await getHead(store, BLOCKS, label)
      underWay.set(label, head)
      yield head
    }
  }
  await using pool = newPool()
  for await (const { label, envelope, error } of pool.rekey(keyset, heads())) {
    if (error !== undefined) throw error
    const head = underWay.get(label)!
    underWay.delete(label)
    if (envelope === undefined) continue
    await replaceHead(store, BLOCKS, { ...head, envelope })
    rekeyed++
  }
  return rekeyed
}

async function resealIndex(keyset: Keyset, store: FolderStore): Promise<number> {
  const { folder } = await readIndex(store, keyset)
  const epoch = Number(folder.slice(-8))
  const stored = async function* () {
    for (const name of await store.versions(folder)) yield (await store.get(name)) ?? new Uint8Array(0)
  }
  // Delete the records of the next epoch that an interrupted run left behind.
  await dropLog(store, indexFolder(epoch + 1))
  let records = 0
  for await (const { sequence, record } of keyset.resealRecords(stored())) {
    await putRecord(store, indexFolder(epoch + 1), sequence, record)
    records++
  }
  // The new epoch is complete, so nobody reads the old one any more.
  if (records > 0) await dropLog(store, folder)
  return records
}

async function dropLog(store: FolderStore, folder: string): Promise<void> {
  // Delete from the end, so that the rest is still a valid log.
  for (const name of (await store.versions(folder)).reverse()) await store.drop(name)
}

async function stamps(store: FolderStore): Promise<Map<string, { bytes: number; stamp: string }>> {
  const found: Awaited<ReturnType<typeof stamps>> = new Map()
  for await (const hash of store.hashes(CIPHERTEXTS)) found.set(hash, await store.stamp(`${CIPHERTEXTS}/${hash}`))
  return found
}
