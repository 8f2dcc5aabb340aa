// Replaces test/memory.ts in browsers. Chromium is started with --enable-precise-memory-info and --js-flags=--expose-gc,
// and Firefox with the settings dom.enable_memory_stats and dom.testing.testutils.enabled.

interface Chromium {
  gc(): void
  performance: { memory: { usedJSHeapSize: number } }
}
interface Firefox {
  TestUtils: { gc(): Promise<void> }
  performance: { mozMemory: { gc: { gcBytes: number; mallocBytes: number } } }
}
const page = globalThis as unknown as Chromium | Firefox

/** Returns how many bytes the heap and the buffers use. */
export function memoryInUse(): number {
  if ('gc' in page) return page.performance.memory.usedJSHeapSize
  const { gcBytes, mallocBytes } = page.performance.mozMemory.gc
  return gcBytes + mallocBytes
}

/**
 * How many times a reader may copy its input. WebCrypto and portable code copy both input and output, and nothing is
 * garbage-collected meanwhile.
 */
export const MOST_COPIES = 6

export async function collect(): Promise<void> {
  if ('gc' in page) page.gc()
  else await page.TestUtils.gc()
}
