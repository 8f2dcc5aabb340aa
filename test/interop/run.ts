// npm run test:interop: what version 0.2 says of the objects of this version, and the other way round. It takes 0.2 from
// the history of the repository, installs and builds it in a temporary folder, and makes one of each object there.
// With --write it also replaces the frozen objects that `npm test` reads.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { objects, outcomesFor } from './readers.ts'

/** The last commit of version 0.2. */
const COMMIT = '7ed0242f5fe0615f78a5913485007e5ffcaf364c'

interface Made {
  readonly objects: Readonly<Record<string, string>>
  readonly said: Readonly<Record<string, string>>
}

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const mapped = <A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]))

const folder = mkdtempSync(join(tmpdir(), 'keystrata-0.2-'))
try {
  const run = (command: string, args: readonly string[]) =>
    execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  const archive = execFileSync('git', ['archive', COMMIT], {
    cwd: join(import.meta.dirname, '../..'),
    maxBuffer: 2 ** 28,
  })
  writeFileSync(join(folder, 'source.tar'), archive)
  run('tar', ['xf', 'source.tar'])
  if (!readFileSync(join(folder, 'package.json'), 'utf8').includes('"version": "0.2.0"'))
    throw new Error(`${COMMIT} is not version 0.2`)
  run('npm', ['ci', '--no-audit', '--no-fund'])
  run('npm', ['run', 'build'])
  const ours = join(folder, 'ours.json')
  writeFileSync(ours, JSON.stringify(mapped(objects, (bytes) => Buffer.from(bytes).toString('hex'))))
  const script = join(import.meta.dirname, 'make-0.2.mjs')
  const printed = execFileSync('node', [script, join(folder, 'dist'), ours], { cwd: folder, encoding: 'utf8' })
  const made = JSON.parse(printed) as Made
  const said = await outcomesFor(mapped(made.objects, unhex))
  console.log('object'.padEnd(30) + 'this version says of 0.2'.padEnd(28) + '0.2 says of this version')
  for (const name of new Set([...Object.keys(said), ...Object.keys(made.said)]))
    console.log(name.padEnd(30) + (said[name] ?? '–').padEnd(28) + (made.said[name] ?? '–'))
  if (process.argv.includes('--write')) {
    const path = join(import.meta.dirname, 'objects-0.2.json')
    writeFileSync(path, `${JSON.stringify(made.objects, undefined, 2)}\n`)
  }
} finally {
  rmSync(folder, { recursive: true })
}
