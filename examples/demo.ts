// npm run demo -- FOLDER [--store DIR] [--restore DIR] [--restore-only]
//
// Backs FOLDER up into a store with the host export of a keyset alone, then restores it from that store and the password
// alone, and compares the two. Without --store and --restore both go into a new temporary folder.
import { mkdtemp, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import * as prompts from '@clack/prompts'
import { createKeyset, KeystrataError, openWriter, selfTest, unlockKeyset } from 'keystrata'
import { backUp } from './backup.ts'
import { compareFolders, restore } from './restore.ts'
import { getNewestSnapshot, type Tally } from './snapshot.ts'
import { FolderStore } from './store.ts'

const terminal = process.stdout.isTTY

let problems = 0
function report(line: string): void {
  problems++
  console.error(terminal ? styleText('red', line) : line)
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { store: { type: 'string' }, restore: { type: 'string' }, 'restore-only': { type: 'boolean' } },
  })
  if (positionals.length > 1) throw new Error(`one folder at a time, not ${positionals.join(' and ')}`)
  if (values['restore-only'] === true && values.store === undefined) throw new Error('--restore-only needs --store DIR')
  const folder = resolve(positionals[0] ?? join(import.meta.dirname, '..'))
  const temporary =
    values.store === undefined || values.restore === undefined ? await mkdtemp(join(tmpdir(), 'keystrata-demo-')) : ''
  const store = new FolderStore(resolve(values.store ?? join(temporary, 'store')))
  const target = resolve(values.restore ?? join(temporary, 'restored'))
  const exclude = [store.root, target]
  const { ok, backend } = await selfTest()
  if (!ok) throw new Error('this machine computes something wrong: keystrata does not trust it')
  const password = process.env['KEYSTRATA_PASSWORD'] ?? (await askPassword())

  if (values['restore-only'] !== true) {
    if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`)
    const writer = openWriter(await hostExport(store, password))
    const bar = startBar(`Backing up ${folder}`, await sizeOf(folder, exclude))
    const tally = await backUp(folder, { writer, store, exclude, onProblem: report, onBytes: bar.advance })
    writer.dispose()
    bar.stop()
    printTally(`${folder} → ${store.root}`, 'seal', tally, backend)
  }

  const stored = await newestExport(store)
  if (stored === undefined) throw new Error(`${store.root} holds no keyset`)
  const reader = await unlockKeyset(stored, password)
  const snapshot = await getNewestSnapshot(reader, store)
  const bar = startBar(`Restoring ${target}`, snapshot.bytes)
  const tally = await restore(target, snapshot, { reader, store, onProblem: report, onBytes: bar.advance })
  reader.dispose()
  bar.stop()
  printTally(`${store.root} → ${target}`, 'open', tally, backend)

  if (values['restore-only'] !== true) {
    await compareFolders(folder, target, exclude, report)
    if (problems === 0) console.log('Every file was restored exactly.')
  }
}

/**
 * The export that backs up without the password. A real tool keeps it on the machine that it backs up, and asks for the
 * password once, when it is set up; this demo makes it anew for each run.
 */
async function hostExport(store: FolderStore, password: string): Promise<Uint8Array> {
  const stored = await newestExport(store)
  const keyset = stored === undefined ? await createKeyset(password) : await unlockKeyset(stored, password)
  if (stored === undefined) {
    await store.put(`keyset/${String(keyset.version).padStart(8, '0')}`, keyset.export('source-storage'))
  }
  const host = keyset.export('host')
  keyset.dispose()
  return host
}

async function newestExport(store: FolderStore): Promise<Uint8Array | undefined> {
  const newest = (await store.list('keyset')).at(-1)
  return newest === undefined ? undefined : store.get(`keyset/${newest}`)
}

async function askPassword(): Promise<string> {
  if (!terminal) throw new Error('set KEYSTRATA_PASSWORD, or run this in a terminal to be asked')
  const answer = await prompts.password({ message: 'Password of the backup', mask: '' })
  if (prompts.isCancel(answer)) throw new Error('no password, no backup')
  return answer
}

/** The bytes of all files in a folder, for the progress bar. */
async function sizeOf(folder: string, exclude: readonly string[]): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !exclude.includes(path)) bytes += await sizeOf(path, exclude)
    else if (entry.isFile()) bytes += (await stat(path)).size
  }
  return bytes
}

interface Bar {
  advance: (bytes: number) => void
  stop: () => void
}

function startBar(title: string, bytes: number): Bar {
  if (!terminal) return { advance: () => undefined, stop: () => undefined }
  const bar = prompts.progress({ max: Math.max(bytes, 1) })
  bar.start(title)
  return { advance: (step) => bar.advance(step), stop: () => bar.stop(title) }
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

main().then(
  () => {
    process.exitCode = problems === 0 ? 0 : 1
  },
  (error: unknown) => {
    const { code } = error as KeystrataError
    report(code === 'wrong-password' ? 'Wrong password for the keyset of this store.' : (error as Error).message)
    process.exitCode = 1
  },
)
