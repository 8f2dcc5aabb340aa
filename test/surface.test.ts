// What the package exports, and nothing else. A name that appears or goes here belongs in CHANGELOG.md.
import { expect, expectTypeOf, it } from 'vitest'
import * as keystrata from '../src/index.ts'
import type {
  BlockReader,
  BlockWriter,
  Bytes,
  Handle,
  KeysetReader,
  KeysetWriter,
  PreparedBlock,
} from '../src/index.ts'

it('exports these values', () => {
  expect(Object.keys(keystrata).sort()).toEqual([
    'KeystrataError',
    'createKeyset',
    'encodeBlock',
    'openWriter',
    'parseBlock',
    'selfTest',
    'unlockKeyset',
  ])
})

it('has one door for every key model', () => {
  expectTypeOf<KeysetWriter>().toExtend<BlockWriter & Handle>()
  expectTypeOf<KeysetReader>().toExtend<BlockReader & Handle>()
  expectTypeOf<PreparedBlock>().toExtend<Disposable>()
  expectTypeOf<ReturnType<BlockReader['open']>>().toEqualTypeOf<Promise<Bytes>>()
  expectTypeOf<Bytes>().toEqualTypeOf<Uint8Array<ArrayBuffer>>()
})
