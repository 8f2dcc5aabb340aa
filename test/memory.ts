// How much memory is in use; in browsers test/runtimes/chromium/memory.ts stands here.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Of the heap and of buffers. */
export function memoryInUse(): number {
  const { heapUsed, arrayBuffers, external } = process.memoryUsage()
  // Deno counts buffers with all that is outside of the heap.
  return heapUsed + (arrayBuffers || external)
}

/** How often a reader may copy what it is given; Deno's own code copies too, and is counted. */
export const MOST_COPIES: number = process.versions['deno'] === undefined ? 2 : 6

let collector: (() => void) | undefined

/** Collects what nobody refers to any more. */
export function collect(): void {
  collector ??= findCollector()
  collector()
}

function findCollector(): () => void {
  const { Bun: bun } = globalThis as { Bun?: { gc(isNow: boolean): void } }
  if (bun !== undefined) return () => bun.gc(true)
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
