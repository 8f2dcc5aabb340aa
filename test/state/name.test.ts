import { describe, expect, it } from 'vitest'
import { assertName, assertNameStart, assertPrefix, assertVersion } from '../../src/state/name.ts'

const NEVER = ['A', 'a_b', 'a.b', '../a', '..', 'a b', 'ä', '/a', 'a//b', 'a\n', 'a\u0000', 'a\\b', 'a%2fb', 'a:b']

describe('invalid object name', () => {
  it.each([['a'], ['keyset'], ['log/0f/12'], ['-'], ['0'], ['a/-/b'], ['a'.repeat(200)]])('may be %s', (name) => {
    expect(() => assertName(name)).not.toThrow()
  })

  it.each([...NEVER, '', 'a/', '/'].map((name) => [name]))('cannot be %j', (name) => {
    expect(() => assertName(name)).toThrow(TypeError)
    expect(() => assertName(name)).toThrow(/parts of a-z, 0-9 and -/)
  })

  it('has at most 200 characters', () => {
    expect(() => assertName('a'.repeat(201))).toThrow(RangeError)
    expect(() => assertName(`${'a/'.repeat(100)}b`)).toThrow(/at most 200 characters, not 201/)
  })

  it.each([[undefined], [null], [7], [{}], [['a']], [Object('a')]])('cannot be a value of another type: %j', (name) => {
    for (const check of [assertName, assertNameStart, assertPrefix])
      expect(() => check(name as never)).toThrow(TypeError)
  })
})

describe('invalid beginning', () => {
  it.each([[''], ['a'], ['a/'], ['a/b'], ['data/00'], ['share/0f/']])('may be %j', (start) => {
    expect(() => assertNameStart(start)).not.toThrow()
  })

  it.each([...NEVER, '/', 'a//'].map((start) => [start]))('cannot be %j', (start) => {
    expect(() => assertNameStart(start)).toThrow(/invalid beginning/)
  })
})

describe('a prefix', () => {
  it.each([['a/'], ['user-4711/'], ['a/b/c/']])('may be %s', (prefix) => {
    expect(() => assertPrefix(prefix)).not.toThrow()
  })

  it.each([...NEVER, '', '/', 'a', 'a/b', 'a//', 'A/', '../'].map((prefix) => [prefix]))('cannot be %j', (prefix) => {
    expect(() => assertPrefix(prefix)).toThrow(/each followed by/)
  })
})

describe('a version', () => {
  it('is an integer from 1 to 2⁵³ − 1', () => {
    for (const version of [1, 2, 10, Number.MAX_SAFE_INTEGER]) expect(() => assertVersion(version)).not.toThrow()
    for (const version of [0, -1, 1.5, NaN, Infinity, 2 ** 53, '1', 1n, undefined, null])
      expect(() => assertVersion(version as number)).toThrow(RangeError)
  })
})
