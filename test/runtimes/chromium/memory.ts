// Takes the place of test/memory.ts in Chromium, started with --enable-precise-memory-info and --js-flags=--expose-gc.

interface Page {
  gc(): void
  performance: { memory: { usedJSHeapSize: number } }
}
const page = globalThis as unknown as Page

/** Of the heap and of buffers. */
export const memoryInUse = (): number => page.performance.memory.usedJSHeapSize

/**
 * How often a reader may copy what it is given: WebCrypto and portable code copy what goes in and what comes out, and nothing is
 * collected meanwhile.
 */
export const MOST_COPIES = 6

export const collect = (): void => page.gc()
