import { KeystrataError } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { arrivedError, arrivedKeys, moveError, moveKeys } from '../../src/pool/messages.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { sample } from '../fixtures.ts'

describe('between threads', () => {
  it.each([
    new KeystrataError('policy', 'not so', { rule: 'all-keys' }),
    new TypeError('no block'),
    new RangeError('no number'),
    new Error('the disk is gone'),
  ])('an error keeps its class, code and message: %s', (error) => {
    const arrived = arrivedError(structuredClone(moveError(error)))
    expect([arrived.constructor, arrived.message]).toEqual([error.constructor, error.message])
    if (error instanceof KeystrataError) expect(arrived).toMatchObject({ code: error.code, detail: error.detail })
  })

  it('a thrown value that is not an error becomes one', () => {
    expect(arrivedError(moveError('lost')).message).toBe('lost')
  })

  it('keys are transferred, and everything else is copied', () => {
    const more = [1, 'text', null, undefined, true]
    const recipe = { kind: 'vault' as const, id: sample(16), dataKey: new SecretKey('data', sample(32)) }
    const moved: ArrayBuffer[] = []
    const sent = moveKeys({ ...recipe, more }, moved)
    const message: unknown = structuredClone(sent, { transfer: moved })
    expect(moved.map(({ byteLength }) => byteLength)).toEqual([0])
    const arrived = arrivedKeys(message) as typeof recipe & { more: unknown[] }
    expect([arrived.kind, arrived.id, arrived.more]).toEqual(['vault', recipe.id, more])
    const bytesOf = (key: SecretKey<'data'>) => withBytes(key, (bytes) => new Uint8Array(bytes))
    expect([arrived.dataKey.role, bytesOf(arrived.dataKey)]).toEqual(['data', sample(32)])
    expect(bytesOf(recipe.dataKey)).toEqual(sample(32))
    // The bytes that arrived are wiped once they are a key again.
    expect((message as { dataKey: { bytes: Uint8Array } }).dataKey.bytes).toEqual(new Uint8Array(32))
  })
})
