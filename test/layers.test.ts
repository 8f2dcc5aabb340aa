// The house of the library: imports point strictly down, or stay in their folder; packages enter by few doors.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

const floors: Record<string, number> = {
  'index.ts': 9,
  'server.ts': 9,
  'legacy.ts': 9,
  'pool.ts': 9,
  server: 8,
  legacy: 8,
  pool: 8,
  handles: 7,
  sharing: 6,
  custody: 6,
  blocks: 5,
  keys: 4,
  primitives: 3,
  format: 3,
  'secret.ts': 2,
  'bytes.ts': 1,
  'text.ts': 2,
  'errors.ts': 0,
}
const doors: Record<string, RegExp> = {
  primitives: /^(@noble\/|node:crypto$)/,
  format: /^micro-packed$/,
  server: /^bcryptjs$/,
  legacy: /^des\.js$/,
  pool: /^node:worker_threads$/,
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
const roomOf = (path: string) => path.split('/')[0]!

describe('layers', () => {
  it('finds the source', () => {
    expect(files.length).toBeGreaterThan(20)
  })

  it.each(files)('%s imports from below', (file) => {
    const room = roomOf(file)
    expect(floors, `the floor of ${room}`).toHaveProperty([room])
    // Without docstrings: their examples import the package.
    const text = readFileSync(join(src, file), 'utf8').replaceAll(/\/\*\*.*?\*\//gs, '')
    const targets = [...text.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)].map((match) => match[1] ?? match[2]!)
    for (const target of targets) {
      if (!target.startsWith('.')) {
        expect(target, `${file} imports a package`).toMatch(doors[room] ?? /^$/)
        continue
      }
      const targetRoom = roomOf(relative(src, join(src, dirname(file), target)))
      const down = floors[targetRoom]! < floors[room]! || (targetRoom === room && !room.includes('.'))
      expect(down, `${file} imports ${target}`).toBe(true)
    }
  })

  it('keeps files to one subject', () => {
    for (const file of files) {
      expect(readFileSync(join(src, file), 'utf8').split('\n').length, file).toBeLessThanOrEqual(300)
    }
  })
})
