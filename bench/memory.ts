// How much memory sealing one block takes in addition to content and ciphertext. Each size is measured in its own
// process with the built package. Most of this memory is the cipher's output chunks, before the garbage collector frees
// them.
import { execFileSync } from 'node:child_process'

export interface MemoryRow {
  bytes: number
  /** The peak, without content and ciphertext. The goal is the size of the block plus 2 MiB. */
  beyondMiB: number
}

const program = (bytes: number): string => `
import { createKeyset, openWriter } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19456, lanes: 1 } })
const writer = openWriter(keyset.export('host'))
for (let warm = 0; warm < 50; warm++) await writer.seal(new Uint8Array(100_000))
const content = new Uint8Array(${bytes}).fill(7)
const before = process.memoryUsage.rss()
const { ciphertext } = await writer.seal(content)
console.log(process.resourceUsage().maxRSS * 1024 - before - ciphertext.length)
`

export function benchMemory(bytes: number): MemoryRow {
  const beyond = execFileSync(process.execPath, ['--input-type=module', '-e', program(bytes)], { encoding: 'utf8' })
  return { bytes, beyondMiB: Math.round(Number(beyond) / 2 ** 20) }
}
