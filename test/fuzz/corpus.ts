// What a fuzzer found once, kept as hex under the name of its target, and read again at every run.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'corpus')

export interface Finding {
  readonly file: string
  readonly target: string
  readonly bytes: Uint8Array
}

export const findings: readonly Finding[] = readdirSync(folder)
  .filter((file) => file.endsWith('.hex'))
  .map((file) => ({
    file,
    target: file.replace(/\.[^.]+\.hex$/, ''),
    bytes: new Uint8Array(Buffer.from(readFileSync(join(folder, file), 'utf8').replaceAll(/\s/g, ''), 'hex')),
  }))

/** Keeps an input; gives the path of its file. */
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
