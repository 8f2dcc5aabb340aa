// Shares a folder of a backup with a second user, who restores only that folder from the store. Each shared block gets
// an envelope for the share, and the share's log lists the refs: of a file in a pack, a ref opens that file alone. Then
// the second user tries to open everything else, which must fail.
import {
  type BlockReader,
  changeKeyset,
  createKeyset,
  type Keyset,
  KeystrataError,
  labelOf,
  openLog,
  parseCard,
  shareFrom,
  verifyBlocks,
} from 'keystrata'
import { type Blocks, prefixed } from 'keystrata/stores'
import { BackupLog, BACKUPS, readListing } from './backup-log.ts'
import type { Demo } from './demo.ts'
import { foldersOf, type Listing, partOf, refsOf, withRefs } from './listing.ts'
import { say } from './terminal.ts'

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
  // What the log names is what the recipient gets. So this verifies each block.
  const theirs = await withRefs(part, (refs) => shareFrom(blocks, share, refs))
  const log = new BackupLog(openLog(prefixed(state, `share/${share.id}/`), BACKUPS, share))
  await log.add(foldersOf(theirs))
  await log.finish(part.snapshot)
  const invite = share.invite(theirCard)
  const labels = new Set(refsOf(part).map(labelOf))
  say(`shared ${name}: ${labels.size} blocks got a second envelope each; no ciphertext was copied`)

  // From here on the second user acts, with the invite, the store, and a card whose fingerprint they compared. If they
  // were told the position, nobody can hide the end of the log from them.
  using reader = friend.acceptShare(invite, ourCard)
  const told = await readListing(openLog(prefixed(state, `share/${reader.id}/`), BACKUPS, reader), {
    atLeast: log.position,
  })
  const store = { address: demo.store.address, blocks: blocks.shared(reader.id) }
  await demo.restore({ reader, store }, told, { into: SHARED, of: name })
  say(`${await refusedBlocks(blocks, reader, labels)} other blocks do not open for the second user`)
  const files = await refusedFiles(refsOf(listing), refsOf(told), store.blocks, reader)
  say(`${files} other files in the shared packs do not open either`)
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

/**
 * Tries to open the files of shared packs that are not shared, with the keys of files that are. Returns how many there
 * are; all must fail.
 */
async function refusedFiles(
  all: readonly string[],
  told: readonly string[],
  blocks: Pick<Blocks, 'get'>,
  reader: BlockReader,
): Promise<number> {
  const known: Map<string, PackedRef[]> = new Map()
  for (const ref of told.flatMap(packedRef)) known.set(ref.label, [...(known.get(ref.label) ?? []), ref])
  const guesses: string[] = []
  let refused = 0
  for (const { label, index, key } of all.flatMap(packedRef)) {
    const others = known.get(label) ?? []
    if (others.length === 0 || others.some((other) => other.index === index)) continue
    refused++
    for (const other of others.slice(0, 3)) {
      // Identical files have the same key, so a holder of one can open the other. They learn nothing new.
      if (other.key !== key) guesses.push(`${other.block}.${index}.${other.key}`)
    }
  }
  for await (const { error } of verifyBlocks(blocks, reader, guesses)) if (error === undefined) throw opened()
  return refused
}

/** The parts of the ref of a file in a pack. `block` is all that comes before the index. */
interface PackedRef {
  label: string
  block: string
  index: string
  key: string
}

function packedRef(ref: string): PackedRef[] {
  const [, block, index, key] = /^(.+\.[gk])\.(\d+)\.([^.]+)$/.exec(ref) ?? []
  return block === undefined ? [] : [{ label: labelOf(ref), block, index: index!, key: key! }]
}

const opened = () => new Error('something that was not shared could be opened')

async function mustFail(action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (error instanceof KeystrataError) return
    throw error
  }
  throw opened()
}
