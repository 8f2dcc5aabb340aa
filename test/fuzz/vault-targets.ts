// The readers of a vault's objects: profiles, keyrings, blocks, and the texts that a server gets.
import { createProfile, openProfile, deriveLogin, resetProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { checkProfile, verifyLogin, verifyPassword } from '../../src/server.ts'
import { utf8 } from '../../src/core/bytes.ts'
import { fillTrailer, MAC_BYTES, macUnder } from '../../src/core/trailer.ts'
import { storedKeyring, storedProfile } from '../../src/vault/layout.ts'
import { openKeyring } from '../../src/vault/keyring.ts'
import { openProfileRecord, parseProfile } from '../../src/vault/profile-record.ts'
import { ALICE, makeKeyset, MemoryVaultStore, PASSWORD, sample } from '../fixtures.ts'
import { blockTarget, type Target } from './inputs.ts'

const login = await deriveLogin(PASSWORD, ALICE)
const admin = await makeKeyset()
const store = new MemoryVaultStore()
const made = await createProfile(login, { admin: admin.card() }).createVault(store)
const { vault } = made
const { profile } = await made.profile.createVault(new MemoryVaultStore())
const trusting = createProfile(login, { zeroTrust: true })
const keyring = (await store.readKeyring(vault.id))!
const block = await vault.seal(sample(40))
const { rootKey } = ownerOf(login)
const [entry] = openProfileRecord(parseProfile(made.profile.record), rootKey).vaults
/** The A-key. */
const { dataKey } = openKeyring(keyring, entry!, entry!.keys)!
const verifier = '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'
const texts: WeakMap<Uint8Array, string> = new WeakMap()
/** Decodes an input as text, once, because that memory is not the reader's. */
function text(bytes: Uint8Array): string {
  const made = texts.get(bytes) ?? new TextDecoder().decode(bytes)
  texts.set(bytes, made)
  return made
}

export const vaultTargets: readonly Target[] = [
  {
    name: 'profile',
    seeds: [profile.record, made.profile.record, trusting.record],
    layouts: [storedProfile as never],
    mend: (bytes) => {
      const copy = new Uint8Array(bytes)
      fillTrailer(copy, (part) => macUnder(rootKey, 'profile-mac', [], part))
      return copy
    },
    reads: [
      (bytes) => checkProfile(bytes),
      (bytes) => checkProfile(bytes, made.profile.record),
      (bytes) => resetProfile(bytes, admin, login),
      (bytes) => openProfile(bytes, login).dispose(),
    ],
  },
  {
    name: 'keyring',
    seeds: [keyring],
    layouts: [storedKeyring as never],
    mend: (bytes) => {
      const part = bytes.subarray(0, -MAC_BYTES)
      return new Uint8Array([...part, ...macUnder(dataKey, 'keyring-mac', [entry!.id], part)])
    },
    reads: [(bytes) => openKeyring(bytes, entry!, entry!.keys)?.dataKey.dispose()],
  },
  blockTarget('vault-block', vault, block),
  {
    name: 'login',
    seeds: [utf8(login.credential), utf8(verifier)],
    reads: [
      // The text comes from a client, then from a database. A high bcrypt cost is lowered, to save time.
      (bytes) => verifyLogin(verifier, text(bytes)),
      (bytes) => verifyLogin(text(bytes).replace(/^\$2b\$1[1-5]/, '$2b$10'), login.credential),
    ],
  },
  {
    name: 'password-hash',
    seeds: [utf8('$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw')],
    reads: [(bytes) => verifyPassword(text(bytes), 'password')],
  },
]
