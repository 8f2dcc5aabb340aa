import { describe, expect, it, vi } from 'vitest'
import { pauseBeforeRetry } from '../../src/state/compare-and-set.ts'

describe('the pause before another try', () => {
  it.each([
    { tries: 1, took: 5, longest: 10 },
    { tries: 3, took: 0, longest: 8 },
    { tries: 20, took: 500, longest: 1000 },
  ])('after $tries tries of $took ms is at most $longest ms', async ({ tries, took, longest }) => {
    vi.useFakeTimers()
    try {
      for (let round = 0; round < 20; round++) {
        const started = Date.now()
        const pause = pauseBeforeRetry(tries, took)
        await vi.advanceTimersByTimeAsync(longest)
        await pause
        expect(Date.now() - started).toBeLessThanOrEqual(longest)
      }
    } finally {
      vi.useRealTimers()
    }
  })
})
