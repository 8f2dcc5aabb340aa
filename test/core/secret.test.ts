import type * as NodeUtil from 'node:util'
import { describe, expect, it } from 'vitest'
import { builtinModule } from '../../src/primitives/node-crypto.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure } from '../fixtures.ts'

const bytes = () => Uint8Array.from({ length: 32 }, () => 0xa5)

describe('SecretKey', () => {
  it('copies what it is given, and lends its bytes', () => {
    const given = bytes()
    const key = new SecretKey('block', given)
    given.fill(0)
    expect(withBytes(key, (lent) => lent[0])).toBe(0xa5)
  })

  it('takes bytes over by wiping them', () => {
    const given = bytes()
    const key = SecretKey.take('block', given)
    expect(given).toEqual(new Uint8Array(32))
    expect(withBytes(key, (lent) => lent[31])).toBe(0xa5)
  })

  it('is wiped when disposed of, and unusable afterwards', async () => {
    const key = new SecretKey('block', bytes())
    const lent = withBytes(key, (inside) => inside)
    key[Symbol.dispose]()
    expect(lent).toEqual(new Uint8Array(32))
    await failure(() => withBytes(key, () => 0), 'disposed')
    await failure(() => key.copy(), 'disposed')
    expect(() => key.dispose()).not.toThrow()
  })

  it.runIf(typeof process !== 'undefined' && process.versions['bun'] === undefined)(
    'is disposed of by `using` as bundlers lower it, in an engine without Symbol.dispose',
    async () => {
      const { build } = await import('esbuild')
      const { createContext, runInContext } = await import('node:vm')
      const contents = `
        import { SecretKey } from './src/core/secret.ts'
        const bytes = () => new Uint8Array(32)
        export let key
        { using inside = new SecretKey('block', bytes()); key = inside }
        export const isGone = (() => { try { key.copy() } catch (error) { return error.code } })()`
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: process.cwd(), loader: 'ts' },
        bundle: true,
        write: false,
        target: 'es2022',
        format: 'iife',
        globalName: 'bundled',
      })
      // A new context has what the engine has, and not what Node adds to it.
      const context = createContext({})
      const isGone: unknown = runInContext(`delete Symbol.dispose; ${outputFiles[0]!.text}; bundled.isGone`, context)
      expect(isGone).toBe('disposed')
    },
  )

  it('gives a copy a life of its own', () => {
    const key = new SecretKey('block', bytes())
    const copy = key.copy()
    key.dispose()
    expect(withBytes(copy, (lent) => lent[0])).toBe(0xa5)
    expect(copy.role).toBe('block')
  })

  it('prints, serialises and clones nothing', () => {
    const key = new SecretKey('block', bytes())
    // Where there is one: consoles of browsers show private fields, whatever a class does.
    const inspect = builtinModule('node:util') as typeof NodeUtil | undefined
    const inspected =
      inspect === undefined ? [] : [inspect.inspect(key), inspect.inspect(key, { showHidden: true, depth: 9 })]
    for (const print of [...inspected, Object.keys(key).join()]) {
      expect(print).not.toMatch(/a5|165/i)
    }
    expect(() => JSON.stringify({ key })).toThrow(TypeError)
    expect(() => structuredClone(key)).toThrow()
  })
})
