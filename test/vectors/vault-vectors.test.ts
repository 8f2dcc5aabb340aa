// Reads the frozen vectors of SPEC §7–§11 with the library, and with the reader written from SPEC.md alone.
import { hex, opening, unhex } from '../fixtures.ts'
import { deriveLogin } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { VaultCipher } from '../../src/vault/block.ts'
import { parseBlock, parseCard } from '../../src/index.ts'
import { authenticationFailed } from '../../src/core/errors.ts'
import { openKeyring, openRecoverySlot } from '../../src/vault/keyring.ts'
import { Identity } from '../../src/core/key-pairs.ts'
import { openProfileRecord, parseProfile } from '../../src/vault/profile-record.ts'
import { type Role, SecretKey, withBytes } from '../../src/core/secret.ts'
import { plantedContents } from '../keyset/planted.ts'
import * as spec from '../spec-reader-vault.ts'
import {
  cardVectors,
  type GenerationVector,
  keyringVectors,
  loginVectors,
  outcome,
  profileVectors,
  recoveryVectors,
  vaultBlockVectors,
} from './vectors.ts'

const buffer = (text: string) => Buffer.from(text, 'hex')
const shown = (key: SecretKey<Role>) => withBytes(key, hex)
const keysOf = (keys: readonly GenerationVector[]) =>
  keys.map(({ generation, key }) => ({ generation, key: new SecretKey('keyring', unhex(key)) }))
const buffersOf = (keys: readonly GenerationVector[]) =>
  keys.map(({ generation, key }) => ({ generation, key: buffer(key) }))

const dataKeyId = (dataKey: string) => spec.keyIdOf(buffer(dataKey)).toString('hex')

describe('login.json', () => {
  it.each(loginVectors())('$id: $comment', async ({ password, realm, user, credential, rootKey, ...vector }) => {
    const ours = outcome(async () => {
      const login = await deriveLogin(password, { realm, user })
      expect([login.credential, shown(ownerOf(login).rootKey)]).toEqual([credential, rootKey])
    })
    expect(await ours).toBe(vector.expect)
    const theirs = outcome(() => {
      const login = spec.login(password, realm, user)
      expect([login.credential, login.rootKey.toString('hex')]).toEqual([credential, rootKey])
    })
    expect(await theirs).toBe(vector.expect)
  })
})

describe('card.json', () => {
  it.each(cardVectors())('$id: $comment', async ({ card, fingerprint, ...vector }) => {
    expect(await outcome(() => expect(parseCard(unhex(card)).fingerprint).toBe(fingerprint))).toBe(vector.expect)
    expect(await outcome(() => expect(spec.readCard(unhex(card)).fingerprint).toBe(fingerprint))).toBe(vector.expect)
  })
})

describe('profile.json', () => {
  it.each(profileVectors())('$id: $comment', async ({ rootKey, profile, keys, ...vector }) => {
    const ours = outcome(() => {
      const { vaults } = openProfileRecord(parseProfile(unhex(profile)), new SecretKey('root', unhex(rootKey)))
      expect(
        vaults.flatMap((vault) => vault.keys.map(({ generation, key }) => ({ generation, key: shown(key) }))),
      ).toEqual(keys)
    })
    expect(await ours).toBe(vector.expect)
    const theirs = outcome(() => {
      const { vaults } = spec.readProfile(unhex(profile), unhex(rootKey))
      expect(
        vaults.flatMap((vault) => vault.keys.map(({ generation, key }) => ({ generation, key: key.toString('hex') }))),
      ).toEqual(keys)
    })
    expect(await theirs).toBe(vector.expect)
  })
})

describe('recovery.json', () => {
  const { sharing } = plantedContents().additional!
  const identity = new Identity(sharing)
  const admin = {
    skX: buffer(shown(sharing.privateHalves.x25519)),
    seedM: buffer(shown(sharing.privateHalves.mlKem1024)),
    pkX: Buffer.from(sharing.publicHalves.x25519),
    pkM: Buffer.from(sharing.publicHalves.mlKem1024),
  }
  it.each(recoveryVectors())(
    '$id: $comment',
    async ({ slot, profileId, realm, user, vaultId, generation, key, ...vector }) => {
      const ours = outcome(() => {
        const sealed = { generation, bytes: unhex(slot) }
        const opened = openRecoverySlot(opening(identity), unhex(profileId), { realm, user }, unhex(vaultId), sealed)
        expect(shown(opened.key)).toBe(key)
      })
      expect(await ours).toBe(vector.expect)
      const theirs = outcome(() => {
        const place = [buffer(profileId), realm, user, buffer(vaultId), generation] as const
        expect(spec.openRecoverySlot(buffer(slot), admin, ...place).toString('hex')).toBe(key)
      })
      expect(await theirs).toBe(vector.expect)
    },
  )
})

describe('keyring.json', () => {
  it.each(keyringVectors())('$id: $comment', async ({ keyring, vaultId, keys, dataKey, live, ...vector }) => {
    const ours = outcome(() => {
      const opened = openKeyring(
        unhex(keyring),
        { id: unhex(vaultId), dataKeyId: unhex(dataKeyId(dataKey)) },
        keysOf(keys),
      )
      if (opened === undefined) throw authenticationFailed()
      expect([shown(opened.dataKey), opened.live.map(({ generation }) => generation)]).toEqual([dataKey, live])
    })
    expect(await ours).toBe(vector.expect)
    const theirs = outcome(() => {
      const opened = spec.readKeyring(unhex(keyring), buffer(vaultId), buffer(dataKeyId(dataKey)), buffersOf(keys))
      expect([opened.dataKey.toString('hex'), opened.live]).toEqual([dataKey, live])
    })
    expect(await theirs).toBe(vector.expect)
  })
})

describe('vault-block.json', () => {
  it.each(vaultBlockVectors())('$id: $comment', async ({ vaultId, dataKey, label, block, content, ...vector }) => {
    const ours = outcome(async () => {
      const cipher = new VaultCipher(unhex(vaultId), new SecretKey('data', unhex(dataKey)))
      expect(hex(await cipher.open(parseBlock(unhex(block), label)))).toBe(content)
    })
    expect(await ours).toBe(vector.expect)
    const theirs = outcome(() => {
      const opened = spec.openVaultBlock(unhex(block), label, buffer(vaultId), buffer(dataKey))
      expect(opened.toString('hex')).toBe(content)
    })
    expect(await theirs).toBe(vector.expect)
  })
})
