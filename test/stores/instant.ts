// Timers that take no time, so that tests of pauses do not pause.
import { vi } from 'vitest'

/** Lets every timer end at once, until `vi.restoreAllMocks()` is called. Returns how long each should have taken. */
export function instantTimers(): readonly number[] {
  const real = globalThis.setTimeout
  const waits: number[] = []
  vi.spyOn(globalThis, 'setTimeout').mockImplementation((run: () => void, wait = 0) => {
    waits.push(wait)
    return real(run, 0)
  })
  return waits
}
