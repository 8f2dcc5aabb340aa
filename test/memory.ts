// Measures how much memory is in use. In browsers, test/runtimes/browser/memory.ts replaces this file.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Returns how many bytes the heap and the buffers use. */
export function memoryInUse(): number {
  const { heapUsed, arrayBuffers, external } = process.memoryUsage()
  // Deno counts buffers in `external`, together with everything else outside the heap.
  return heapUsed + (arrayBuffers || external)
}

/** How many times a reader may copy its input. On Deno this includes copies that Deno's own code makes. */
export const MOST_COPIES: number = process.versions['deno'] === undefined ? 2 : 6

let collector: (() => void) | undefined

/** Runs the garbage collector, which is asynchronous in Firefox. */
export async function collect(): Promise<void> {
  collector ??= findCollector()
  collector()
}

function findCollector(): () => void {
  const { Bun: bun } = globalThis as { Bun?: { gc(isNow: boolean): void } }
  if (bun !== undefined) return () => bun.gc(true)
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
