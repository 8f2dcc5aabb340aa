// Backs a folder up into a store with the host export of a keyset alone, then restores it from that store and the password
// alone, and compares the two. `npm run demo -- --help` says how to call it.
import { mkdtemp, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import * as prompts from '@clack/prompts'
import { MultiBar, Presets } from 'cli-progress'
import { createKeyset, KeystrataError, type KeysetReader, openWriter, selfTest, unlockKeyset } from 'keystrata'
import { backUp } from './backup.ts'
import { assertEmpty, compareFolders, restore } from './restore.ts'
import { getSnapshot, type Tally } from './snapshot.ts'
import { FolderStore } from './store.ts'

const USAGE = `npm run demo -- [FOLDER] [--store DIR] [--restore DIR]
npm run demo -- --restore-only --store DIR [--restore DIR] [--snapshot N]

FOLDER is backed up, by default the project's own. Without --store and --restore both go into a new temporary folder.
--restore-only restores a store that is there; --snapshot N takes an older backup than the newest.
The password comes from KEYSTRATA_PASSWORD, or is asked for.`

const terminal = process.stdout.isTTY
let bars: MultiBar | undefined
let problems = 0

/** One line for each problem, whatever characters are in the names of files. */
function report(line: string): void {
  problems++
  const plain = line.replaceAll(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1))
  if (bars === undefined) console.error(terminal ? styleText('red', plain) : plain)
  else bars.log(`${styleText('red', plain)}\n`)
}

function parseCommandLine() {
  return parseArgs({
    allowPositionals: true,
    options: {
      store: { type: 'string' },
      restore: { type: 'string' },
      'restore-only': { type: 'boolean', default: false },
      snapshot: { type: 'string' },
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
  if (positionals.length > (restoreOnly ? 0 : 1)) throw new Error(`too many folders: ${positionals.join(', ')}`)
  if (values.store === '' || values.restore === '') throw new Error('--store and --restore take the name of a folder')
  if (restoreOnly && values.store === undefined) throw new Error('--restore-only needs --store DIR')
  if (!restoreOnly && values.snapshot !== undefined) throw new Error('--snapshot goes with --restore-only')
  const folder = resolve(positionals[0] ?? join(import.meta.dirname, '..'))
  if (!restoreOnly && !(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`)
  if (values.restore !== undefined) await assertEmpty(resolve(values.restore))

  const { ok, backend } = await selfTest()
  if (!ok) throw new Error('this machine computes something wrong: keystrata does not trust it')
  const { store: named } = values
  const isNew = named === undefined || (await new FolderStore(resolve(named)).versions('keyset')).length === 0
  const password = process.env['KEYSTRATA_PASSWORD'] ?? (await askPassword(isNew && !restoreOnly))

  const temporary =
    named === undefined || values.restore === undefined ? await mkdtemp(join(tmpdir(), 'keystrata-demo-')) : undefined
  const store = new FolderStore(resolve(named ?? join(temporary ?? '', 'store')))
  const target = resolve(values.restore ?? join(temporary ?? '', 'restored'))
  const exclude = [store.root, target]

  if (!restoreOnly) {
    const writer = openWriter(await hostExport(store, password))
    const total = terminal ? await sizeOf(folder, exclude) : 0
    const tally = await withBar('backing up', total, (onBytes) =>
      backUp(folder, { writer, store, exclude, onProblem: report, onBytes }),
    )
    writer.dispose()
    printTally(`${folder} → ${store.root}`, 'seal', tally, backend)
  }

  const reader = await unlockNewest(store, password)
  if (reader === undefined) throw new Error(`${store.root} holds no keyset`)
  const snapshot = await getSnapshot(reader, store, values.snapshot)
  const tally = await withBar('restoring', snapshot.bytes, (onBytes) =>
    restore(target, snapshot, { reader, store, onProblem: report, onBytes }),
  )
  reader.dispose()
  printTally(`${store.root} → ${target}`, 'open', tally, backend)

  if (!restoreOnly) {
    await compareFolders(folder, target, exclude, report)
    if (problems === 0) console.log('Every file was restored exactly.')
  }
  if (temporary !== undefined)
    console.log(`Delete ${temporary} when you have looked at it; what was restored is plain.`)
}

/**
 * The export that backs up without the password. A real tool keeps it on the machine that it backs up, and asks for the
 * password once, when it is set up; this demo makes it anew for each run.
 */
async function hostExport(store: FolderStore, password: string): Promise<Uint8Array> {
  let keyset = await unlockNewest(store, password)
  if (keyset === undefined) {
    keyset = await createKeyset(password)
    await store.putVersion('keyset', keyset.export('source-storage'))
  }
  const host = keyset.export('host')
  keyset.dispose()
  return host
}

async function unlockNewest(store: FolderStore, password: string): Promise<KeysetReader | undefined> {
  const name = (await store.versions('keyset')).at(-1)
  if (name === undefined) return undefined
  try {
    return await unlockKeyset((await store.get(name)) ?? new Uint8Array(0), password)
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    throw new Error(`${join(store.root, name)}: ${error.message}`, { cause: error })
  }
}

async function askPassword(isNew: boolean): Promise<string> {
  if (!terminal) throw new Error('set KEYSTRATA_PASSWORD, or run this in a terminal to be asked')
  const ask = async (message: string) => {
    const answer = await prompts.password({ message, mask: '' })
    if (prompts.isCancel(answer)) throw new Error('no password, no backup')
    return answer
  }
  const password = await ask('Password of the backup')
  if (isNew && (await ask('The same again: without it nobody restores')) !== password) {
    throw new Error('the two passwords differ')
  }
  return password
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

async function withBar(
  title: string,
  total: number,
  work: (onBytes: (bytes: number) => void) => Promise<Tally>,
): Promise<Tally> {
  if (!terminal) return work(() => undefined)
  const format = `${title} {bar} {percentage} % of ${(total / 1e6).toFixed(1)} MB, {eta_formatted} left`
  bars = new MultiBar({ format, hideCursor: true, gracefulExit: true }, Presets.shades_classic)
  const bar = bars.create(Math.max(total, 1), 0)
  try {
    const tally = await work((bytes) => bar.increment(bytes))
    if (total === 0) bar.increment(1)
    return tally
  } finally {
    bars.stop()
    bars = undefined
  }
}

function printTally(title: string, work: 'seal' | 'open', tally: Tally, backend: string): void {
  const rows = {
    files: tally.files,
    bytes: tally.bytes,
    blocks: tally.blocks,
    ...(work === 'seal' && { deduplicated: tally.deduplicated, 'stored bytes': tally.storedBytes }),
    [`${work} MB/s`]: Math.round(tally.contentBytes / 1000 / Math.max(tally.cryptoMs, 0.001)),
    backend,
  }
  console.log(`\n${title}`)
  for (const [name, value] of Object.entries(rows)) {
    console.log(`  ${name.padEnd(14)}${value.toLocaleString('en').padStart(16)}`)
  }
  console.log()
}

try {
  await main()
} catch (error) {
  report((error as Error).message)
}
if (problems > 0) process.exitCode = 1
