// Shares a folder of a backup with a second user, who restores only that folder from the store. Each shared block gets
// an envelope for the share. Each file in a pack is shared by its member string. The share's log lists all of it. Then
// the second user tries to open everything else, which must fail.
import {
  type BlockReader,
  changeKeyset,
  createKeyset,
  type Keyset,
  KeystrataError,
  openLog,
  openPackMember,
  parseCard,
} from 'keystrata'
import { type Blocks, prefixed } from 'keystrata/stores'
import { BackupLog, BACKUPS, readBackups } from './backup-log.ts'
import { getContent, Kind, newTally, pinOf, type Source } from './blocks.ts'
import type { Demo } from './demo.ts'
import { labelsOf, type Listing, type Packed, packedIn, partOf } from './listing.ts'
import { say } from './terminal.ts'

/** How many blocks go into one record of the log. */
const LOGGED_AT_ONCE = 5000

export async function shareFolder(demo: Demo, keyset: Keyset, listing: Listing, subfolder: string): Promise<void> {
  const { blocks, state } = demo.store
  const name = subfolder.replace(/\/+$/, '')
  const part = partOf(listing, name)
  // A second user has their own keyset. The card can arrive over any channel; the users read the fingerprint to each
  // other.
  using friend = await createKeyset(`${demo.password}, of a friend`)
  const theirCard = parseCard(friend.card().bytes, { fingerprint: friend.card().fingerprint })
  const ourCard = parseCard(keyset.card().bytes, { fingerprint: keyset.card().fingerprint })

  using created = await changeKeyset(state, keyset, (newest) => newest.createShare())
  const { share } = created
  const shared = blocks.shared(share.id)
  const log = new BackupLog(openLog(prefixed(state, `share/${share.id}/`), BACKUPS, share))
  let pinned: Record<string, string> = {}
  const labels = labelsOf(part)
  for (const label of labels) {
    const block = await blocks.get(label)
    if (block === undefined) throw new Error(`block ${label.slice(0, 12)}… is missing: back up again, then share`)
    // What the log pins is what the recipient gets. So make sure that it is what was backed up.
    await keyset.open(block)
    const theirs = { ...block, envelope: share.add(block) }
    await shared.put(theirs)
    pinned[label] = pinOf(theirs)
    if (Object.keys(pinned).length < LOGGED_AT_ONCE) continue
    await log.append({ pinned })
    pinned = {}
  }
  await log.append({ pinned })
  await log.add([...part.folders].map(([path, entries]) => ({ path, entries: [...entries] })))
  await log.finish(part.snapshot)
  const invite = share.invite(theirCard)
  say(`shared ${name}: ${labels.size} blocks got a second envelope each; no ciphertext was copied`)

  // From here on the second user acts, with the invite, the store, and a card whose fingerprint they compared. If they
  // were told the position, nobody can hide the end of the log from them.
  using reader = friend.acceptShare(invite, ourCard)
  const told = await readBackups(openLog(prefixed(state, `share/${reader.id}/`), BACKUPS, reader), {
    atLeast: log.position,
  })
  if (told.listing === undefined) throw new Error('the log of the share lists no backup')
  const store = { address: demo.store.address, blocks: blocks.shared(reader.id) }
  const source = { reader, store, pinned: told.pinned }
  await demo.restore(source, told.listing, { into: SHARED, of: name })
  say(`${await refusedBlocks(blocks, reader, labels)} other blocks do not open for the second user`)
  const strangers = packedIn(listing).filter(({ pack }) => labels.has(pack))
  say(`${await refusedFiles(strangers, packedIn(part), source)} other files in the shared packs do not open either`)
}

/** The end of the folder name for the second user's restore. */
export const SHARED = 'shared'

/**
 * Tries to open every block that is not shared, with the owner's envelope. Returns how many there are; all must fail.
 */
async function refusedBlocks(
  blocks: Pick<Blocks, 'get' | 'heads'>,
  reader: BlockReader,
  shared: ReadonlySet<string>,
): Promise<number> {
  let refused = 0
  for await (const { label } of blocks.heads()) {
    const block = shared.has(label) ? undefined : await blocks.get(label)
    if (block === undefined) continue
    await mustFail(() => reader.open(block))
    refused++
  }
  return refused
}

/** Tries to open the files of shared packs that are not shared, with the keys of files that are. All must fail. */
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
    // Identical files have the same key, so a holder of one can open the other. They learn nothing new.
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
  throw new Error('something that was not shared could be opened')
}
