// The next part of the client demo: the data of an old client is sealed under DES-56. The demo opens it and seals it
// again for a client with an AES-256 key.
import { openFrom, openLog, sealInto } from 'keystrata'
import { deriveLegacyClient } from 'keystrata/legacy'
import { type Client, deriveClient, generateTypedKey } from 'keystrata/client'
import { BackupLog, BACKUPS, readListing } from './backup-log.ts'
import type { Demo } from './demo.ts'
import { type Machine, saveClient, savedClient } from './demo-client.ts'
import { type Folder, foldersOf, type IndexWriter, refsOf, type Snapshot, toListing, withRefs } from './listing.ts'
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
  const index = new BlockIndex(old, remote)
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
  const blocks = await move(reader, index.position!, modern, url)
  say(`${blocks} blocks of an old client were opened under DES, and sealed again under AES-256`)

  const again = await RemoteStore.connect(url, modern)
  const source = { reader: modern.scope('private'), store: again }
  const listing = await readListing(openLog(again.state, BACKUPS, source.reader))
  await demo.restore(source, listing, { into: MOVED, of: folder })
}

/** The listing of a backup in a block, because a scope under DES has no logs. */
class BlockIndex implements IndexWriter {
  /** The ref of the listing. */
  position: string | undefined
  readonly #folders: Folder[] = []
  readonly #client: Client
  readonly #store: RemoteStore

  constructor(client: Client, store: RemoteStore) {
    this.#client = client
    this.#store = store
  }

  async add(folders: readonly Folder[]): Promise<void> {
    this.#folders.push(...folders)
  }

  async finish(snapshot: Snapshot): Promise<void> {
    const content = Buffer.from(JSON.stringify([snapshot, this.#folders]))
    for await (const { ref } of sealInto(this.#store.blocks, this.#client.scope('private'), [content])) {
      this.position = ref
    }
    await this.#store.commit()
  }
}

/**
 * Opens a backup of one client and seals it as a backup of another one. Returns the number of blocks.
 * @param ref where the listing is
 */
async function move(from: Client, ref: string, to: Client, url: string): Promise<number> {
  const { blocks } = await RemoteStore.connect(url, from)
  const open = (refs: readonly string[]) => openFrom(blocks, from.scope('private'), refs)
  const here = await RemoteStore.connect(url, to)
  const writer = to.scope('private')
  const index = new BackupLog(openLog(here.state, BACKUPS, writer), () => here.commit())
  async function* reseal(refs: readonly string[]) {
    for await (const sealed of sealInto(here.blocks, writer, open(refs))) yield sealed.ref
  }
  let moved = 0
  for await (const content of open([ref])) {
    const listing = toListing(...(JSON.parse(Buffer.from(content).toString()) as [Snapshot, Folder[]]))
    await index.add(foldersOf(await withRefs(listing, reseal)))
    await index.finish(listing.snapshot)
    moved = refsOf(listing).length
  }
  return moved
}
