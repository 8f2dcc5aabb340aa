import { KeystrataError } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { authenticationFailed } from '../../src/core/errors.ts'

describe('KeystrataError', () => {
  it('carries a code, a message for people, and details that cannot be changed', () => {
    const error = new KeystrataError('rollback', undefined, { version: 3 })
    expect(error).toBeInstanceOf(Error)
    expect(error.name).toBe('KeystrataError')
    expect(error.code).toBe('rollback')
    expect(error.message).not.toBe('')
    expect(error.detail).toEqual({ version: 3 })
    expect(Object.isFrozen(error.detail)).toBe(true)
  })

  it('is the same for every failed check: one message, no cause, no detail', () => {
    const error = authenticationFailed()
    expect(error.message).toBe(new KeystrataError('authentication-failed').message)
    expect(error.cause).toBeUndefined()
    expect(error.detail).toEqual({})
  })
})
