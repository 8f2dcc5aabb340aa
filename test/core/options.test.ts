// Misspelt options, and values that got lost on their way: one reader for all options, and its rules.
import { fieldsFrom, optionsFrom, type Rules } from '../../src/core/options.ts'
import { describe, expect, it } from 'vitest'

interface Example {
  server: string
  atLeast?: string
  encryption?: 'none' | 'hybrid' | undefined
}
const rules: Rules<Example> = { server: 'required', atLeast: 'defined', encryption: 'optional' }
const read = (options: unknown): Example => optionsFrom(options as Example | undefined, rules, 'example')

describe('the name of an option', () => {
  it.each([
    ['encription', 'encryption'],
    ['Encryption', 'encryption'],
    ['ENCRYPTION', 'encryption'],
    ['encrypton', 'encryption'],
    ['encryptions', 'encryption'],
    ['encyrption', 'encryption'],
    ['at_least', 'atLeast'],
    ['atleast', 'atLeast'],
    ['sever', 'server'],
  ])('%s is refused, and the message names %s', (name, meant) => {
    const options = { server: 'x', [name]: 'none' }
    expect(() => read(options)).toThrow(new TypeError(`example has no option \`${name}\`: did you mean \`${meant}\`?`))
  })

  it('gets the list of options if it is far from all of them', () => {
    for (const name of ['', 'x', 'compression', 'atom', 'x'.repeat(100_000)]) {
      const message = `example has no option \`${name}\`: use \`server\`, \`atLeast\`, \`encryption\``
      expect(() => read({ server: 'x', [name]: 1 })).toThrow(new TypeError(message))
    }
  })

  it('is refused even if its value is undefined, and where it is inherited from a class', () => {
    expect(() => read({ server: 'x', encription: undefined })).toThrow('encryption')
    class Defaults {
      server = 'x'
    }
    Object.assign(Defaults.prototype, { encription: 'none' })
    expect(() => read(new Defaults())).toThrow('encryption')
    expect(() => read(Object.create({ server: 'x', encription: 'none' }))).toThrow('encryption')
  })

  it('may be a symbol, or not enumerable: nobody types those by mistake', () => {
    const options = Object.defineProperty({ server: 'x', [Symbol('mine')]: 1 }, 'hidden', { value: 1 })
    expect(read(options)).toEqual({ server: 'x' })
  })

  it('is called a property in an object that is no list of options', () => {
    const place = { server: 'x', encription: 'none' }
    expect(() => fieldsFrom<Example>(place, rules, 'place')).toThrow('place has no property `encription`: did you mean')
  })

  it('may be any other in an object whose properties are all required: a misspelt one is missing there', () => {
    const names: Rules<{ account: string; name: string }> = { account: 'required', name: 'required' }
    const read = (row: object) => fieldsFrom<{ account: string; name: string }>(row as never, names, 'expected')
    expect(read({ id: 7, names: 'x', account: 'acme', name: 'desktop' })).toEqual({ account: 'acme', name: 'desktop' })
    expect(() => read({ id: 7, account: 'acme', nmae: 'desktop' })).toThrow('no property `nmae`: did you mean `name`?')
    expect(() => read({ id: 7, account: 'acme' })).toThrow('expected needs { account, name }')
  })
})

describe('the value of an option', () => {
  it('may be undefined only where that means the default', () => {
    expect(read({ server: 'x', encryption: undefined }).encryption).toBeUndefined()
    expect(() => read({ server: 'x', atLeast: undefined })).toThrow(
      new TypeError('atLeast in example is undefined: leave it out, or pass a value'),
    )
    expect(() => read({ server: undefined })).toThrow(new TypeError('example needs { server }'))
    expect(() => read({})).toThrow(new TypeError('example needs { server }'))
    expect(() => read(undefined)).toThrow(new TypeError('example needs { server }'))
  })

  it('is never null', () => {
    expect(() => read({ server: null })).toThrow(new TypeError('server in example is null: pass a value'))
    for (const name of ['atLeast', 'encryption']) {
      const message = `${name} in example is null: leave it out, or pass a value`
      expect(() => read({ server: 'x', [name]: null })).toThrow(new TypeError(message))
    }
  })

  it('is read once, from getters and proxies too', () => {
    let reads = 0
    class Settings {
      get server() {
        return `read ${++reads}`
      }
    }
    const copy = read(new Settings())
    expect([copy.server, copy.server, reads]).toEqual(['read 1', 'read 1', 1])
    expect(read(new Proxy({ server: 'x' }, {})).server).toBe('x')
  })

  it('is not read from Object.prototype, where somebody may have planted it', () => {
    const planted: [string, unknown][] = [
      ['encryption', 'none'],
      ['atLeast', 'x'],
      ['encription', 'x'],
    ]
    const found: unknown[] = []
    try {
      for (const [name, value] of planted)
        Object.defineProperty(Object.prototype, name, { value, enumerable: true, configurable: true })
      const { server, atLeast, encryption } = read({ server: 'x' })
      found.push(server, atLeast, encryption)
    } finally {
      for (const [name] of planted) Reflect.deleteProperty(Object.prototype, name)
    }
    expect(found).toEqual(['x', undefined, undefined])
  })

  it('is read from objects without a prototype, as modules are', () => {
    const module = Object.assign(Object.create(null) as object, { server: 'x' })
    expect(read(module).server).toBe('x')
    expect(read(Object.defineProperty(module, Symbol.toStringTag, { value: 'Module' })).server).toBe('x')
  })
})

describe('what is no object with options', () => {
  it.each([
    [null, 'null'],
    ['3-0123', 'string'],
    [3, 'number'],
    [true, 'boolean'],
    [() => undefined, 'function'],
    [['none'], 'array'],
    [new Uint8Array(3), 'uint8array'],
    [new Map([['encryption', 'none']]), 'map'],
    [new Date(), 'date'],
  ])('is refused: %o', (options, type) => {
    expect(() => read(options)).toThrow(new TypeError(`the options of example must be an object, not ${type}`))
    expect(() => fieldsFrom<Example>(options as never, rules, 'place')).toThrow(
      new TypeError(`place must be { server }, not ${type}`),
    )
  })

  it('gets a hint: a promise must be awaited', () => {
    expect(() => read(Promise.resolve({ server: 'x' }))).toThrow('not promise: await it')
    expect(() => fieldsFrom<Example>(undefined as never, rules, 'place', ': the name of a server')).toThrow(
      new TypeError('place must be { server }, not undefined: the name of a server'),
    )
  })
})

it('the rules must fit the types', () => {
  const named = (given: Rules<Example>) => given
  // @ts-expect-error -- a name is missing
  named({ server: 'required', atLeast: 'defined' })
  // @ts-expect-error -- the type allows no undefined
  named({ server: 'required', atLeast: 'optional', encryption: 'optional' })
  // @ts-expect-error -- the type allows undefined
  named({ server: 'required', atLeast: 'defined', encryption: 'defined' })
  // @ts-expect-error -- the type requires it
  named({ server: 'defined', atLeast: 'defined', encryption: 'optional' })
  // @ts-expect-error -- a name that the type does not have
  named({ server: 'required', atLeast: 'defined', encryption: 'optional', dedup: 'optional' })
  expect(named(rules)).toBe(rules)
})
