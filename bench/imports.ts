// How long importing the built package takes when a process starts. Each module is imported in its own process, and
// compared with an empty module.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from './measure.ts'

export interface ImportRow {
  entry: string
  /** The time beyond that of an empty module. */
  milliseconds: number
}

const ENTRIES = ['index', 'vault', 'client', 'device', 'server', 'legacy', 'pool', 'recovery', 'fleet'] as const

export function benchImports(rounds: number): ImportRow[] {
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-imports-'))
  try {
    const files = ['', ...ENTRIES].map((entry) => {
      const file = join(folder, `${entry || 'empty'}.mjs`)
      const built = new URL(`../dist/${entry}.js`, import.meta.url).href
      writeFileSync(file, entry === '' ? '' : `import ${JSON.stringify(built)}`)
      return { file, samples: [] as number[] }
    })
    for (let round = 0; round < rounds; round++) {
      for (const { file, samples } of files) {
        const started = performance.now()
        const { status, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8' })
        samples.push(performance.now() - started)
        if (status !== 0) throw new Error(`cannot import the built package: run npm run build first\n${stderr}`)
      }
    }
    const [empty, ...times] = files.map(({ samples }) => median(samples)) as [number, ...number[]]
    return ENTRIES.map((entry, index) => ({ entry, milliseconds: Math.round(times[index]! - empty) }))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
