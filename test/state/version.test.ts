import { describe, expect, it } from 'vitest'
import { assertNotOlder, nextVersion } from '../../src/state/version.ts'
import { failure } from '../fixtures.ts'

describe('a version', () => {
  it('counts up by one, to the last number that JavaScript holds exactly', async () => {
    expect(nextVersion(1)).toBe(2)
    expect(nextVersion(Number.MAX_SAFE_INTEGER - 1)).toBe(Number.MAX_SAFE_INTEGER)
    await failure(() => nextVersion(Number.MAX_SAFE_INTEGER), 'limit-exceeded')
  })

  it('is not older than what the caller expects', async () => {
    assertNotOlder({ version: 3 }, 3, 'this is old:')
    assertNotOlder({ version: 4 }, 3, 'this is old:')
    const error = await failure(() => assertNotOlder({ version: 2 }, 3, 'this is old:'), 'rollback')
    expect(error.message).toContain('this is old:')
  })
})
