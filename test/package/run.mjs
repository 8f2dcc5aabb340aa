// Packs the library, installs the tarball in an empty folder elsewhere, and uses it from TypeScript and plain JavaScript.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureSizes } from '../../bench/size.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'keystrata-package-'))
const run = (cwd, command, ...args) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

try {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--pack-destination', folder))
  const unwanted = packed.files
    .map(({ path }) => path)
    .filter((path) => !/^(dist|src)\/|^[A-Z]+(\.md)?$|^package\.json$/.test(path))
  if (unwanted.length > 0) throw new Error(`packed by mistake: ${unwanted.join(', ')}`)

  run(root, 'npx', 'publint', 'run', join(folder, packed.filename), '--strict')

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  run(folder, 'npm', 'install', '--silent', '--no-audit', '--no-fund', `./${packed.filename}`)
  for (const name of ['plain.mjs', 'typed.ts', 'tsconfig.json'])
    cpSync(join(import.meta.dirname, name), join(folder, name))

  run(folder, process.execPath, 'plain.mjs')
  // The strictest settings, with the library's own declarations checked too, and no types of Node.
  run(folder, process.execPath, join(root, 'node_modules/typescript/bin/tsc'))
  run(folder, process.execPath, 'out/typed.js')

  const sizes = await measureSizes(folder)
  for (const { what, bytes } of sizes) console.log(`${(bytes / 1000).toFixed(1).padStart(6)} kB gzipped: ${what}`)
  const over = sizes.filter(({ bytes, budget }) => bytes > budget)
  if (over.length > 0) throw new Error(`over the budget of bench/size.ts: ${JSON.stringify(over)}`)

  console.log(
    `${packed.filename}: ${packed.files.length} files, ${packed.size} bytes packed; works from JavaScript and TypeScript`,
  )
} finally {
  rmSync(folder, { recursive: true })
}
