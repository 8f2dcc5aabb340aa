// A vault in a store that several devices share (SPEC §14.3): reading a profile and a keyring that belong together,
// writing keyrings, and creating a vault. Not protected: a keyring in a place where others may overwrite it. There,
// guardProfiles of keystrata/server does not stand in front of it.
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { disposeKeys, disposing, type SecretKey } from '../core/secret.ts'
import type { SigningPair } from '../core/key-pairs.ts'
import { keyIdOf } from '../core/wrap.ts'
import { randomBytes } from '../primitives/random.ts'
import type { CheckedStore } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { keyringName } from '../state/name.ts'
import { repeatedly, writeSettled } from '../state/settle.ts'
import { nextVersion } from '../state/version.ts'
import {
  encodeKeyring,
  generateDataKey,
  generateKeyringKey,
  type KeyringKey,
  type OpenedKeyring,
  openKeyring,
  type ParsedKeyring,
  parseKeyring,
  type SlotKey,
} from './keyring.ts'
import { type ParsedProfile, type ProfileContents, type VaultEntry, withRecoverySlots } from './profile-record.ts'
import {
  damageOf,
  type ProfileState,
  type ProfileView,
  readProfileState,
  readStoredRecord,
  untilWritten,
  writeNext,
} from './stored-profile.ts'

/**
 * How often to read a profile and a keyring that do not belong together. Another device may rotate between the two
 * reads.
 */
const READS = 10

/** The effective keyring, and the newest version of the object in the store, behind which the next one goes. */
export interface KeyringState {
  readonly version: number
  readonly keyring: ParsedKeyring
}

/**
 * Reads the newest keyring of a vault that can be parsed. Never falls back to an older one for another reason: a keyring
 * that does not open may be newer than the profile that was read.
 * @throws KeystrataError `malformed`, `limit-exceeded` if there is none; `unsupported`
 */
export async function readKeyring(store: CheckedStore, vaultId: string): Promise<KeyringState | undefined> {
  const name = keyringName(vaultId)
  const newest = await store.read(name)
  if (newest === undefined) return undefined
  const { version } = newest
  try {
    return { version, keyring: parseKeyring(newest.bytes) }
  } catch (error) {
    const damage = damageOf(error)
    const below = version > 1 ? await store.readVersion(name, version - 1) : undefined
    if (below === undefined) throw damage
    return { version, keyring: parseKeyring(below) }
  }
}

/** A profile and a keyring that belong together. Every key in `keyring.live` is in both. */
export interface VaultState {
  readonly profile: ProfileState
  readonly vault: VaultEntry
  readonly stored: KeyringState
  readonly keyring: OpenedKeyring<SlotKey>
}

/**
 * Reads a profile and a vault's keyring until they belong together, at most ten times. The caller disposes of the keys.
 * @throws KeystrataError `key-not-found` if the profile has no such vault
 * @throws KeystrataError `missing` if the store has no keyring of it
 * @throws KeystrataError `authentication-failed` if they do not belong together, or were altered
 * @throws KeystrataError as in {@link readProfileState}
 */
export async function readVault(view: ProfileView, vaultId: string): Promise<VaultState> {
  const started = Date.now()
  for (let reads = 1; ; reads++) {
    const profile = await readProfileState(view)
    try {
      const vault = findVault(profile.contents, vaultId)
      if (vault === undefined) {
        throw new KeystrataError('key-not-found', 'the profile has no vault with this id: use one of its `vaults`', {
          object: 'vault',
          vaultId,
        })
      }
      const stored = await readKeyring(view.store, vaultId)
      const keyring = stored && openKeyring(stored.keyring, vault, vault.keys)
      if (stored !== undefined && keyring !== undefined) return { profile, vault, stored, keyring }
      if (reads === READS) throw stored === undefined ? noKeyring(vaultId) : authenticationFailed()
    } catch (error) {
      disposeKeys(profile.contents)
      throw error
    }
    disposeKeys(profile.contents)
    await pauseBeforeRetry(reads, (Date.now() - started) / reads)
  }
}

function noKeyring(vaultId: string): KeystrataError {
  const object = keyringName(vaultId)
  return new KeystrataError('missing', 'the store has no keyring of this vault: restore it from a backup', { object })
}

function findVault({ vaults }: ProfileContents, vaultId: string): VaultEntry | undefined {
  return vaults.find(({ id }) => toHex(id) === vaultId)
}

/**
 * Unwraps the data key of a vault. Uses the keys in `known` if they still open the keyring, otherwise those of the
 * profile in the store.
 * @throws KeystrataError as in {@link readVault}
 */
export async function openDataKey(
  view: ProfileView,
  known: ProfileContents,
  vaultId: string,
): Promise<SecretKey<'data'>> {
  const vault = findVault(known, vaultId)
  const keyring = vault && (await openWith(view.store, vault))
  if (keyring !== undefined) return keyring.dataKey
  const state = await readVault(view, vaultId)
  disposeKeys(state.profile.contents)
  return state.keyring.dataKey
}

/** Opens the keyring of a vault. Returns undefined if there is none, or if none of the vault's keys opens it. */
export async function openWith(store: CheckedStore, vault: VaultEntry): Promise<OpenedKeyring<SlotKey> | undefined> {
  const stored = await readKeyring(store, toHex(vault.id))
  return stored && openKeyring(stored.keyring, vault, vault.keys)
}

/**
 * Writes the keyring behind another one, signed by the identity in `profile`.
 * @param after what was read, or written before; undefined if there is none
 * @returns undefined if the write was refused, or nobody knows
 */
export async function writeKeyring(
  { store }: ProfileView,
  { contents }: ProfileState,
  vaultId: Uint8Array,
  after: KeyringState | undefined,
  dataKey: SecretKey<'data'>,
  keys: readonly KeyringKey[],
): Promise<KeyringState | undefined> {
  const version = (after?.version ?? 0) + 1
  const inner = nextVersion(after?.keyring.version ?? 0)
  const bytes = encodeKeyring(vaultId, inner, dataKey, keys, contents.identity, after?.keyring.bytes)
  try {
    const outcome = await writeSettled(store, keyringName(toHex(vaultId)), version, bytes)
    return outcome === 'written' ? { version, keyring: parseKeyring(bytes) } : undefined
  } catch (error) {
    await assertFormerIdentity(store, contents.identity, error)
    return undefined
  }
}

/**
 * Returns if a server has refused a keyring because another device has replaced the identity meanwhile.
 * @throws the server's error otherwise
 */
async function assertFormerIdentity(store: CheckedStore, { publicKey }: SigningPair, refusal: unknown): Promise<void> {
  if (!(refusal instanceof KeystrataError) || refusal.detail['rule'] !== 'identity') throw refusal
  const check = async () => {
    const stored = await readStoredRecord(store)
    if (stored === undefined || equalBytes(stored.record.identity, publicKey)) throw refusal
  }
  await repeatedly(check, (error) => error === refusal)
}

/** A new vault: the record that lists it, and its data key, which the caller disposes of. */
export interface CreatedVault {
  readonly record: ParsedProfile
  readonly id: Bytes
  readonly dataKey: SecretKey<'data'>
}

/**
 * Creates a vault. Writes its keyring before the profile, so that no profile lists a vault without a keyring. After a
 * refused write this starts again with a new vault, because a former admin may have seen the keys of the old one.
 * @throws KeystrataError `conflict` if other devices write first on every try
 */
export async function createVaultIn(view: ProfileView): Promise<CreatedVault> {
  const tried: Omit<CreatedVault, 'record'>[] = []
  const arrivedIn = (record: ParsedProfile): CreatedVault | undefined => {
    const vault = tried.find(({ id }) => record.vaults.some((each) => equalBytes(each.id, id)))
    return vault && { record, id: vault.id, dataKey: vault.dataKey.copy() }
  }
  using _ = disposing(tried)
  return await untilWritten(async () => {
    const profile = await readProfileState(view)
    using _contents = disposing(profile.contents)
    // An earlier try may have arrived after its answer was lost.
    const arrived = arrivedIn(profile.record)
    if (arrived !== undefined) return arrived
    const vault = { id: randomBytes(16), dataKey: generateDataKey() }
    tried.push(vault)
    const record = await addVault(view, profile, vault)
    return record && arrivedIn(record)
  })
}

/** Writes the keyring and the profile of a new vault. Returns undefined if another device wrote first. */
async function addVault(
  view: ProfileView,
  profile: ProfileState,
  { id, dataKey }: Omit<CreatedVault, 'record'>,
): Promise<ParsedProfile | undefined> {
  const first = generateKeyringKey(1)
  using _ = first.key
  const entry = { id, dataKeyId: keyIdOf(dataKey), keys: [{ ...first, due: false }], recoverySlots: [] }
  const vault = withRecoverySlots(entry, profile.contents, view.owner)
  const contents = { ...profile.contents, vaults: [...profile.contents.vaults, vault] }
  if ((await writeKeyring(view, profile, id, undefined, dataKey, [first])) === undefined) return undefined
  return (await writeNext(view, profile, contents))?.record
}
