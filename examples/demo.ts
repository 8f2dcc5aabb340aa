// Backs up a folder, restores it from the store, and compares the two. It does so with a keyset, with a keyset that has
// more ways in than its password, with a profile and a vault, or with clients. `npm run demo -- --help` prints the usage.
import { mkdtemp, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type BlockWriter, selfTest } from 'keystrata'
import { folderStateStore } from 'keystrata/stores/folder'
import { backUp } from './backup.ts'
import { type BackupStore, type FolderStore, folderStore } from './backup-store.ts'
import { clientDemo, LAPTOP, MACHINE } from './demo-client.ts'
import { RECOVERED } from './demo-custody.ts'
import { MOVED } from './demo-legacy.ts'
import { keysetDemo } from './demo-keyset.ts'
import { recoveryDemo } from './demo-recovery.ts'
import { SHARED } from './demo-share.ts'
import { AGAIN, vaultDemo } from './demo-vault.ts'
import type { IndexWriter, Listing } from './listing.ts'
import { assertEmpty, compareFolders, restore, type Source } from './restore.ts'
import { askPassword, printTally, problemCount, report, say, terminal, withBar } from './terminal.ts'

const USAGE = `npm run demo -- [FOLDER] [--model MODEL] [--store DIR] [--restore DIR] [--regenerate] [--share SUBFOLDER]
npm run demo -- --restore-only --store DIR [--model MODEL] [--restore DIR] [--snapshot N]
             [--at-least POSITION]

Backs up FOLDER, restores it into another folder, and compares every file.

  FOLDER             what to back up; by default the keystrata project itself
  --model MODEL      the key model: keyset (default), recovery, vault or client
  --store DIR        where to keep the backup; by default a new temporary folder
  --restore DIR      where to restore; by default a new temporary folder
  --regenerate       keyset only: put everything that is stored under new key pairs before the restore
  --share SUBFOLDER  keyset only: share SUBFOLDER of FOLDER with a second user, who restores it into a second folder
                     and tries to open everything else
  --restore-only     do not back up; restore from the store that is in --store DIR
  --snapshot N       restore backup number N instead of the newest
  --at-least POSITION  refuse an index that ends before this record, which an earlier run has named

--model recovery also saves a recovery sheet beside the store, splits a second code into five parts, and gives a slot to a
second person. Then the password is lost, the sheet is out of reach, and the second person leaves. The demo sets the
password back to the one you gave, and restores with the code on the sheet. With --restore-only, you can type that code
instead of the password.

--model vault also rotates the keys, changes the password, restores again into a second folder, lets an admin reset
the password, and turns on zero trust. At the end it sets the password back to the one you gave.

--model client runs a storage server and two clients of one account. Both enrol, prove their keys and back up a folder;
the folder of the second client holds some files of the first. A client with a different key is refused. Then the demo
moves the data of an old client from DES to AES-256, requires all keys in escrow, and sets up a lost machine again from
its registration file. With --restore-only, it restores the backup of the first client.

The password is read from the environment variable KEYSTRATA_PASSWORD. If it is not set, the demo asks for it.`

const models = { keyset: keysetDemo, recovery: recoveryDemo, vault: vaultDemo, client: clientDemo }

/** Further restores of each key model: what to append to the name of the restore folder. */
const SECOND_RESTORE = {
  keyset: [` ${SHARED}`],
  recovery: [],
  vault: [` ${AGAIN}`],
  client: [` ${LAPTOP}`, ` ${MOVED}`, ` ${RECOVERED}`],
} as const

/** The input of the demo of one key model. */
export interface Demo {
  store: FolderStore
  password: string
  restoreOnly: boolean
  /** The folder to back up. */
  folder: string
  /** The number of the backup to restore; undefined for the newest. */
  snapshot: number | undefined
  /** A position that the index must have. */
  atLeast: string | undefined
  regenerate: boolean
  share: string | undefined
  /** Where to save a recovery sheet. */
  sheet: string
  /** Backs up a folder. `what` and `store` replace the folder and the store from the command line. */
  backUp: (
    writer: BlockWriter,
    index: IndexWriter,
    more?: { pack?: boolean; store?: BackupStore; what?: string },
  ) => Promise<void>
  /**
   * Restores a listing and compares it with the original. `into` is appended to the name of the restore folder. `of` is
   * the folder to compare with: a path inside the backed up folder, or an absolute path.
   */
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
      'at-least': { type: 'string' },
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
    throw new Error(`${(error as Error).message.split('. ')[0]}; use --help to see the options`, { cause: error })
  }
  const { values, positionals } = commandLine
  if (values.help) {
    console.log(USAGE)
    return
  }
  const restoreOnly = values['restore-only']
  if (!Object.hasOwn(models, values.model)) throw new Error(`--model must be one of ${Object.keys(models).join(', ')}`)
  const modelName = values.model as keyof typeof models
  if (positionals.length > (restoreOnly ? 0 : 1)) throw new Error(`too many folders given: ${positionals.join(', ')}`)
  if (values.store === '' || values.restore === '') throw new Error('--store and --restore need the name of a folder')
  if (restoreOnly && values.store === undefined) throw new Error('--restore-only needs --store DIR')
  const { share, regenerate } = values
  if ((share !== undefined || regenerate) && (restoreOnly || modelName !== 'keyset')) {
    throw new Error('--share and --regenerate go with --model keyset, and not with --restore-only')
  }
  const snapshot = values.snapshot === undefined ? undefined : Number(values.snapshot)
  if (snapshot !== undefined && !(Number.isSafeInteger(snapshot) && snapshot >= 1))
    throw new Error('--snapshot takes a number, 1 or more')
  if (!restoreOnly && (snapshot ?? values['at-least']) !== undefined)
    throw new Error('--snapshot and --at-least need --restore-only')
  const folder = resolve(positionals[0] ?? join(import.meta.dirname, '..'))
  if (!restoreOnly && !(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`)

  const { ok, backend } = await selfTest()
  if (!ok) throw new Error('the self-test failed: this machine computes wrong results, so the demo stops')
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
  const address = resolve(named ?? join(temporary ?? '', 'store'))
  const store = folderStore(address)
  await assertBelongsTo(address, modelName)
  const target = resolve(values.restore ?? join(temporary ?? '', 'restored'))
  const sheet = `${address} recovery sheet.html`
  const exclude = [address, target, sheet]

  await models[modelName]({
    store,
    password,
    restoreOnly,
    folder,
    snapshot,
    atLeast: values['at-least'],
    regenerate,
    share,
    sheet,
    async backUp(writer, index, { pack = false, store: to = store, what = folder } = {}) {
      const total = terminal ? await sizeOf(what, exclude) : 0
      const tally = await withBar('backing up', total, (onBytes) =>
        backUp(what, { writer, index, blocks: to.blocks, exclude, onProblem: report, onBytes, pack }),
      )
      printTally(`${what} → ${to.address}`, 'backup', tally, backend)
      say(`the index ends at ${index.position}; note this: with --at-least it shows whether the end was cut off`)
    },
    async restore(source, listing, again) {
      const into = again === undefined ? target : `${target} ${again.into}`
      exclude.push(into)
      const tally = await withBar('restoring', listing.snapshot.bytes, (onBytes) =>
        restore(into, listing, { ...source, onProblem: report, onBytes }),
      )
      printTally(`${source.store.address} → ${into}`, 'restore', tally, backend)
      if (restoreOnly) return
      await compareFolders(resolve(folder, again?.of ?? ''), into, exclude, report)
      if (problemCount() === 0) console.log('Every file was restored exactly.')
    },
  })
  if (temporary !== undefined)
    console.log(`Delete ${temporary} when you no longer need it: the restored files in it are not encrypted.`)
}

/** Throws if the store belongs to another key model, which could not read its newest backup. */
async function assertBelongsTo(address: string, model: string): Promise<void> {
  for (const [other, folder, object] of [
    ['keyset', address, 'keyset'],
    ['vault', address, 'profile'],
    ['client', join(address, MACHINE), 'device'],
  ] as const) {
    // A keyset with more ways in is still a keyset.
    if (
      other !== (model === 'recovery' ? 'keyset' : model) &&
      (await folderStateStore(folder).read(object)) !== undefined
    ) {
      throw new Error(`${address} was created with --model ${other}: use that model, or another --store DIR`)
    }
  }
}

/** Counts the bytes of all files in a folder, for the progress bar. What cannot be read counts as 0. */
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
