// The readers of a vault's objects: profiles, keyrings, blocks, and the texts that a server gets.
import { deriveRecoveryKey } from '../../src/recovery.ts'
import { guardProfiles, saveCredential, verifyCredential, verifyPassword } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  openProfile,
  parseProfile,
  resetProfile,
  restoreProfile,
} from '../../src/vault.ts'
import { concat, domain, utf8 } from '../../src/core/bytes.ts'
import { authenticatedPart, fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { sign, SIGNATURE_BYTES } from '../../src/primitives/signature.ts'
import { matchesVerifier } from '../../src/server/bcrypt.ts'
import { storedKeyring, storedProfile } from '../../src/vault/layout.ts'
import { openKeyring, parseKeyring } from '../../src/vault/keyring.ts'
import { ALICE, makeKeyset, newestBytes, PASSWORD, sample } from '../fixtures.ts'
import { CheckedStore } from '../../src/state/checked.ts'
import { openWith } from '../../src/vault/stored-vault.ts'
import { contentsOf, resigned } from '../vault/forged.ts'
import { blockTarget, type Target } from './inputs.ts'

const login = await deriveLogin(PASSWORD, ALICE)
const admin = await makeKeyset()
const store = memoryStateStore()
const first = createProfile(login, { admin: admin.card() })
const made = await first.createVault(store)
const { vault } = made
const { profile } = await made.profile.createVault(store)
const next = made.profile.changePassword(login)
const reset = resetProfile(made.profile.record, admin, login, { identity: 'unpinned' })
const trusting = createProfile(login, { zeroTrust: true })
const recoveryKey = await deriveRecoveryKey({ secret: sample(32) })
const withKey = createProfile(login, { zeroTrust: true, recoveryKey })
const keyringName = `keyring/${vault.id}`
const keyring = await newestBytes(store, keyringName)
const block = await vault.seal(sample(40))
const contents = contentsOf(made.profile.record, login)
const [entry] = contents.vaults
/** The A-key. */
const { dataKey } = openKeyring(parseKeyring(keyring), entry!, entry!.keys)!
const resets = contentsOf(reset.record, login).identity

/** A bcrypt that costs nothing. */
const bcrypt = { hash: async () => verifier, compare: async () => true }

/**
 * Returns a store that copies nothing, because that memory is not the reader's. It has these objects and takes every
 * write. The versions of each object are in ascending order.
 */
export const showing = (objects: Readonly<Record<string, readonly Uint8Array[]>>): StateStore => ({
  read: async (name) => {
    const bytes = objects[name]?.at(-1)
    return bytes && { version: objects[name]!.length, bytes }
  },
  readVersion: async (name, version) => objects[name]?.[version - 1],
  write: async () => true,
  drop: async () => undefined,
})
const stored = showing({ profile: [first.record, made.profile.record], [keyringName]: [keyring] })

const verifier = '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'
const texts: WeakMap<Uint8Array, string> = new WeakMap()
/** Decodes an input as text, once, because that memory is not the reader's. */
export function text(bytes: Uint8Array): string {
  const made = texts.get(bytes) ?? new TextDecoder().decode(bytes)
  texts.set(bytes, made)
  return made
}

export const vaultTargets: readonly Target[] = [
  {
    name: 'profile',
    isImpatient: true,
    seeds: [profile.record, made.profile.record, trusting.record, withKey.record],
    layouts: [storedProfile as never],
    mend: (bytes) => {
      const identity = [contents.identity, resets].find(({ publicKey }) =>
        Buffer.from(publicKey).equals(bytes.subarray(88, 120)),
      )
      return resigned(bytes, (identity ?? contents.identity).seed, login)
    },
    reads: [
      (bytes) => parseProfile(bytes),
      (bytes) => resetProfile(bytes, admin, login, { identity: 'unpinned' }).dispose(),
      (bytes) => resetProfile(bytes, recoveryKey, login).dispose(),
      (bytes) => guardProfiles(stored).write('profile', 3, bytes),
      (bytes) => guardProfiles(showing({})).write('profile', 1, bytes),
      (bytes) => saveCredential(stored, bytes, login.credential, { cost: 10, bcrypt }),
      (bytes) => verifyCredential(showing({ profile: [bytes] }), login.credential, { cost: 10, bcrypt }),
      (bytes) => openProfile(bytes, login).dispose(),
    ],
  },
  {
    // The newest or the former version in a store is damaged.
    name: 'profile-store',
    isImpatient: true,
    seeds: [first.record, made.profile.record, next.record, reset.record],
    layouts: [storedProfile as never],
    mend: (bytes) => resigned(bytes, contents.identity.seed, login),
    reads: [
      async (bytes) => (await loadProfile(showing({ profile: [first.record, bytes] }), login)).dispose(),
      async (bytes) => (await loadProfile(showing({ profile: [bytes, made.profile.record] }), login)).dispose(),
      async (bytes) => {
        const objects = { profile: [first.record, bytes], [keyringName]: [keyring] }
        using _ = await restoreProfile(showing(objects), made.profile)
      },
    ],
  },
  {
    name: 'keyring',
    seeds: [keyring],
    layouts: [storedKeyring as never],
    mend: (bytes) => {
      const whole = new Uint8Array(bytes)
      const signed = authenticatedPart(whole).subarray(0, -SIGNATURE_BYTES)
      whole.set(sign(contents.identity.seed, concat(domain('sign/keyring'), signed)), signed.length)
      fillTrailer(whole, (part) => macUnder(dataKey, 'keyring-mac', [entry!.id], part))
      return whole
    },
    reads: [
      (bytes) => openKeyring(parseKeyring(bytes), entry!, entry!.keys)?.dataKey.dispose(),
      (bytes) => guardProfiles(stored).write(keyringName, 2, bytes),
      async (bytes) => {
        const opened = await openWith(new CheckedStore(showing({ [keyringName]: [keyring, bytes] })), entry!)
        opened?.dataKey.dispose()
      },
    ],
  },
  blockTarget('vault-block', vault, block),
  {
    name: 'login',
    copies: 3,
    // A wrong credential is no error.
    isTotal: true,
    seeds: [utf8(login.credential), utf8(verifier)],
    reads: [
      // The text comes from a client, then from a database. A high bcrypt cost is lowered, to save time.
      (bytes) => verifyCredential(showing({ profile: [first.record] }), text(bytes), { cost: 10, bcrypt }),
      (bytes) => saveCredential(showing({}), first.record, text(bytes), { cost: 10, bcrypt }),
      (bytes) => matchesVerifier(text(bytes).replace(/^\$2b\$1[1-5]/, '$2b$10'), login.credential),
    ],
  },
  {
    name: 'password-hash',
    seeds: [utf8('$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw')],
    reads: [(bytes) => verifyPassword(text(bytes), 'password')],
  },
]
