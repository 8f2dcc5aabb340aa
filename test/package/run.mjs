// npm run test:package -- [--runtimes node20,bun,chromium,webkit,workerd]
// Packs the library, checks the tarball, installs it in an empty folder, and uses it from TypeScript and plain
// JavaScript, by import and by require. Runs on the current Node, or on each named runtime. On each, everywhere.mjs must
// find the same.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { programOf, RUNTIMES } from '../runtimes/runtimes.ts'
import { checkBundles } from './bundles.mjs'
import { frozen } from './frozen.mjs'
import { checkGlobals } from './globals.mjs'
import { checkParts } from './parts.mjs'
import { checkEverywhere, OTHERS } from './platforms.mjs'
import { pack } from './tarball.mjs'

const { values } = parseArgs({ options: { runtimes: { type: 'string' } } })
const chosen = values.runtimes?.split(',') ?? []
const known = [...Object.keys(RUNTIMES), ...Object.keys(OTHERS)]
const unknown = chosen.filter((name) => !known.includes(name))
if (unknown.length > 0) throw new Error(`unknown runtime ${unknown.join(', ')}: choose from ${known.join(', ')}`)

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'keystrata-package-'))
const run = (cwd, command, ...args) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

function compile(config) {
  try {
    run(folder, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', config)
  } catch (error) {
    throw new Error(`${config}: the compiler refuses the package\n${error.stdout}`)
  }
}

try {
  const packed = pack(root, folder, run)
  checkParts(root, run)

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  run(folder, 'npm', 'install', '--silent', '--no-audit', '--no-fund', `./${packed.filename}`)
  const configs = ['tsconfig.json', 'tsconfig.bundler.json', 'tsconfig.node10.json']
  const everywhere = readdirSync(import.meta.dirname).filter((name) => name.startsWith('everywhere'))
  for (const name of [...everywhere, 'plain.mjs', 'plain.cjs', 'threads.mjs', 'typed.ts', 'main.ts', ...configs])
    cpSync(join(import.meta.dirname, name), join(folder, name))

  // The strictest settings. They also check the library's own declarations, and provide no Node types.
  for (const config of configs) compile(config)
  const programs = chosen
    .filter((name) => RUNTIMES[name] !== undefined)
    .map((name) => [name, programOf(RUNTIMES[name]), ...RUNTIMES[name].before])
  for (const [name, ...command] of programs.length > 0 ? programs : [['this Node', process.execPath]]) {
    for (const script of ['plain.mjs', 'plain.cjs', 'threads.mjs', 'out/typed.js']) run(folder, ...command, script)
    console.log(`${name}: works from JavaScript and TypeScript, by import and require`)
  }

  const { given, expected } = frozen()
  writeFileSync(join(folder, 'frozen.json'), JSON.stringify(given))
  await checkEverywhere(folder, chosen, expected)

  const files = await checkGlobals(join(folder, 'node_modules/keystrata/dist'))
  console.log(`${files} files of dist: no global of Node, and no syntax that Metro refuses`)
  await checkBundles(folder)
  console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes packed`)
} finally {
  rmSync(folder, { recursive: true })
}
