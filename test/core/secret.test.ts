import type * as NodeUtil from 'node:util'
import { describe, expect, it } from 'vitest'
import { builtinModule } from '../../src/primitives/node-crypto.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure } from '../fixtures.ts'

const bytes = () => Uint8Array.from({ length: 32 }, () => 0xa5)

describe('SecretKey', () => {
  it('copies the bytes that it is given, and lends its own', () => {
    const given = bytes()
    const key = new SecretKey('block', given)
    given.fill(0)
    expect(withBytes(key, (lent) => lent[0])).toBe(0xa5)
  })

  it('wipes the bytes that it takes ownership of', () => {
    const given = bytes()
    const key = SecretKey.take('block', given)
    expect(given).toEqual(new Uint8Array(32))
    expect(withBytes(key, (lent) => lent[31])).toBe(0xa5)
  })

  it('adopts bytes as its own memory, and wipes them when it is disposed of', () => {
    const given = bytes()
    const key = SecretKey.adopt('block', given)
    expect(withBytes(key, (lent) => lent === given)).toBe(true)
    const copy = key.copy()
    key.dispose()
    expect(given).toEqual(new Uint8Array(32))
    expect(withBytes(copy, (lent) => lent[0])).toBe(0xa5)
  })

  it('is wiped and unusable after it was disposed of', async () => {
    const key = new SecretKey('block', bytes())
    const lent = withBytes(key, (inside) => inside)
    key[Symbol.dispose]()
    expect(lent).toEqual(new Uint8Array(32))
    await failure(() => withBytes(key, () => 0), 'disposed')
    await failure(() => key.copy(), 'disposed')
    expect(() => key.dispose()).not.toThrow()
  })

  it.runIf('node' in process.versions && !('bun' in process.versions))(
    'is disposed of by `using` that a bundler has lowered, in an engine without Symbol.dispose',
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
      // A new context has what the engine has, without what Node adds.
      const context = createContext({})
      const isGone: unknown = runInContext(`delete Symbol.dispose; ${outputFiles[0]!.text}; bundled.isGone`, context)
      expect(isGone).toBe('disposed')
    },
  )

  it('makes copies that outlive it', () => {
    const key = new SecretKey('block', bytes())
    const copy = key.copy()
    key.dispose()
    expect(withBytes(copy, (lent) => lent[0])).toBe(0xa5)
    expect(copy.role).toBe('block')
  })

  it('prints no bytes, and cannot be serialised or cloned', () => {
    const key = new SecretKey('block', bytes())
    // Only where there is node:util: a class cannot stop the consoles of browsers from showing private fields.
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
