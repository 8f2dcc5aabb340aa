// Replaces test/memory.ts in Chromium, started with --enable-precise-memory-info and --js-flags=--expose-gc.

interface Page {
  gc(): void
  performance: { memory: { usedJSHeapSize: number } }
}
const page = globalThis as unknown as Page

/** Returns how many bytes the heap and the buffers use. */
export const memoryInUse = (): number => page.performance.memory.usedJSHeapSize

/**
 * How many times a reader may copy its input. WebCrypto and portable code copy both input and output, and nothing is
 * garbage-collected meanwhile.
 */
export const MOST_COPIES = 6

export const collect = (): void => page.gc()
