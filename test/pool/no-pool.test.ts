// What an app of React Native imports as keystrata/pool.
import { expect, it } from 'vitest'
import * as pool from '../../src/pool.ts'
import * as noPool from '../../src/pool/no-pool.ts'

it('exports the names of the pool, and refuses to create one', () => {
  expect(Object.keys(noPool)).toEqual(Object.keys(pool))
  expect(() => noPool.createPool()).toThrow(
    new TypeError('React Native has no worker threads: seal and open without a pool'),
  )
})
