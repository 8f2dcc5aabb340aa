// The complete list of the package's exports. When a name is added or removed here, write it in CHANGELOG.md too.
import { expect, expectTypeOf, it } from 'vitest'
import * as client from '../src/client.ts'
import type { Client } from '../src/client.ts'
import * as device from '../src/device.ts'
import * as keystrata from '../src/index.ts'
import type {
  BlockReader,
  BlockWriter,
  Bytes,
  Handle,
  Keys,
  Keyset,
  KeysetWriter,
  Log,
  LogReader,
  LogWriter,
  Pack,
  PreparedBlock,
  RecordPlace,
  RecordReader,
  RecordWriter,
  SealedRecord,
  Share,
  SharedReader,
} from '../src/index.ts'
import { openLog } from '../src/index.ts'
import * as legacy from '../src/legacy.ts'
import * as pool from '../src/pool.ts'
import * as fleet from '../src/fleet.ts'
import * as recovery from '../src/recovery.ts'
import * as server from '../src/server.ts'
import * as stores from '../src/stores.ts'
import type { StateStore } from '../src/stores.ts'
import * as contract from '../src/stores/contract.ts'
import * as folder from '../src/stores/folder.ts'
import * as http from '../src/stores/http.ts'
import * as indexeddb from '../src/stores/indexeddb.ts'
import * as postgres from '../src/stores/postgres.ts'
import * as s3 from '../src/stores/s3.ts'
import * as vault from '../src/vault.ts'
import type { Vault } from '../src/vault.ts'

const values: [entry: string, module: object, names: string[]][] = [
  [
    'keystrata',
    keystrata,
    [
      'KeystrataError',
      'calibrateArgon2',
      'changeKeyset',
      'checkRetired',
      'checkWriter',
      'createKeyset',
      'cut',
      'encodeBlock',
      'labelOf',
      'loadKeyset',
      'openFrom',
      'openLog',
      'openPackMember',
      'openSavedKeyset',
      'openWriter',
      'packInto',
      'parseBlock',
      'parseCard',
      'rekeyBlocks',
      'saveKeyset',
      'sealInto',
      'selfTest',
      'shareFrom',
      'unlockKeyset',
      'verifyBlocks',
    ],
  ],
  [
    'keystrata/vault',
    vault,
    [
      'createProfile',
      'deriveLogin',
      'loadProfile',
      'loadRecord',
      'openProfile',
      'openSavedLogin',
      'parseProfile',
      'resetProfile',
      'restoreProfile',
      'saveProfile',
    ],
  ],
  [
    'keystrata/client',
    client,
    [
      'armRegistration',
      'checkTypedKey',
      'deriveClient',
      'generateTypedKey',
      'openRegistration',
      'openSavedClient',
      'parseRegistration',
    ],
  ],
  ['keystrata/device', device, ['createDeviceKey', 'openDeviceKey']],
  [
    'keystrata/server',
    server,
    ['guardProfiles', 'hashPassword', 'openKeyRegistry', 'saveCredential', 'verifyCredential', 'verifyPassword'],
  ],
  ['keystrata/pool', pool, ['createPool']],
  [
    'keystrata/recovery',
    recovery,
    [
      'addSlot',
      'armor',
      'dearmor',
      'deriveRecoveryKey',
      'generateRecoveryCode',
      'listSlots',
      'recoverKeyset',
      'recoverySheet',
      'removeSlot',
      'renewSlots',
      'splitRecoveryCode',
      'testSlot',
    ],
  ],
  ['keystrata/fleet', fleet, ['delegate', 'openDelegation']],
  ['keystrata/legacy', legacy, ['deriveLegacyClient']],
  [
    'keystrata/stores',
    stores,
    ['blocksIn', 'checkBlocks', 'checkStore', 'memoryBlobStore', 'memoryStateStore', 'prefixed', 'routed'],
  ],
  ['keystrata/stores/folder', folder, ['folderBlobStore', 'folderStateStore']],
  ['keystrata/stores/postgres', postgres, ['postgresSchema', 'postgresStateStore']],
  ['keystrata/stores/indexeddb', indexeddb, ['indexedDbBlobStore', 'indexedDbStateStore']],
  ['keystrata/stores/s3', s3, ['s3BlobStore', 's3StateStore']],
  ['keystrata/stores/http', http, ['httpStateStore', 'serveStateStore']],
  ['keystrata/stores/contract', contract, ['blobStoreLaws', 'registryStoreLaws', 'stateStoreLaws']],
]

it.each(values)('%s exports exactly these values', (_, module, names) => {
  expect(Object.keys(module).sort()).toEqual(names)
})

it('every key model implements Keys', () => {
  expectTypeOf<Keys>().toExtend<BlockWriter & BlockReader & RecordWriter & RecordReader>()
  expectTypeOf<Keyset>().toExtend<Keys & Handle>()
  expectTypeOf<Vault>().toExtend<Keys & Handle>()
  expectTypeOf<ReturnType<Client['scope']>>().toExtend<Keys>()
  expectTypeOf<KeysetWriter>().toExtend<BlockWriter & RecordWriter & Handle>()
  expectTypeOf<KeysetWriter>().not.toExtend<BlockReader>()
  expectTypeOf<ReturnType<BlockWriter['pack']>>().toEqualTypeOf<Promise<Pack>>()
  expectTypeOf<PreparedBlock>().toExtend<Disposable>()
  expectTypeOf<ReturnType<BlockReader['open']>>().toEqualTypeOf<Promise<Bytes>>()
  expectTypeOf<Bytes>().toEqualTypeOf<Uint8Array<ArrayBuffer>>()
})

it('what a log can do depends on the keys', () => {
  const open = (keys: Keys, writer: KeysetWriter, share: Share, reader: SharedReader, store: StateStore) =>
    [
      openLog(store, 'x', keys),
      openLog(store, 'x', writer),
      openLog(store, 'x', share),
      openLog(store, 'x', reader),
    ] as const
  expectTypeOf(open).returns.toEqualTypeOf<readonly [Log, LogWriter, LogWriter, LogReader]>()
  expectTypeOf<Log>().toExtend<LogReader & LogWriter>()
  expectTypeOf<ReturnType<RecordWriter['sealRecord']>>().toEqualTypeOf<Promise<SealedRecord>>()
  expectTypeOf<Parameters<RecordWriter['sealRecord']>[1]>().toEqualTypeOf<RecordPlace>()
})
