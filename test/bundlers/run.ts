// npm run test:bundlers -- [--only next,parcel,metro,jest]: packs the library, installs it beside each tool in a
// temporary folder, builds a program with the tool, and runs what came out. The versions are in the lock files here.
// Parcel and Next need Chromium (CHROMIUM, or /usr/bin/chromium).
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkJest } from './jest.ts'
import { checkMetro } from './metro.ts'
import { checkNext } from './next.ts'
import { checkParcel } from './parcel.ts'

const CHECKS: Readonly<Record<string, (folder: string) => Promise<string[]>>> = {
  next: checkNext,
  parcel: checkParcel,
  metro: checkMetro,
  jest: checkJest,
}

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const wanted = values.only?.split(',') ?? Object.keys(CHECKS)
const unknown = wanted.filter((name) => !(name in CHECKS))
if (unknown.length > 0) {
  console.error(`unknown tool ${unknown.join(', ')}: use some of ${Object.keys(CHECKS).join(', ')}`)
  process.exit(2)
}

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'keystrata-bundlers-'))
const npm = (cwd: string, ...args: string[]) =>
  execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

try {
  const [packed] = JSON.parse(npm(root, 'pack', '--json', '--pack-destination', folder)) as [{ filename: string }]
  for (const name of wanted) {
    const start = performance.now()
    const place = join(folder, name)
    cpSync(join(import.meta.dirname, name), place, { recursive: true })
    cpSync(join(import.meta.dirname, 'round-trip.js'), join(place, 'round-trip.js'))
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent']
    npm(place, 'ci', ...options)
    npm(place, 'install', '--no-save', ...options, join(folder, packed.filename))
    const installed = performance.now()
    const found = await CHECKS[name]!(place)
    const seconds = (from: number, to: number) => `${((to - from) / 1000).toFixed(0)} s`
    console.log(
      `${name}: installed in ${seconds(start, installed)}, checked in ${seconds(installed, performance.now())}`,
    )
    for (const line of found) console.log(`  ${line}`)
  }
} finally {
  rmSync(folder, { recursive: true })
}
