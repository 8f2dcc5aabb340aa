// The frozen vectors in the JSON files of this folder. Each has one fault or none.
import { type ErrorCode, KeystrataError } from '../../src/index.ts'
import { readText } from '../files.ts'
import type { VectorFile, VectorOf } from './second-reader.ts'

interface Vector {
  id: string
  /** The section of SPEC.md. */
  section: string
  comment: string
  expect: 'ok' | ErrorCode
}

export interface KeysetVector extends Vector {
  password: string
  export: string
  /** The revision that the caller gives as its floor, as text. */
  floor?: string
  /** What opening a writer from the export gives, without the password. */
  writer?: 'ok' | ErrorCode
  /** What the first use of the card gives, once the keyset is unlocked. */
  card?: 'ok' | ErrorCode
}

/** How the revision of a keyset is made (SPEC §9.2). */
export interface RevisionVector extends Vector {
  /** The id of a keyset vector, which is a storage export with this revision. */
  keyset: string
  master: string
  random: string
  contents: string
  /** `<version>-<32 hex digits>` */
  revision: string
}

/** A ref (SPEC §6.5). */
export interface RefVector extends Vector {
  ref: string
  label?: string
  member?: string
  /** For a ref of a share: the ciphertext that it names. */
  ciphertext?: string
}

/** How a random value is hedged (SPEC §4.3, §4.4, §10.2). Fields that its kind does not have are empty. */
export interface HedgeVector extends Vector {
  kind: 'nonce' | 'block-key' | 'ephemeral'
  key: string
  random: string
  /** P: the content, or the secret of a SEAL. */
  content: string
  header: string
  params: string
  /** The context, or the label of a block key. */
  context: string
  hedged: string
}

export interface BlockVector extends Vector {
  /** The id of a keyset vector. */
  keyset: string
  /** Whether the reader accepts what is weaker than its key pairs demand: X25519 alone, or (true) everything. */
  acceptsWeaker?: boolean | 'x25519'
  label: string
  /** envelope ‖ ciphertext */
  block: string
  content: string
}

export interface LoginVector extends Vector {
  password: string
  realm: string
  user: string
  credential: string
  rootKey: string
}

export interface CardVector extends Vector {
  card: string
  fingerprint: string
}

/** An E-key (16 bytes) with its generation. */
export interface GenerationVector {
  generation: number
  key: string
}

export interface ProfileVector extends Vector {
  rootKey: string
  profile: string
  /** The lowest version that the caller accepts; 0 if any. */
  floor: number
  /** What somebody without the root key gets, who has no floor. */
  withoutKey: 'ok' | ErrorCode
  /** The seed of the identity. Empty if the profile does not open. */
  seed: string
  /** KEYS of the recovery key that may reset the profile, if one may. */
  recoveryKey?: string
  /** Whether the identity is to be replaced with the next new password. */
  identityDue: boolean
  /** The keys in the slots, of all vaults. */
  keys: SlotVector[]
}

/** An E-key from a slot. */
export interface SlotVector extends GenerationVector {
  due: boolean
}

/** What an admin gets from a record. The admin is the planted keyset, the vector `host` of keyset.json. */
export interface ResetVector extends Vector {
  record: string
  /** A recovery code. If there is one, its recovery key resets, and not the admin. */
  code?: string
  realm: string
  user: string
  /** The identity that the admin has pinned; empty if none. */
  pinned: string
  /** The lowest version that the admin accepts; 0 if any. */
  floor: number
  /** The E-keys, of all vaults. */
  keys: SlotVector[]
  /** The generations of the recovery slots in the new record, of all vaults. */
  recovery: number[]
}

/** Whether a record may follow another one, without its verifier. Both are authentic. */
export interface FollowsVector extends Vector {
  stored: string
  next: string
}

/** An object in a store: its versions, from the number of the first one on. */
export interface VersionsVector {
  first: number
  versions: string[]
}

/** Which record counts. */
export interface CountsVector extends Vector, VersionsVector {
  /** The number of the version that counts; 0 if there is an error. */
  counts: number
}

/** What a server that has these objects answers to a write of the next version. `refused` stands for false. */
export interface GuardVector extends Omit<Vector, 'expect'> {
  /** `profile`, or the name of a keyring or of an epoch of a log. */
  name: string
  next: string
  records: VersionsVector
  /** The keyrings under that name. */
  keyrings: VersionsVector
  /** The object `login/<key id>` of the next record; null if there is none. */
  verifier: string | null
  expect: 'ok' | 'refused' | ErrorCode
}

/** A credential, and what a server keeps under the key id of the record that counts. */
export interface VerifierVector extends Vector {
  object: string
  credential: string
  matches: boolean
}

export interface RecoveryVector extends Vector, GenerationVector {
  /** A SEAL to the sharing pair of the planted keyset, which is the vector `host` of keyset.json. */
  slot: string
  profileId: string
  realm: string
  user: string
  vaultId: string
}

export interface KeyringVector extends Vector {
  keyring: string
  vaultId: string
  keys: GenerationVector[]
  dataKey: string
  live: number[]
}

export interface VaultBlockVector extends Vector {
  vaultId: string
  dataKey: string
  label: string
  /** envelope ‖ ciphertext */
  block: string
  content: string
}

export interface PackVector extends Vector {
  pack: string
  member: string
  file: string
}

export interface RecordVector extends Vector {
  /** The name of the log. */
  log: string
  record: string
  /** The previous record in hex, or 'start', or null for no check of the chain. */
  after: string | null
  kind: 'content' | 'close' | 'seal-off'
  epoch: number
  sequence: number
  position: string
  content: string
  /** The random bytes of the id, and of n in a vault or a scope, if the vector shows how they are hedged. */
  random?: string[]
}

/** A record of a keyset. */
export interface KeysetRecordVector extends RecordVector {
  /** The id of a keyset vector. */
  keyset: string
}

/** A vault, or a scope of a client. */
export type OwnerVector =
  | { kind: 'vault'; id: string; key: string }
  | { kind: 'private'; realm: string; account: string; type: 1 | 2 | 3 | 4; key: string }
  | { kind: 'account'; realm: string; account: string; type: 1 | 2 | 3; key: string }
  | { kind: 'public'; realm: string; account: string }

/** A record of a vault or of a scope. */
export interface OwnedRecordVector extends RecordVector {
  owner: OwnerVector
}

/** A whole log: the objects in a store. */
export interface LogVector extends Vector {
  /** Ids of a keyset vector or of an invite vector, or a vault or scope. */
  owner: { kind: 'keyset'; keyset: string } | { kind: 'share'; invite: string } | OwnerVector
  log: string
  /** name → version → bytes */
  objects: Record<string, Record<string, string>>
  /** The position that the caller gives as its floor. */
  atLeast?: string
  epoch: number
  records: { position: string; content: string }[]
}

/** What a vault or a scope packs. */
export interface OwnedPackVector extends Vector {
  owner: OwnerVector
  files: string[]
  pack: string
  members: string[]
}

export interface InviteVector extends Vector {
  /** The id of the keyset vector that is invited. */
  keyset: string
  /** The card of the sharer. */
  card: string
  invite: string
  shareId: string
  issuedAt: number
}

/** A block with its envelope for a share. */
export interface SharedBlockVector extends Vector {
  /** The id of an invite vector. */
  invite: string
  label: string
  /** envelope ‖ ciphertext */
  block: string
  content: string
}

export interface SharedRecordVector extends RecordVector {
  /** The id of an invite vector. */
  invite: string
}

export interface TypedKeyVector extends Vector {
  type: 'AES-128' | 'AES-192' | 'AES-256' | 'DES-56'
  text: string
  role: 'private' | 'account'
  realm: string
  account: string
  key: string
}

/** A block of a client whose account key is of type AES-128. */
export interface ClientBlockVector extends Vector {
  realm: string
  account: string
  privateType: number
  privateKey: string
  accountKey: string
  label: string
  /** envelope ‖ ciphertext */
  block: string
  content: string
}

/**
 * A challenge as a client reads it, or (`issued`) as its server checks it when it comes back; or an enrolment or a proof,
 * and, if there is a key, what is wrong with the challenge in it.
 */
export interface ProofVector extends Vector {
  kind: 'enrolment' | 'challenge' | 'issued' | 'proof'
  bytes: string
  realm: string
  server: string
  /** The key of the registry. Empty if nobody checks the MAC. */
  registryKey: string
  /** The server's time, in milliseconds since 1970. */
  now: number
}

/** The row of an account, and its name. */
export interface AccountVector extends Vector {
  realm: string
  account: string
  name: string
  row: string
  accountKey: { type: number; hash: string } | null
  clients: {
    client: string
    state: number
    platform: number
    key: { type: number; hash: string }
    escrow: string | null
    issuedAt: number
  }[]
}

/** A client's escrow, and the activation code to try on it. */
export interface EscrowVector extends Vector {
  bytes: string
  code: string
  realm: string
  account: string
  client: string
  platform: number
  privateKey: string
  /** Of type AES-128, or empty if there is none. */
  accountKey: string
}

export interface RegistrationVector extends Vector {
  bytes: string
  /** The card of the expected provider. */
  card: string
  code: string | null
  account: string | null
  /** The time of the reader, in milliseconds since 1970. */
  now: number
  server: string
  expires: number
  armed: boolean
  privateKey: string
  /** What arming the file with the code gives. */
  arming?: 'ok' | ErrorCode
}

/** A block under DES-56. */
export interface LegacyBlockVector extends Vector {
  account: string
  key: string
  label: string
  /** envelope ‖ ciphertext */
  block: string
  content: string
}

export interface DeviceVector extends Vector {
  kind: 'key' | 'login' | 'client' | 'keyset' | 'text'
  deviceKey: string
  bytes: string
  passphrase: string | null
  place: { table: string; row: string; column: string; version: number }
  /** The text in a text value. */
  text: string
}

/** A recovery key (SPEC §20.1). */
export interface RecoveryKeyVector extends Vector {
  source: 'code' | 'secret'
  /** A recovery code as somebody typed it, or 32 bytes in hex. */
  secret: string
  /** KEYS. Empty if there are none. */
  keys: string
}

/** A code as somebody typed it (SPEC §18.1, §20.2). */
export interface CodeVector extends Vector {
  /** Which of the two it is read as. */
  kind: 'activation' | 'recovery'
  text: string
  /** Its 30 characters. */
  code: string
}

/** Parts of a recovery code, as somebody typed them (SPEC §20.3). */
export interface PartsVector extends Vector {
  parts: string[]
  /** The 30 characters of the code. */
  code: string
}

/** Who opens a slot. The card is that of the planted keyset, the vector `host` of keyset.json. */
export type SlotOpener =
  | { kind: 'code'; code: string }
  | { kind: 'parts'; parts: string[] }
  | { kind: 'secret'; secret: string }
  /** `from` is the card of the expected owner. */
  | { kind: 'card'; from: string }

/** What a list shows of a slot. */
export interface ListedSlot {
  id: string
  kind: 'code' | 'split' | 'card' | 'secret'
  label: string
  /** Milliseconds since 1970. */
  created: number
  needed?: number
  parts?: number
}

/** A store with the recovery slots of a keyset, and who opens it by one of them (SPEC §20.4, §20.5). */
export interface SlotsVector extends Vector {
  /** The versions of the object `slots`, the newest last. */
  slots: string[]
  /** Those of the object `keyset`. None where nothing of it is read. */
  keyset: string[]
  by: SlotOpener
  /** The revision that the caller gives as its floor, as text; empty if none. */
  floor: string
  /** The id of the keyset that the caller expects; empty if any. */
  keysetId: string
  /** What reading the newest version without a key gives. */
  form: 'ok' | ErrorCode
  /** What the newest version shows; empty if it cannot be read. */
  listed: ListedSlot[]
  /** The id of the slot that opens. Empty if none does. */
  slot: string
  /** The master key in it. */
  master: string
  /** The revision of the keyset that it opens, as text. */
  revision: string
}

/** An object as text (SPEC §20.6). */
export interface ArmorVector extends Vector {
  text: string
  /** The object in the text. Empty if there is none. */
  object: string
  /** Whether this is exactly the text that a writer makes of the object. */
  written: boolean
}

/**
 * A delegation, and what the planted keyset gets from it, which is the vector `host-full` of keyset.json (SPEC §21). The
 * fields after `now` are empty if it does not open.
 */
export interface DelegationVector extends Vector {
  delegation: string
  /** The card of the expected owner. */
  card: string
  /** The id of a keyset vector that opens it instead. */
  fleet?: string
  /** The time of the reader, in milliseconds since 1970. */
  now: number
  keysetId: string
  /** The revision of the keyset, as text. */
  revision: string
  until: number
  encryption: number
  /** The minimum of the current pair. */
  minimum: number
  /** The key ids of the current pair, and of the retired ones. */
  pairs: string[]
  adopted: string[]
}

/** The block of a head that is rekeyed under a delegation (SPEC §10.5, §21). */
export interface DelegatedHeadVector extends Vector {
  /** The id of a delegation vector. */
  delegation: string
  /** The time at which it is used, in milliseconds since 1970. */
  now: number
  label: string
  /** envelope */
  envelope: string
  ciphertext: string
  /** Whether the envelope is current, or the error. */
  isCurrent: 'current' | 'not current' | ErrorCode
  /** The private halves of the current pair, which open the new envelope. Empty if there is no new envelope. */
  current: string
  /** The suite of the new envelope. */
  suite: number
  content: string
}

function read<V>(name: string): V[] {
  return JSON.parse(readText('vectors', name)) as V[]
}
/** Returns the vectors of a file, by its name without `.json`. */
export const readVectors = <File extends VectorFile>(file: File): VectorOf[File][] => read(`${file}.json`)

export const keysetVectors = (): KeysetVector[] => read('keyset.json')
export const revisionVectors = (): RevisionVector[] => read('revision.json')
export const refVectors = (): RefVector[] => read('ref.json')
export const hedgeVectors = (): HedgeVector[] => read('hedge.json')
export const blockVectors = (): BlockVector[] => read('block.json')
export const loginVectors = (): LoginVector[] => read('login.json')
export const packVectors = (): PackVector[] => read('pack.json')
export const recordVectors = (): KeysetRecordVector[] => read('record.json')
export const ownedRecordVectors = (): OwnedRecordVector[] => read('owned-record.json')
export const logVectors = (): LogVector[] => read('log.json')
export const ownedPackVectors = (): OwnedPackVector[] => read('owned-pack.json')
export const inviteVectors = (): InviteVector[] => read('invite.json')
export const sharedBlockVectors = (): SharedBlockVector[] => read('shared-block.json')
export const sharedRecordVectors = (): SharedRecordVector[] => read('shared-record.json')
export const typedKeyVectors = (): TypedKeyVector[] => read('typed-key.json')
export const clientBlockVectors = (): ClientBlockVector[] => read('client-block.json')
export const proofVectors = (): ProofVector[] => read('proof.json')
export const accountVectors = (): AccountVector[] => read('account.json')
export const escrowVectors = (): EscrowVector[] => read('escrow.json')
export const registrationVectors = (): RegistrationVector[] => read('registration.json')
export const legacyBlockVectors = (): LegacyBlockVector[] => read('legacy-block.json')
export const deviceVectors = (): DeviceVector[] => read('device.json')
export const cardVectors = (): CardVector[] => read('card.json')
export const profileVectors = (): ProfileVector[] => read('profile.json')
export const recoveryVectors = (): RecoveryVector[] => read('recovery.json')
export const resetVectors = (): ResetVector[] => read('reset.json')
export const followsVectors = (): FollowsVector[] => read('follows.json')
export const countsVectors = (): CountsVector[] => read('counts.json')
export const guardVectors = (): GuardVector[] => read('guard.json')
export const verifierVectors = (): VerifierVector[] => read('verifier.json')
export const recoveryKeyVectors = (): RecoveryKeyVector[] => read('recovery-key.json')
export const codeVectors = (): CodeVector[] => read('recovery-code.json')
export const partsVectors = (): PartsVector[] => read('recovery-part.json')
export const slotsVectors = (): SlotsVector[] => read('slots.json')
export const armorVectors = (): ArmorVector[] => read('armor.json')
export const delegationVectors = (): DelegationVector[] => read('delegation.json')
export const delegatedHeadVectors = (): DelegatedHeadVector[] => read('delegated-head.json')
export const keyringVectors = (): KeyringVector[] => read('keyring.json')
export const vaultBlockVectors = (): VaultBlockVector[] => read('vault-block.json')

/** Runs an action and returns 'ok', the code of its KeystrataError, or the message of another error. */
export async function outcome(action: () => unknown): Promise<string> {
  try {
    await action()
    return 'ok'
  } catch (error) {
    return error instanceof KeystrataError ? error.code : (error as Error).message
  }
}
