// Adds vectors to a file. It never changes a vector that is already there, because those are frozen.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export function append(name: string, made: readonly { id: string }[]): void {
  const path = join(import.meta.dirname, name)
  const frozen = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { id: string }[]) : []
  const known = new Set(frozen.map((vector) => vector.id))
  const added = made.filter((vector) => !known.has(vector.id))
  writeFileSync(path, `[\n${[...frozen, ...added].map((vector) => JSON.stringify(vector)).join(',\n')}\n]\n`)
  console.log(`${name}: ${frozen.length} frozen, ${added.length} added`)
}
