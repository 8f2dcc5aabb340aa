// Saves the inputs that the fuzzer found.
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'corpus')

/** Saves an input in the corpus and returns the path of its file. */
export function keep(target: string, bytes: Uint8Array): string {
  mkdirSync(folder, { recursive: true })
  const name = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
  const path = join(folder, `${target}.${name}.hex`)
  const lines =
    Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,96}/g) ?? []
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}
