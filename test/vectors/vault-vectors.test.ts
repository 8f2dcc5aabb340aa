// Reads the frozen vectors of SPEC §5–§15 with the library. second-reader.test.ts reads them with the reader written from
// SPEC.md alone.
import { hex, opening, patched, unhex } from '../fixtures.ts'
import { deriveLogin, type Login, parseProfile, resetProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { VaultCipher } from '../../src/vault/block.ts'
import { parseBlock, parseCard } from '../../src/index.ts'
import { encode } from '../../src/core/codec.ts'
import { authenticationFailed } from '../../src/core/errors.ts'
import { recoveryPublicKeys } from '../../src/core/recovery-holder.ts'
import { deriveRecoveryKey } from '../../src/recovery.ts'
import type { StoredRecovery } from '../../src/vault/layout.ts'
import { openKeyring, openRecoverySlot, parseKeyring } from '../../src/vault/keyring.ts'
import { Identity } from '../../src/core/key-pairs.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { guardProfiles, verifyCredential } from '../../src/server.ts'
import { CheckedStore } from '../../src/state/checked.ts'
import { assertNotOlder } from '../../src/state/version.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import {
  assertFollows,
  openProfileRecord,
  parseProfileRecord,
  readProfileRecord,
} from '../../src/vault/profile-record.ts'
import { readStoredRecord } from '../../src/vault/stored-profile.ts'
import { type Role, SecretKey, withBytes } from '../../src/core/secret.ts'
import { withoutPauses } from '../pauses.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import * as spec from '../spec-reader-profile.ts'
import * as specRecovery from '../spec-reader-recovery.ts'
import * as vaultSpec from '../spec-reader-vault.ts'
import {
  cardVectors,
  countsVectors,
  followsVectors,
  type GenerationVector,
  guardVectors,
  keyringVectors,
  loginVectors,
  outcome,
  profileVectors,
  recoveryVectors,
  resetVectors,
  vaultBlockVectors,
  verifierVectors,
  type VersionsVector,
} from './vectors.ts'

const buffer = (text: string) => Buffer.from(text, 'hex')
const shown = (key: SecretKey<Role>) => withBytes(key, hex)
const keysOf = (keys: readonly GenerationVector[]) =>
  keys.map(({ generation, key }) => ({ generation, key: new SecretKey('keyring', unhex(key)) }))

// The admin of all vectors is the planted keyset.
const plantedAdmin = plantedContents()
const { sharing } = plantedAdmin.additional!
const cardIdentity = new Identity(sharing)
/** A key that the second reader has opened, in the shape of a vector. */
const asText = ({ generation, due, key }: { generation: number; due: boolean; key: Buffer }) => ({
  ...{ generation, due, key: key.toString('hex') },
})

/** KEYS of the recovery key that may reset a profile; empty if none may. */
const keysIn = (recovery: StoredRecovery) =>
  recovery.kind === 'recoveryKey' ? hex(encode(recoveryPublicKeys, recovery.value.keys)) : ''

const dataKeyId = (dataKey: string) => vaultSpec.keyIdOf(buffer(dataKey)).toString('hex')

describe('login.json', () => {
  it.each(loginVectors())('$id: $comment', async ({ password, realm, user, credential, rootKey, ...vector }) => {
    const ours = outcome(async () => {
      const login = await deriveLogin(password, { realm, user })
      expect([login.credential, shown(ownerOf(login).rootKey)]).toEqual([credential, rootKey])
    })
    expect(await ours).toBe(vector.expect)
  })
})

describe('card.json', () => {
  it.each(cardVectors())('$id: $comment', async ({ card, fingerprint, ...vector }) => {
    expect(await outcome(() => expect(parseCard(unhex(card)).fingerprint).toBe(fingerprint))).toBe(vector.expect)
  })
})

describe('profile.json', () => {
  it.each(profileVectors())('$id: $comment', async ({ rootKey, profile, floor, recoveryKey = '', ...vector }) => {
    const ours = outcome(() => {
      const parsed = parseProfileRecord(unhex(profile))
      assertNotOlder(parsed, floor, 'profile')
      const opened = openProfileRecord(parsed, new SecretKey('root', unhex(rootKey)))
      expect(parsed.identity).toEqual(opened.identity.publicKey)
      expect(shown(opened.identity.seed)).toBe(vector.seed)
      expect(opened.identityDue).toBe(vector.identityDue)
      expect(keysIn(opened.recovery)).toBe(recoveryKey)
      expect(opened.vaults.flatMap(({ keys }) => keys.map((key) => ({ ...key, key: shown(key.key) })))).toEqual(
        vector.keys,
      )
    })
    expect(await ours).toBe(vector.expect)
    expect(await outcome(() => readProfileRecord(unhex(profile)))).toBe(vector.withoutKey)
    expect(await outcome(() => parseProfile(unhex(profile)))).toBe(vector.withoutKey)
  })

  it('a profile of more than 1 MiB is beyond a limit, whatever it is', async () => {
    for (const [length, code] of [
      [1_048_576, 'malformed'],
      [1_048_577, 'limit-exceeded'],
    ] as const) {
      const large = patched(new Uint8Array(length), 0, unhex(profileVectors()[0]!.profile))
      expect(await outcome(() => parseProfileRecord(large))).toBe(code)
    }
  })
})

describe('reset.json', () => {
  const admin = unlocked(plantedContents(), plantedMaster.copy(), undefined)
  const logins: Map<string, Promise<Login>> = new Map()
  /** Returns the login with a new password. The same one for all vectors of a user, because it is slow. */
  function loginOf(realm: string, user: string): Promise<Login> {
    const name = JSON.stringify([realm, user])
    const login = logins.get(name) ?? deriveLogin('a new password', { realm, user })
    logins.set(name, login)
    return login
  }

  it.each(resetVectors())(
    '$id: $comment',
    async ({ record, realm, user, pinned, floor, keys, recovery, code, ...vector }) => {
      const next = await loginOf(realm, user)
      const atLeast = floor > 0 && { atLeast: String(floor) }
      const recoveryKey = code === undefined ? undefined : await deriveRecoveryKey({ code })
      const reset = () => {
        if (recoveryKey) {
          const pin = pinned !== '' && { identity: pinned }
          return resetProfile(unhex(record), recoveryKey, next, { ...pin, ...atLeast })
        }
        return resetProfile(unhex(record), admin, next, { identity: pinned === '' ? 'unpinned' : pinned, ...atLeast })
      }
      const ours = outcome(() => {
        using profile = reset()
        const { rootKey } = ownerOf(next)
        const root = shown(rootKey)
        // The second reader opens what the library wrote.
        const [stored, written] = [spec.readWithoutKey(unhex(record)), spec.readWithoutKey(profile.record)]
        const opened = spec.readProfile(profile.record, unhex(root))
        expect(opened.vaults.flatMap((vault) => vault.keys.map(asText))).toEqual(keys)
        expect(opened.identityDue).toBe(code === undefined)
        expect(opened.admin).toEqual(stored.admin)
        expect(opened.recoveryKey).toEqual(stored.recoveryKey?.keys)
        expect(written.vaults.flatMap((vault) => vault.recovery.map(({ generation }) => generation))).toEqual(recovery)
        spec.checkFollows(stored, written)
        expect(written.handover?.by).toBe(code === undefined ? 2 : 3)
        // The same recovery key opens what was written, unless no version is left.
        if (code === undefined || written.version === Number.MAX_SAFE_INTEGER) return
        const again = spec.readForResetByKey(profile.record, specRecovery.recoveryKeyOfCode(code), { realm, user })
        expect(again.flatMap((vault) => vault.keys.map(asText))).toEqual(keys)
      })
      expect(await ours).toBe(vector.expect)
    },
  )
})

describe('follows.json', () => {
  it.each(followsVectors())('$id: $comment', async ({ stored, next, ...vector }) => {
    const [before, after] = [unhex(stored), unhex(next)]
    // Both are authentic, so what fails is the rule.
    const ours = [readProfileRecord(after), readProfileRecord(before)] as const
    expect(await outcome(() => assertFollows(...ours))).toBe(vector.expect)
  })
})

/** Writes versions of an object into a store. What stands below the first of them was dropped. */
async function fill(store: StateStore, name: string, { first, versions }: VersionsVector): Promise<void> {
  if (versions.length === 0) return
  for (let version = 1; version < first; version++) await store.write(name, version, new Uint8Array(1))
  for (const [i, bytes] of versions.entries()) await store.write(name, first + i, unhex(bytes))
  await store.drop(name, first)
}

describe('counts.json', () => {
  it.each(countsVectors())('$id: $comment', async ({ counts, expect: expected, first, versions }) => {
    const store = memoryStateStore()
    await fill(store, 'profile', { first, versions })
    const ours = outcome(async () => {
      const found = await readStoredRecord(new CheckedStore(store))
      if (found === undefined) throw new Error('missing')
      expect(hex(found.record.bytes)).toBe(versions[counts - first])
      expect([found.version, found.at]).toEqual([first + versions.length - 1, counts])
    })
    expect(await ours).toBe(expected)
  })
})

describe('guard.json', () => {
  withoutPauses()

  it.each(guardVectors())('$id: $comment', async ({ name, next, records, keyrings, verifier, ...vector }) => {
    const [bytes, keyId] = [unhex(next), next.slice(32, 64)]
    const store = memoryStateStore()
    await fill(store, 'profile', records)
    await fill(store, name, keyrings)
    if (verifier !== null) await store.write(`login/${keyId}`, 1, unhex(verifier))
    const newest = (await store.read(name))?.version ?? 0
    const ours = outcome(async () => {
      if (!(await guardProfiles(store).write(name, newest + 1, bytes))) throw new Error('refused')
    })
    expect(await ours).toBe(vector.expect)
    expect((await store.read(name))?.version ?? 0).toBe(vector.expect === 'ok' ? newest + 1 : newest)
  })
})

describe('verifier.json', () => {
  const record = unhex(followsVectors()[0]!.stored)
  it.each(verifierVectors())('$id: $comment', async ({ object, credential, matches, ...vector }) => {
    const store = memoryStateStore()
    await store.write('profile', 1, record)
    await store.write(`login/${hex(record.subarray(16, 32))}`, 1, unhex(object))
    const ours = outcome(async () => {
      try {
        expect(await verifyCredential(store, credential)).toBe(matches)
      } catch (error) {
        // Damage in the server's own database is no error of a client, so the library has no code for it.
        const isDamage = (error as Error).message.startsWith('the verifier of a password is damaged')
        throw isDamage ? new Error('malformed') : error
      }
    })
    expect(await ours).toBe(vector.expect)
  })
})

describe('recovery.json', () => {
  it.each(recoveryVectors())(
    '$id: $comment',
    async ({ slot, profileId, realm, user, vaultId, generation, key, ...vector }) => {
      const ours = outcome(() => {
        const sealed = { generation, bytes: unhex(slot) }
        const opened = openRecoverySlot(
          opening(cardIdentity),
          unhex(profileId),
          { realm, user },
          unhex(vaultId),
          sealed,
        )
        expect(shown(opened.key)).toBe(key)
      })
      expect(await ours).toBe(vector.expect)
    },
  )
})

describe('keyring.json', () => {
  it.each(keyringVectors())('$id: $comment', async ({ keyring, vaultId, keys, dataKey, live, ...vector }) => {
    const ours = outcome(() => {
      const opened = openKeyring(
        parseKeyring(unhex(keyring)),
        { id: unhex(vaultId), dataKeyId: unhex(dataKeyId(dataKey)) },
        keysOf(keys),
      )
      if (opened === undefined) throw authenticationFailed()
      expect([shown(opened.dataKey), opened.live.map(({ generation }) => generation)]).toEqual([dataKey, live])
    })
    expect(await ours).toBe(vector.expect)
  })

  it('a keyring of more than 64 KiB is beyond a limit, whatever it is', async () => {
    for (const [length, code] of [
      [65_536, 'malformed'],
      [65_537, 'limit-exceeded'],
    ] as const) {
      const large = patched(new Uint8Array(length), 0, unhex(keyringVectors()[0]!.keyring))
      expect(await outcome(() => parseKeyring(large))).toBe(code)
    }
  })
})

describe('vault-block.json', () => {
  it.each(vaultBlockVectors())('$id: $comment', async ({ vaultId, dataKey, label, block, content, ...vector }) => {
    const ours = outcome(async () => {
      const cipher = new VaultCipher(unhex(vaultId), new SecretKey('data', unhex(dataKey)))
      expect(hex(await cipher.open(parseBlock(unhex(block), label)))).toBe(content)
    })
    expect(await ours).toBe(vector.expect)
  })
})
