// npm run test:runtimes -- [--only node20,bun,chromium] [--short] [--package] [file ...]: runs the suite on every runtime,
// one after the other, and prints a table. --short leaves out what npm test leaves out. --package tests the package's
// tarball on them too, and without --only also on WebKit and workerd. It fails if a test fails, or if fewer tests pass on
// a runtime than expected.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { LONG } from '../long.ts'
import { EXCLUDED } from './excluded.ts'
import { PACKAGE_ONLY, programOf, RUNTIMES } from './runtimes.ts'

/** The lowest number of tests that must pass. It detects tests that were lost by mistake. */
const FLOORS: Readonly<Record<string, number>> = {
  node20: 6500,
  node22: 6500,
  node24: 6500,
  node26: 6500,
  bun: 6500,
  deno: 6500,
  chromium: 6500,
  firefox: 6500,
}

/** Firefox is driven over a WebSocket, which Node has by default since version 22. */
const WITH_WEBSOCKET = ['--experimental-websocket']

const names = Object.keys(FLOORS)

const { values, positionals } = parseArgs({
  options: {
    only: { type: 'string' },
    package: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
  },
  allowPositionals: true,
})
const wanted = values.only?.split(',') ?? names
const unknown = wanted.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`unknown runtime ${unknown.join(', ')}: use one of ${names.join(', ')}`)
  process.exit(2)
}

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'keystrata-runtimes-run-'))

interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  testResults: { status: string; assertionResults: unknown[] }[]
}

interface Row {
  runtime: string
  passed: number
  failed: number
  skipped: number
  minutes: string
  verdict: string
}

async function run(name: string): Promise<Row> {
  const output = join(folder, `${name}.json`)
  const runtime = RUNTIMES[name]
  const excluded = [
    ...(EXCLUDED[name] ?? []),
    ...(values.short ? LONG.map(({ files, reason }) => ({ file: files, reason })) : []),
  ]
  const [program, before] = runtime ? [programOf(runtime), runtime.before] : [process.execPath, WITH_WEBSOCKET]
  console.log(`\n== ${name}${runtime ? ` ${runtime.version}` : ''}`)
  for (const { file, reason } of excluded) console.log(`excluded ${file}: ${reason}`)
  const vitest = [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...(positionals.length > 0 ? positionals : ['test/']),
  ]
  const reports = ['--reporter=default', '--reporter=json', `--outputFile.json=${output}`]
  const leftOut = excluded.flatMap(({ file }) => ['--exclude', file])
  const where = runtime ? leftOut : ['--config', join(import.meta.dirname, 'vitest.browser.ts'), ...leftOut]
  const start = performance.now()
  const child = spawn(program, [...before, ...vitest, ...reports, ...where], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(runtime ? { RUNTIME: `${name.replace(/\d+$/, '')} ${runtime.version}` } : { BROWSER: name }),
    },
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  const minutes = ((performance.now() - start) / 60_000).toFixed(1)
  return { runtime: name, ...count(output, code, FLOORS[name]!), minutes }
}

function count(output: string, code: number | null, floor: number): Omit<Row, 'runtime' | 'minutes'> {
  let report: Report
  try {
    report = JSON.parse(readFileSync(output, 'utf8')) as Report
  } catch {
    return { passed: 0, failed: 0, skipped: 0, verdict: `no report (code ${code})` }
  }
  // A file that cannot be loaded has no tests, so it counts as a failure here.
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  const [passed, failed] = [report.numPassedTests, report.numFailedTests + broken.length]
  const skipped = report.numPendingTests + report.numTodoTests
  const isEnough = passed >= floor || values.short || positionals.length > 0
  const verdict = failed > 0 || code !== 0 ? `failed (code ${code})` : isEnough ? 'ok' : `fewer than ${floor} passed`
  return { passed, failed, skipped, verdict }
}

const rows: Row[] = []
try {
  for (const name of wanted) rows.push(await run(name))
} finally {
  rmSync(folder, { recursive: true })
}
console.log('\nruntime     passed  failed  skipped  minutes')
for (const { runtime, passed, failed, skipped, minutes, verdict } of rows) {
  const numbers = [passed, failed, skipped, minutes].map((number, index) =>
    String(number).padStart([8, 8, 9, 9][index]!),
  )
  console.log(`${runtime.padEnd(10)}${numbers.join('')}  ${verdict}`)
}
let isPackageGood = true
if (values.package) {
  const runtimes = [...wanted, ...(values.only === undefined ? PACKAGE_ONLY : [])].join(',')
  const options = ['--', '--runtimes', runtimes]
  const child = spawn('npm', ['run', '--silent', 'test:package', ...options], { cwd: root, stdio: 'inherit' })
  const [code] = (await once(child, 'exit')) as [number | null]
  isPackageGood = code === 0
}
process.exitCode = isPackageGood && rows.every(({ verdict }) => verdict === 'ok') ? 0 : 1
