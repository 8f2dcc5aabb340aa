// Tests of retries do not wait. Timers of up to a second run at once, in the order in which they were set.
import { afterEach, beforeEach, vi } from 'vitest'

/** Makes every pause end at once, in all tests of this file or of the surrounding `describe`. */
export function withoutPauses(): void {
  const original = setTimeout
  beforeEach(() => {
    const instant = (callback: () => void, delay = 0) => original(callback, delay <= 1000 ? 0 : delay)
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(instant)
  })
  afterEach(() => void vi.restoreAllMocks())
}
