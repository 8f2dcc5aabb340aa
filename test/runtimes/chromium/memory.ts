// Takes the place of test/memory.ts in Chromium, started with --enable-precise-memory-info and --js-flags=--expose-gc.

interface Page {
  gc(): void
  performance: { memory: { usedJSHeapSize: number } }
}
const page = globalThis as unknown as Page

/** Of the heap and of buffers. */
export const memoryInUse = (): number => page.performance.memory.usedJSHeapSize

/** How often a reader may copy what it is given: WebCrypto copies its input, and its output once more. */
export const MOST_COPIES = 4

export const collect = (): void => page.gc()
