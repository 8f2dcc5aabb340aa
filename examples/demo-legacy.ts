// The next part of the client demo: the data of an old client is sealed under DES-56. The demo opens it and seals it
// again for a client with an AES-256 key.
import { deriveLegacyClient } from 'keystrata/legacy'
import { type Client, deriveClient, generateTypedKey } from 'keystrata/client'
import { BlockIndex, readBlockIndex } from './block-index.ts'
import { getContent, Kind, newTally, putContent, withKind } from './blocks.ts'
import type { Demo } from './demo.ts'
import { type Machine, saveClient, savedClient } from './demo-client.ts'
import type { Entry, IndexWriter, Listing } from './listing.ts'
import { enrol, logIn, RemoteStore } from './storage-client.ts'
import { REALM } from './storage-service.ts'
import { say } from './terminal.ts'

/** The end of the folder name for the restore of the moved data. */
export const MOVED = 'of what was under DES'

const NAMES = { realm: REALM, account: 'an-old-customer', platform: 'linux' } as const
const DES_KEY = { type: 'DES-56', text: 'of 2003!' } as const

/**
 * Runs this part of the demo.
 * @param folder the folder that the old client backed up
 */
export async function legacyStory(
  demo: Demo,
  url: string,
  { device, machine }: Machine,
  folder: string,
): Promise<void> {
  if ((await savedClient(machine, device, 'modern', NAMES.account)) !== undefined) return
  const customer = await logIn(url, NAMES.account, demo.password)
  // Many years ago, the old client makes a backup.
  using old = await deriveLegacyClient({ ...NAMES, name: 'old', privateKey: DES_KEY, dangerouslyAllowDes: true })
  await enrol(url, customer, old)
  const remote = await RemoteStore.connect(url, old)
  const index = new BlockIndex(old.scope('private'), remote, () => remote.commit())
  await demo.backUp(old.scope('private'), index, { store: remote, what: folder })

  // Today, a second client joins, so the account needs an account key.
  const accountKey = generateTypedKey('AES-256')
  const modern = await deriveClient({
    ...{ ...NAMES, name: 'modern' },
    ...{ privateKey: generateTypedKey('AES-256'), accountKey },
  })
  await saveClient(machine, device, 'modern', modern)
  await enrol(url, customer, modern)
  using restored = await deriveLegacyClient({ ...NAMES, name: 'old', privateKey: DES_KEY })
  using reader = await restored.withAccountKey(accountKey)
  const blocks = await move(reader, modern, url)
  say(`${blocks} blocks of an old client were opened under DES, and sealed again under AES-256`)

  const again = await RemoteStore.connect(url, modern)
  const source = { reader: modern.scope('private'), store: again }
  const listing = await readBlockIndex(again, source.reader)
  await demo.restore(source, listing, { into: MOVED, of: folder })
}

/** Opens the newest backup of one client and seals it as a backup of another one. Returns the number of blocks. */
async function move(from: Client, to: Client, url: string): Promise<number> {
  const there = await RemoteStore.connect(url, from)
  const source = { reader: from.scope('private'), store: there }
  const listing = await readBlockIndex(there, source.reader)
  const here = await RemoteStore.connect(url, to)
  const writer = to.scope('private')
  const index = new BlockIndex(writer, here, () => here.commit())
  const moved: Map<string, string> = new Map()
  const reseal = async (label: string): Promise<string> => {
    const known = moved.get(label)
    if (known !== undefined) return known
    const content = await getContent(Kind.piece, label, source, newTally())
    const next = await putContent(withKind(Kind.piece, content), writer, here.blocks, newTally())
    moved.set(label, next)
    return next
  }
  await moveListing(listing, index, reseal)
  return moved.size
}

async function moveListing(
  { snapshot, folders }: Listing,
  index: IndexWriter,
  reseal: (label: string) => Promise<string>,
): Promise<void> {
  for (const [path, entries] of folders) {
    const next: Entry[] = []
    for (const entry of entries) {
      if (entry.type !== 'file' || !('pieces' in entry)) next.push(entry)
      else {
        const pieces: string[] = []
        for (const label of entry.pieces) pieces.push(await reseal(label))
        next.push({ ...entry, pieces })
      }
    }
    await index.add([{ path, entries: next }])
  }
  await index.finish(snapshot)
}
