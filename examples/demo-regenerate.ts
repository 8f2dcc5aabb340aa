// New key pairs for everything that is stored, in an order that loses nothing wherever it stops: the keyset with both sets of
// pairs, the envelopes, the index, and then the old pairs are forgotten. No ciphertext is written again.
import type { Keyset } from 'keystrata'
import { BLOCKS, CIPHERTEXTS, getHead, type Head, replaceHead } from './blocks.ts'
import { indexFolder, putRecord, readIndex } from './log.ts'
import { type FolderStore, putVersion } from './store.ts'
import { say } from './terminal.ts'
import { newPool } from './threads.ts'

/** @param unlock the keyset that the store has */
export async function regenerate(store: FolderStore, unlock: () => Promise<Keyset>): Promise<void> {
  const before = await stamps(store)
  using old = await unlock()
  using both = old.regenerate()
  await putVersion(store, 'keyset', both.export('storage'))
  // Nothing is given up before what was stored has been read back, and opens.
  using next = await unlock()

  const envelopes = await rekeyAll(next, store)
  const records = await resealIndex(next, store)
  using last = next.forgetRetired({ blocksRekeyed: true, recordsResealed: true })
  await putVersion(store, 'keyset', last.export('storage'))

  let rewritten = 0
  for (const [hash, { bytes, stamp }] of await stamps(store)) if (before.get(hash)?.stamp !== stamp) rewritten += bytes
  say(`regenerated: ${envelopes} envelopes and ${records} records are under new key pairs`)
  say(`${rewritten} ciphertext bytes were rewritten, of ${before.size} ciphertexts`)
}

/** It can be stopped and started again: what is under today's pairs is passed over. */
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
  // What a run that stopped halfway left of the next epoch.
  await dropLog(store, indexFolder(epoch + 1))
  let records = 0
  for await (const { sequence, record } of keyset.resealRecords(stored())) {
    await putRecord(store, indexFolder(epoch + 1), sequence, record)
    records++
  }
  // The new epoch is closed: nobody reads the old one any more.
  if (records > 0) await dropLog(store, folder)
  return records
}

async function dropLog(store: FolderStore, folder: string): Promise<void> {
  // From its end, so that what is left is a log still.
  for (const name of (await store.versions(folder)).reverse()) await store.drop(name)
}

async function stamps(store: FolderStore): Promise<Map<string, { bytes: number; stamp: string }>> {
  const found: Awaited<ReturnType<typeof stamps>> = new Map()
  for await (const hash of store.hashes(CIPHERTEXTS)) found.set(hash, await store.stamp(`${CIPHERTEXTS}/${hash}`))
  return found
}
