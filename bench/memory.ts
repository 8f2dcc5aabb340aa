// The memory that sealing one block takes beyond content and ciphertext, each measured in a process of its own, from the built
// package. What the cipher leaves to the collector, chunk by chunk, is most of it.
import { execFileSync } from 'node:child_process'

export interface MemoryRow {
  bytes: number
  /** At most, beyond what goes in and what comes out; the goal is the size of the block and 2 MiB. */
  beyondMiB: number
}

const program = (bytes: number): string => `
import { createKeyset } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19456, lanes: 1 } })
const writer = keyset.writer()
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
