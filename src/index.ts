// keystrata: from a password to a sealed block, and back. This file exports and does nothing else.
export {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  encodeBlock,
  parseBlock,
  type PreparedBlock,
  type SealedBlock,
  type SealOptions,
} from './blocks/block.ts'
export { openPackMember, type Pack } from './blocks/pack.ts'
export type { OpenedRecord, SealedRecord } from './blocks/record.ts'
export type { Bytes } from './bytes.ts'
export { armRegistration } from './custody/registration.ts'
export type { KeyType, Platform } from './format/client.ts'
export { type ErrorCode, type ErrorDetail, KeystrataError } from './errors.ts'
export { type Client, type ClientOptions, createClient } from './handles/client.ts'
export type { ClientScope } from './handles/client-scope.ts'
export { createDeviceKey, type DeviceKey, openDeviceKey } from './handles/device.ts'
export type { KeysetReader, PasswordOptions } from './handles/keyset-reader.ts'
export { createKeyset, unlockKeyset } from './handles/keyset-unlock.ts'
export { type Encryption, type KeysetWriter, openWriter, type WriterOptions } from './handles/keyset-writer.ts'
export { createProfile, openProfile } from './handles/profile.ts'
export type { Recovery } from './handles/recovery.ts'
export { resetProfile } from './handles/profile-reset.ts'
export type { RecordReader, RecordWriter } from './handles/records.ts'
export { openRegistration, parseRegistration, type RegistrationFacts } from './handles/registration.ts'
export type { Share, SharedReader } from './handles/share.ts'
export type { UnlockedProfile } from './handles/unlocked-profile.ts'
export type { Vault } from './handles/vault.ts'
export { type Card, parseCard } from './keys/card.ts'
export type { Place } from './keys/device-key.ts'
export type { KeysetDestination } from './keys/keyset-contents.ts'
export { deriveLogin, type Login } from './keys/login.ts'
export { generateTypedKey, type TypedKey } from './keys/typed-key.ts'
export type { VaultStore } from './keys/vault-store.ts'
export { calibrateArgon2 } from './primitives/calibrate.ts'
export type { Argon2, Argon2Costs, HashOptions, Wait } from './primitives/password.ts'
export { selfTest, type SelfTestCheck, type SelfTestResult } from './primitives/self-test.ts'
export type { Handle } from './secret.ts'
