// Reads the vectors at the limits of SPEC §1.6 with the library, and with the readers written from SPEC.md alone.
import { describe, expect, it } from 'vitest'
import { openedClient } from '../../src/client/client.ts'
import { DES_56, type KeyTypeNumber } from '../../src/client/layout.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { openDeviceKey } from '../../src/device.ts'
import { openPackMember, parseBlock, unlockKeyset } from '../../src/index.ts'
import { findDes } from '../../src/legacy/des.ts'
import { DesScope } from '../../src/legacy/des-scope.ts'
import { dearmor } from '../../src/recovery.ts'
import { openSavedLogin } from '../../src/vault.ts'
import { VaultCipher } from '../../src/vault/block.ts'
import { hex, ofEveryScope, openKeyOf } from '../fixtures.ts'
import { largeVectors } from './large.ts'
import { secondReader, type VectorFile, type VectorOf } from './second-reader.ts'
import { keysetVectors, outcome, readVectors } from './vectors.ts'

const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
// With 64 MiB each takes seconds. deletions.ts reads all of them.
const chosen = largeVectors(readVectors).filter(({ isSlow }) => process.env['SLOW'] === '1' || !isSlow)
const readings = secondReader(readVectors)
const des = await findDes()
const keysetOf = (id: string) => {
  const { export: bytes, password } = keysetVectors().find((vector) => vector.id === id)!
  return unlockKeyset(unhex(bytes), password)
}

/** What the library does with a vector of each of these files. */
const ours: { [File in VectorFile]?: (vector: VectorOf[File]) => unknown } = {
  async block({ keyset, block, label }) {
    await (await keysetOf(keyset)).open(parseBlock(unhex(block), label))
  },
  async 'client-block'({ realm, account, privateType, privateKey, block, label }) {
    const key = { type: privateType as KeyTypeNumber, key: new SecretKey('client', unhex(privateKey)) }
    const names = { realm, account, client: 'desktop', platform: 3 }
    await ofEveryScope(openedClient({ ...names, privateKey: key, accountKey: undefined })).open(
      parseBlock(unhex(block), label),
    )
  },
  async 'vault-block'({ vaultId, dataKey, block, label }) {
    await new VaultCipher(unhex(vaultId), new SecretKey('data', unhex(dataKey))).open(parseBlock(unhex(block), label))
  },
  async 'legacy-block'({ account, key, block, label }) {
    const names = { realm: 'tests', account, client: 'desktop', platform: 1, accountKey: undefined }
    const privateKey = { type: DES_56, key: new SecretKey('client', unhex(key)) }
    const reader = openedClient({ ...names, privateKey }, (claimant) => new DesScope(claimant, des, false))
    await reader.open(parseBlock(unhex(block), label))
  },
  async record({ keyset, record, log }) {
    await (await keysetOf(keyset)).openRecord(unhex(record), { log, after: 'unchecked' })
  },
  keyset: ({ export: bytes, password }) => unlockKeyset(unhex(bytes), password),
  async device({ bytes, deviceKey }) {
    const device = await openDeviceKey(openKeyOf(unhex(deviceKey)))
    openSavedLogin(unhex(bytes), device, { realm: 'com.example.backup', user: 'user-4711' })
  },
  armor: ({ text, object }) => expect(hex(dearmor(text))).toBe(object),
  async pack({ pack, member, file }) {
    expect(hex(await openPackMember(unhex(pack), member))).toBe(file)
  },
}

describe('vectors at a limit', () => {
  it.each(chosen)('$file: $id', async ({ file, make }) => {
    const vector = make()
    const library = ours[file] as (of: typeof vector) => unknown
    expect(await outcome(() => library(vector))).toBe(vector.expect)
    const theirs = readings[file] as (of: typeof vector) => ReturnType<(typeof readings)['card']>
    for (const { read, expected } of theirs(vector)) expect(await outcome(read)).toBe(expected)
  })
})
