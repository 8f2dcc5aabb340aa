import { KeystrataError } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { authenticationFailed } from '../../src/core/errors.ts'
import { isNode } from '../fixtures.ts'

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

describe('a KeystrataError as data', () => {
  const error = new KeystrataError('rollback', 'version 3 is older than 5', { version: 3, atLeast: 5, id: 'a1' })
  const data = { name: 'KeystrataError', code: 'rollback', message: error.message, detail: error.detail }

  it('has its name, code, message and detail, and neither a stack nor a cause', () => {
    expect(error.toJSON()).toEqual(data)
    const caused = Object.assign(new KeystrataError('malformed'), { cause: new Error('secret'), path: '/home/secret' })
    const text = JSON.stringify(caused)
    expect(Object.keys(JSON.parse(text) as object)).toEqual(['name', 'code', 'message', 'detail'])
    expect(text).not.toContain('secret')
    expect(text).not.toContain('errors.test')
  })

  it('survives the way through JSON', () => {
    const copy = KeystrataError.from(JSON.parse(JSON.stringify(error)))!
    expect(copy).toBeInstanceOf(KeystrataError)
    expect(copy).not.toBe(error)
    expect([copy.name, copy.code, copy.message, copy.detail]).toEqual([
      error.name,
      error.code,
      error.message,
      error.detail,
    ])
    expect(Object.isFrozen(copy.detail)).toBe(true)
    expect(KeystrataError.from(error)?.code).toBe('rollback')
  })

  it.each([
    [undefined],
    [null],
    ['KeystrataError'],
    [7],
    [[]],
    [{}],
    [new Error('another error')],
    [{ ...data, name: 'Error' }],
    [{ ...data, name: undefined }],
    [{ ...data, code: 'no-such-code' }],
    [{ ...data, code: 'toString' }],
    [{ ...data, code: '__proto__' }],
    [{ ...data, code: ['rollback'] }],
    [{ ...data, code: undefined }],
    [{ ...data, message: undefined }],
    [{ ...data, message: ['a message'] }],
    [{ ...data, detail: undefined }],
    [{ ...data, detail: null }],
    [{ ...data, detail: 'version 3' }],
  ])('is nothing else: %j', (json) => {
    expect(KeystrataError.from(json)).toBeUndefined()
  })

  it('keeps only texts, numbers and flags as details, also under dangerous names', () => {
    const json: unknown = JSON.parse(
      '{"name":"KeystrataError","code":"missing","message":"m","detail":{"a":1,"b":"2","c":{"d":1},"e":[1],"f":null,"g":true,"__proto__":"x"}}',
    )
    const { detail } = KeystrataError.from(json)!
    expect(Object.entries(detail)).toEqual(
      Object.entries(JSON.parse('{"a":1,"b":"2","g":true,"__proto__":"x"}') as object),
    )
    expect(Object.getPrototypeOf(detail)).toBe(Object.prototype)
    expect(({} as { x?: unknown }).x).toBeUndefined()
  })

  it('does not take over a stack, or other properties', () => {
    const copy = KeystrataError.from({ ...data, stack: 'from the server', cause: 'x', retry: true })!
    expect(copy.stack).not.toContain('from the server')
    expect(copy.cause).toBeUndefined()
    expect('retry' in copy).toBe(false)
  })

  it('is cut off where another machine sends too much, and has no number that JSON cannot have', () => {
    const detail = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`key${index}`, index]))
    const long = 'x'.repeat(1_000_000)
    const copy = KeystrataError.from({ ...data, message: long, detail })!
    expect(copy.message).toHaveLength(1024)
    expect(Object.keys(copy.detail)).toHaveLength(64)
    const odd = {
      long,
      [long]: 1,
      nan: NaN,
      infinite: Infinity,
      big: 1n,
      nested: { detail: { a: 1 } },
      zero: -0,
      ok: 1.5,
    }
    expect(KeystrataError.from({ ...data, detail: odd })!.detail).toEqual({
      long: long.slice(0, 1024),
      zero: -0,
      ok: 1.5,
    })
    expect(KeystrataError.from({ ...data, detail: ['a'] })!.detail).toEqual({ 0: 'a' })
  })

  it('may be an error of another copy of the library, or of another realm', async () => {
    const path = '../../src/core/errors.ts?another-copy'
    const { KeystrataError: Another } = (await import(/* @vite-ignore */ path)) as {
      KeystrataError: typeof KeystrataError
    }
    const foreign = new Another('rollback', 'older', { version: 3 })
    expect(foreign).not.toBeInstanceOf(KeystrataError)
    const copy = KeystrataError.from(foreign)!
    expect(copy).toBeInstanceOf(KeystrataError)
    expect(copy.toJSON()).toEqual({
      name: 'KeystrataError',
      code: 'rollback',
      message: 'older',
      detail: { version: 3 },
    })
    expect(KeystrataError.from(Object.setPrototypeOf({ ...data }, null))?.code).toBe('rollback')
  })

  it('goes to another thread as data, because structured cloning loses the code', () => {
    expect(KeystrataError.from(structuredClone(error))).toBeUndefined()
    expect(KeystrataError.from(structuredClone(error.toJSON()))?.toJSON()).toEqual(error.toJSON())
  })
})

it.runIf(isNode)('console.log of an error shows its code and its detail', async () => {
  const { inspect } = await import('node:util')
  const text = inspect(new KeystrataError('rollback', 'version 3 is older than 5', { version: 3 }))
  expect(text).toMatch(/^KeystrataError: version 3 is older than 5/)
  expect(text).toContain("code: 'rollback'")
  expect(text).toContain('detail: { version: 3 }')
})
