// What the package exports, and nothing else. A name that appears or goes here belongs in CHANGELOG.md.
import type { BlockReader, BlockWriter, Bytes, Handle, Keyset, KeysetWriter, PreparedBlock } from '../src/index.ts'
import { type Vault } from '../src/vault.ts'
import { expect, expectTypeOf, it } from 'vitest'
import * as keystrata from '../src/index.ts'
import * as legacy from '../src/legacy.ts'
import * as pool from '../src/pool.ts'
import * as server from '../src/server.ts'

it('exports these values', () => {
  expect(Object.keys(keystrata).sort()).toEqual([
    'KeystrataError',
    'armRegistration',
    'calibrateArgon2',
    'deriveClient',
    'createDeviceKey',
    'createKeyset',
    'createProfile',
    'deriveLogin',
    'encodeBlock',
    'generateTypedKey',
    'openDeviceKey',
    'openPackMember',
    'openProfile',
    'openRegistration',
    'openWriter',
    'parseBlock',
    'parseCard',
    'parseRegistration',
    'resetProfile',
    'selfTest',
    'unlockKeyset',
  ])
})

it('exports these values for servers', () => {
  expect(Object.keys(server).sort()).toEqual([
    'KeyRegistry',
    'KeystrataError',
    'checkProfile',
    'createVerifier',
    'hashPassword',
    'verifyLogin',
    'verifyPassword',
  ])
  expect(server.KeystrataError).toBe(keystrata.KeystrataError)
})

it('exports these values for data under DES', () => {
  expect(Object.keys(legacy).sort()).toEqual(['KeystrataError', 'deriveLegacyClient'])
  expect(legacy.KeystrataError).toBe(keystrata.KeystrataError)
})

it('exports these values for threads', () => {
  expect(Object.keys(pool).sort()).toEqual(['KeystrataError', 'createPool'])
  expect(pool.KeystrataError).toBe(keystrata.KeystrataError)
})

it('has one door for every key model', () => {
  expectTypeOf<KeysetWriter>().toExtend<BlockWriter & Handle>()
  expectTypeOf<Keyset>().toExtend<BlockReader & Handle>()
  expectTypeOf<Vault>().toExtend<BlockWriter & BlockReader & Handle>()
  expectTypeOf<PreparedBlock>().toExtend<Disposable>()
  expectTypeOf<ReturnType<BlockReader['open']>>().toEqualTypeOf<Promise<Bytes>>()
  expectTypeOf<Bytes>().toEqualTypeOf<Uint8Array<ArrayBuffer>>()
})
