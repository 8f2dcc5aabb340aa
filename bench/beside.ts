// npm run bench:beside -- CHECKOUT [--models vault,client,hybrid,x25519] [--kib N] [--rounds N]
// Compares this checkout with another one of the same repository, such as a git worktree of an older commit. Both are
// bundled as the package is, and take turns in one process. Run it with another Node by NODE --import tsx
// bench/beside.ts CHECKOUT.
import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { type BlockReader, type BlockWriter } from '../src/index.ts'
import { contentOf } from './bare.ts'
import { median, type Work } from './measure.ts'

interface Door {
  readonly writer: BlockWriter
  readonly reader: BlockReader
}

/** The doors to a model, in the code of one checkout. Its keys are generated here. */
const DOORS = `
  import { OpenedVault } from './src/vault/block.ts'
  import { generateDataKey } from './src/vault/keyring.ts'
  import { deriveClient, generateTypedKey } from './src/client.ts'
  import { createKeyset, openWriter } from './src/index.ts'
  const vault = new OpenedVault(new Uint8Array(16), generateDataKey())
  const names = { realm: 'bench', account: 'account', name: 'client', platform: 'linux' }
  const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
  const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19456, lanes: 1 }, encryption: 'none' })
  const keysetDoor = (encryption, dedup = 'scoped') => ({
    writer: openWriter(keyset.export('host'), { encryption, dedup }),
    reader: keyset,
  })
  export const doors = {
    vault: { writer: vault, reader: vault },
    client: { writer: client.scope('private'), reader: client },
    hybrid: keysetDoor('hybrid'),
    off: keysetDoor('hybrid', 'off'),
    x25519: keysetDoor('x25519'),
  }`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    models: { type: 'string', default: 'vault,client,hybrid,x25519' },
    kib: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '45' },
  },
})
const [other] = positionals
if (other === undefined) throw new Error('pass the folder of another checkout')
const here = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'beside-'))
symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'))

async function doorsOf(checkout: string, name: string): Promise<Record<string, Door>> {
  const outfile = join(folder, `${name}.mjs`)
  await build({
    stdin: { contents: DOORS, resolveDir: checkout, loader: 'ts' },
    outfile,
    bundle: true,
    packages: 'external',
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
  })
  return ((await import(pathToFileURL(outfile).href)) as { doors: Record<string, Door> }).doors
}

async function time(work: Work, times: number): Promise<number> {
  const started = performance.now()
  for (let run = 0; run < times; run++) await work()
  return (performance.now() - started) / times
}

const [theirs, ours] = [await doorsOf(resolve(other), 'other'), await doorsOf(here, 'this')]
const content = contentOf(1024 * Number(values.kib))
console.log(`Node ${process.versions.node}, ${values.kib} KiB; µs: the other checkout → this one, and the ratio`)
for (const model of values.models.split(',')) {
  for (const kind of ['seal', 'open'] as const) {
    const works = await Promise.all(
      [theirs, ours].map(async (doors): Promise<Work> => {
        const { writer, reader } = doors[model]!
        const block = await writer.seal(content)
        assert.equal(Buffer.compare(await reader.open(block), content), 0)
        return kind === 'seal' ? () => writer.seal(content) : () => reader.open(block)
      }),
    )
    for (const work of works) await time(work, 300)
    const times = Math.max(1, Math.round(15 / (await time(works[0]!, 30))))
    const samples: [number, number][] = []
    for (let round = 0; round < Number(values.rounds); round++) {
      // Each of them comes first in every other round.
      const first = round % 2
      const one = await time(works[first]!, times)
      const two = await time(works[1 - first]!, times)
      samples.push(first === 0 ? [one, two] : [two, one])
    }
    const micro = (which: 0 | 1) => Math.round(1000 * median(samples.map((sample) => sample[which])))
    const ratio = median(samples.map(([before, after]) => after / before))
    console.log(`${model} ${kind}: ${micro(0)} → ${micro(1)}, ${ratio.toFixed(2)}`)
  }
}
rmSync(folder, { recursive: true })
