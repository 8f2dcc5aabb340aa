// Backs a folder up, restores it from the store alone, and compares the two: with a keyset, a profile and a vault, or clients.
// `npm run demo -- --help` says how to call it.
import { mkdtemp, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type BlockWriter, selfTest } from 'keystrata'
import { backUp, type BackupOptions } from './backup.ts'
import type { Source } from './blocks.ts'
import { clientDemo, LAPTOP } from './demo-client.ts'
import { RECOVERED } from './demo-custody.ts'
import { MOVED } from './demo-legacy.ts'
import { keysetDemo } from './demo-keyset.ts'
import { SHARED } from './demo-share.ts'
import { AGAIN, vaultDemo } from './demo-vault.ts'
import type { IndexWriter, Listing } from './listing.ts'
import { assertEmpty, compareFolders, restore } from './restore.ts'
import { FolderStore, type Store } from './store.ts'
import { askPassword, printTally, problemCount, report, terminal, withBar } from './terminal.ts'

const USAGE = `npm run demo -- [FOLDER] [--model keyset|vault|client] [--store DIR] [--restore DIR] [--regenerate] [--share SUBFOLDER]
npm run demo -- --restore-only --store DIR [--model keyset|vault|client] [--restore DIR] [--snapshot N]

FOLDER is backed up, by default the project's own. Without --store and --restore both go into a new temporary folder.
--regenerate, with keysets: then new key pairs for everything that is stored, before it is restored.
--share SUBFOLDER, with keysets: then a second user restores that folder of FOLDER alone (beside the first), and tries the rest.
--model vault goes on: it rotates keys, changes the password and restores again (into another folder beside the first), lets an
admin reset it, and turns zero trust on; the password is the given one again at the end.
--model client is about a storage server and two clients of one account: they enrol, prove their keys, back up a folder each (the second
one's is made up of some files of the first), and one of them fails with another key. Then an old client's data moves from DES to
AES-256, the provider asks for all keys in escrow, and a machine that is lost comes back from its registration file. --restore-only
restores the first one's.
--restore-only restores a store that is there; --snapshot N takes an older backup than the newest.
The password comes from KEYSTRATA_PASSWORD, or is asked for.`

const models = { keyset: keysetDemo, vault: vaultDemo, client: clientDemo }

/** What is appended to the name of the folder for a second restore. */
const SECOND_RESTORE = {
  keyset: [` ${SHARED}`],
  vault: [` ${AGAIN}`],
  client: [` ${LAPTOP}`, ` ${MOVED}`, ` ${RECOVERED}`],
} as const

/** What the demo of a key model is given. */
export interface Demo {
  store: FolderStore
  password: string
  restoreOnly: boolean
  /** What is backed up. */
  folder: string
  /** Which backup to restore, by its number; undefined for the newest. */
  snapshot: number | undefined
  regenerate: boolean
  share: string | undefined
  /** `what` is the folder, and `store` the store, if they are not those of the command line. */
  backUp: (
    writer: BlockWriter,
    index: IndexWriter,
    more?: { pack?: BackupOptions['pack']; store?: Store; what?: string },
  ) => Promise<void>
  /** Restores a listing, and compares it with what was backed up: `of` a folder in it, or another one; `into` another one. */
  restore: (source: Source, listing: Listing, again?: { into: string; of?: string }) => Promise<void>
}

function parseCommandLine() {
  return parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string', default: 'keyset' },
      store: { type: 'string' },
      restore: { type: 'string' },
      'restore-only': { type: 'boolean', default: false },
      snapshot: { type: 'string' },
      regenerate: { type: 'boolean', default: false },
      share: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
}

async function main(): Promise<void> {
  let commandLine: ReturnType<typeof parseCommandLine>
  try {
    commandLine = parseCommandLine()
  } catch (error) {
    throw new Error(`${(error as Error).message.split('. ')[0]}; --help says how to call this`, { cause: error })
  }
  const { values, positionals } = commandLine
  if (values.help) {
    console.log(USAGE)
    return
  }
  const restoreOnly = values['restore-only']
  if (!Object.hasOwn(models, values.model)) throw new Error(`--model is one of ${Object.keys(models).join(', ')}`)
  const modelName = values.model as keyof typeof models
  if (positionals.length > (restoreOnly ? 0 : 1)) throw new Error(`too many folders: ${positionals.join(', ')}`)
  if (values.store === '' || values.restore === '') throw new Error('--store and --restore take the name of a folder')
  if (restoreOnly && values.store === undefined) throw new Error('--restore-only needs --store DIR')
  const { share, regenerate } = values
  if ((share !== undefined || regenerate) && (restoreOnly || modelName !== 'keyset')) {
    throw new Error('--share and --regenerate go with a backup by --model keyset')
  }
  const snapshot = values.snapshot === undefined ? undefined : Number(values.snapshot)
  if (snapshot !== undefined && !(snapshot >= 1)) throw new Error('--snapshot takes a number, from 1')
  if (!restoreOnly && snapshot !== undefined) throw new Error('--snapshot goes with --restore-only')
  const folder = resolve(positionals[0] ?? join(import.meta.dirname, '..'))
  if (!restoreOnly && !(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`)

  const { ok, backend } = await selfTest()
  if (!ok) throw new Error('this machine computes something wrong: keystrata does not trust it')
  const { store: named } = values
  const isNew = named === undefined || (await readdir(resolve(named)).catch(() => [])).length === 0
  if (values.restore !== undefined) {
    for (const suffix of restoreOnly ? [''] : ['', ...SECOND_RESTORE[modelName]]) {
      await assertEmpty(resolve(values.restore) + suffix)
    }
  }
  const password = process.env['KEYSTRATA_PASSWORD'] ?? (await askPassword(isNew && !restoreOnly))

  const temporary =
    named === undefined || values.restore === undefined ? await mkdtemp(join(tmpdir(), 'keystrata-demo-')) : undefined
  const store = new FolderStore(resolve(named ?? join(temporary ?? '', 'store')))
  await assertBelongsTo(store, modelName)
  const target = resolve(values.restore ?? join(temporary ?? '', 'restored'))
  const exclude = [store.root, target]

  await models[modelName]({
    store,
    password,
    restoreOnly,
    folder,
    snapshot,
    regenerate,
    share,
    async backUp(writer, index, { pack, store: to = store, what = folder } = {}) {
      const total = terminal ? await sizeOf(what, exclude) : 0
      const tally = await withBar('backing up', total, (onBytes) =>
        backUp(what, { writer, index, store: to, exclude, onProblem: report, onBytes, ...(pack && { pack }) }),
      )
      printTally(`${what} → ${to.root}`, 'seal', tally, backend)
    },
    async restore(source, listing, again) {
      const into = again === undefined ? target : `${target} ${again.into}`
      exclude.push(into)
      const tally = await withBar('restoring', listing.snapshot.bytes, (onBytes) =>
        restore(into, listing, { ...source, onProblem: report, onBytes }),
      )
      printTally(`${source.store.root} → ${into}`, 'open', tally, backend)
      if (restoreOnly) return
      await compareFolders(resolve(folder, again?.of ?? ''), into, exclude, report)
      if (problemCount() === 0) console.log('Every file was restored exactly.')
    },
  })
  if (temporary !== undefined)
    console.log(`Delete ${temporary} when you have looked at it; what was restored is plain.`)
}

/** One store, one key model: its newest backup could not be read by the other. */
async function assertBelongsTo(store: FolderStore, model: string): Promise<void> {
  for (const [other, mark] of [
    ['keyset', 'keyset'],
    ['vault', 'account'],
    ['client', 'device'],
  ] as const) {
    if (other !== model && (await store.versions(mark)).length > 0) {
      throw new Error(`${store.root} was made with --model ${other}`)
    }
  }
}

/** The bytes of all files in a folder, for the progress bar: what cannot be looked at counts nothing. */
async function sizeOf(folder: string, exclude: readonly string[]): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !exclude.includes(path)) bytes += await sizeOf(path, exclude)
    else if (entry.isFile()) bytes += (await stat(path).catch(() => undefined))?.size ?? 0
  }
  return bytes
}

try {
  await main()
} catch (error) {
  report((error as Error).message)
}
if (problemCount() > 0) process.exitCode = 1
