// The complete list of the package's exports. When a name is added or removed here, write it in CHANGELOG.md too.
import { expect, expectTypeOf, it } from 'vitest'
import * as client from '../src/client.ts'
import type { Client } from '../src/client.ts'
import * as device from '../src/device.ts'
import * as keystrata from '../src/index.ts'
import type { BlockReader, BlockWriter, Bytes, Handle, Keyset, KeysetWriter, PreparedBlock } from '../src/index.ts'
import * as legacy from '../src/legacy.ts'
import * as pool from '../src/pool.ts'
import * as server from '../src/server.ts'
import * as vault from '../src/vault.ts'
import type { Vault } from '../src/vault.ts'

const values: [entry: string, module: object, names: string[]][] = [
  [
    'keystrata',
    keystrata,
    [
      'KeystrataError',
      'calibrateArgon2',
      'createKeyset',
      'encodeBlock',
      'openPackMember',
      'openSavedKeyset',
      'openWriter',
      'parseBlock',
      'parseCard',
      'selfTest',
      'unlockKeyset',
    ],
  ],
  ['keystrata/vault', vault, ['createProfile', 'deriveLogin', 'openProfile', 'openSavedLogin', 'resetProfile']],
  [
    'keystrata/client',
    client,
    ['armRegistration', 'deriveClient', 'generateTypedKey', 'openRegistration', 'openSavedClient', 'parseRegistration'],
  ],
  ['keystrata/device', device, ['createDeviceKey', 'openDeviceKey']],
  [
    'keystrata/server',
    server,
    ['checkProfile', 'createVerifier', 'hashPassword', 'openKeyRegistry', 'verifyLogin', 'verifyPassword'],
  ],
  ['keystrata/pool', pool, ['createPool']],
  ['keystrata/legacy', legacy, ['deriveLegacyClient']],
]

it.each(values)('%s exports exactly these values', (_, module, names) => {
  expect(Object.keys(module).sort()).toEqual(names)
})

it('every key model implements BlockWriter and BlockReader', () => {
  expectTypeOf<KeysetWriter>().toExtend<BlockWriter & Handle>()
  expectTypeOf<Keyset>().toExtend<BlockWriter & BlockReader & Handle>()
  expectTypeOf<Vault>().toExtend<BlockWriter & BlockReader & Handle>()
  expectTypeOf<ReturnType<Client['scope']>>().toExtend<BlockWriter & BlockReader>()
  expectTypeOf<PreparedBlock>().toExtend<Disposable>()
  expectTypeOf<ReturnType<BlockReader['open']>>().toEqualTypeOf<Promise<Bytes>>()
  expectTypeOf<Bytes>().toEqualTypeOf<Uint8Array<ArrayBuffer>>()
})
