// npm run test:bundlers -- [--only vite,metro]: packs the library, installs it beside each tool in a temporary folder,
// builds programs with the tool, and runs what came out. The versions are in the lock files here; web/ is the folder of
// many tools. All but Metro and Jest need Chromium (CHROMIUM, or /usr/bin/chromium).
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkBun } from './bun.ts'
import { checkEsbuild } from './esbuild.ts'
import { checkImportMap } from './import-map.ts'
import { checkJest } from './jest.ts'
import { checkMetro } from './metro.ts'
import { checkNext } from './next.ts'
import { checkParcel } from './parcel.ts'
import { checkRollup } from './rollup.ts'
import { checkVite, checkVite7 } from './vite.ts'
import { checkRspack, checkWebpack } from './webpack.ts'

interface Tool {
  /** The folder with its package.json and its programs. */
  readonly folder: string
  /** Builds and runs the programs in a copy of that folder. Returns what works, in words. */
  readonly check: (folder: string) => Promise<string[]>
}

const TOOLS: Readonly<Record<string, Tool>> = {
  webpack: { folder: 'web', check: checkWebpack },
  rspack: { folder: 'web', check: checkRspack },
  vite: { folder: 'web', check: checkVite },
  vite7: { folder: 'web', check: checkVite7 },
  rollup: { folder: 'web', check: checkRollup },
  esbuild: { folder: 'web', check: checkEsbuild },
  bun: { folder: 'web', check: checkBun },
  importmap: { folder: 'importmap', check: checkImportMap },
  parcel: { folder: 'parcel', check: checkParcel },
  next: { folder: 'next', check: checkNext },
  metro: { folder: 'metro', check: checkMetro },
  jest: { folder: 'jest', check: checkJest },
}

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const wanted = values.only?.split(',') ?? Object.keys(TOOLS)
const unknown = wanted.filter((name) => !Object.hasOwn(TOOLS, name))
if (unknown.length > 0) {
  console.error(`unknown tool ${unknown.join(', ')}: use some of ${Object.keys(TOOLS).join(', ')}`)
  process.exit(2)
}

const root = join(import.meta.dirname, '../..')
const temporary = mkdtempSync(join(tmpdir(), 'keystrata-bundlers-'))
const npm = (cwd: string, ...args: string[]) =>
  execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

/** Copies a folder of tools, and installs the tools and the library there. Does so once for each folder. */
function install(folder: string, tarball: string): string {
  const place = join(temporary, folder)
  if (existsSync(place)) return place
  for (const part of ['programs', folder]) cpSync(join(import.meta.dirname, part), place, { recursive: true })
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent']
  npm(place, 'ci', ...options)
  npm(place, 'install', '--no-save', ...options, tarball)
  return place
}

const seconds = (from: number, to: number) => `${((to - from) / 1000).toFixed(0)} s`

try {
  const [packed] = JSON.parse(npm(root, 'pack', '--json', '--pack-destination', temporary)) as [{ filename: string }]
  for (const name of wanted) {
    const { folder, check } = TOOLS[name]!
    const start = performance.now()
    const place = install(folder, join(temporary, packed.filename))
    const installed = performance.now()
    const found = await check(place)
    const times = [seconds(start, installed), seconds(installed, performance.now())]
    console.log(`${name}: installed in ${times[0]}, checked in ${times[1]}`)
    for (const line of found) console.log(`  ${line}`)
  }
} finally {
  rmSync(temporary, { recursive: true })
}
