// Shares a folder of a backup with a second user, who restores just that from the store: its blocks by envelopes of their
// own, the files of its packs by their strings, all of it listed in the share's log. Then he tries to open the rest.
import { createKeyset, type Keyset, KeystrataError, openPackMember, parseCard, type RecordReader } from 'keystrata'
import { BLOCKS, CIPHERTEXTS, getContent, getHead, Kind, newTally, pinOf, putHead, type Source } from './blocks.ts'
import type { Demo } from './demo.ts'
import { labelsOf, type Listing, type Packed, packedIn, partOf } from './listing.ts'
import { LogWriter, readLog } from './log.ts'
import { type FolderStore, putVersion } from './store.ts'
import { say } from './terminal.ts'

/** Blocks are logged so many at a time. */
const LOGGED_AT_ONCE = 5000

export async function shareFolder(demo: Demo, keyset: Keyset, listing: Listing, subfolder: string): Promise<void> {
  const { store } = demo
  const name = subfolder.replace(/\/+$/, '')
  const part = partOf(listing, name)
  // A second user, with a keyset of his own. His card comes to the first one by any way; its fingerprint is read out.
  using friend = await createKeyset(`${demo.password}, of a friend`)
  const theirCard = parseCard(friend.card().bytes, { fingerprint: friend.card().fingerprint })
  const ourCard = parseCard(keyset.card().bytes, { fingerprint: keyset.card().fingerprint })

  const { keyset: owner, share } = keyset.createShare()
  await putVersion(store, 'keyset', owner.export('storage'))
  const heads = `share-${share.id}`
  const log = new LogWriter(share, store, `${heads}-log`, 'start')
  let pinned: Record<string, string> = {}
  const labels = labelsOf(part)
  for (const label of labels) {
    const owners = await getHead(store, BLOCKS, label)
    const head = { ...owners, envelope: share.add(owners) }
    await putHead(store, heads, head)
    pinned[label] = pinOf(head)
    if (Object.keys(pinned).length < LOGGED_AT_ONCE) continue
    await log.append({ pinned })
    pinned = {}
  }
  await log.append({ pinned })
  await log.add([...part.folders].map(([path, entries]) => ({ path, entries: [...entries] })))
  await log.finish(part.snapshot)
  const invite = share.invite(theirCard)
  share.dispose()
  owner.dispose()
  say(`shared ${name}: ${labels.size} blocks, by envelopes of their own; the ciphertexts are the owner’s`)

  // From here on the second user works, with the invite, the store, and a card whose fingerprint he compared.
  using reader = friend.acceptShare(invite, ourCard)
  const shared = await readLog(store, `${heads}-log`, reader)
  if (shared.listing === undefined) throw new Error('the log of the share names no backup')
  const source = { reader, store, heads, pinned: shared.pinned }
  await demo.restore(source, shared.listing, { into: SHARED, of: name })
  say(`${await refusedBlocks(store, reader, labels)} other blocks do not open for him`)
  const strangers = packedIn(listing).filter(({ pack }) => labels.has(pack))
  say(
    `${await refusedFiles(strangers, packedIn(part), source)} other files in the packs that he has do not open either`,
  )
}

/** Where the second user's restore goes. */
export const SHARED = 'shared'

/** Tries every block that is not shared, by whatever envelope is there. */
async function refusedBlocks(store: FolderStore, reader: RecordReader, shared: ReadonlySet<string>): Promise<number> {
  let refused = 0
  for await (const label of store.hashes(BLOCKS)) {
    if (shared.has(label)) continue
    const { envelope, hash } = await getHead(store, BLOCKS, label)
    const ciphertext = (await store.get(`${CIPHERTEXTS}/${hash}`)) ?? new Uint8Array(0)
    await mustFail(() => reader.open({ label, envelope, ciphertext }))
    refused++
  }
  return refused
}

/** Tries every file of a shared pack that is not shared, with the keys of those that are. */
async function refusedFiles(all: readonly Packed[], told: readonly Packed[], source: Source): Promise<number> {
  const known = new Set(told.map(({ pack, member }) => `${pack} ${member}`))
  const keys = [...new Set(told.map(({ member }) => member.split('.')[2]!))].slice(0, 3)
  const contents: Map<string, Uint8Array> = new Map()
  let refused = 0
  for (const { pack, member } of all) {
    if (known.has(`${pack} ${member}`)) continue
    const [form, index, key] = member.split('.') as [string, string, string]
    const content = contents.get(pack) ?? (await getContent(Kind.pack, pack, source, newTally()))
    contents.clear()
    contents.set(pack, content)
    // One who has an equal file has its key, and nothing is gained by it.
    for (const other of keys)
      if (other !== key) await mustFail(() => openPackMember(content, `${form}.${index}.${other}`))
    refused++
  }
  return refused
}

async function mustFail(action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (error instanceof KeystrataError) return
    throw error
  }
  throw new Error('something opened that was not shared')
}
