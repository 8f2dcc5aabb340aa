// keystrata: from a password to a sealed block, and back. This file exports and does nothing else.
export { type Client, type ClientOptions, createClient } from './client/client.ts'
export { type KeyType, type Platform } from './client/layout.ts'
export { armRegistration, openRegistration, parseRegistration, type RegistrationFacts } from './client/registration.ts'
export { type ClientScope } from './client/scope.ts'
export { generateTypedKey, type TypedKey } from './client/typed-key.ts'
export {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  encodeBlock,
  parseBlock,
  type PreparedBlock,
  type SealedBlock,
  type SealOptions,
} from './core/block.ts'
export { type Bytes } from './core/bytes.ts'
export { calibrateArgon2 } from './core/calibrate.ts'
export { type Card, parseCard } from './core/card.ts'
export { type ErrorCode, type ErrorDetail, KeystrataError } from './core/errors.ts'
export { type Argon2, type Argon2Costs, type HashOptions } from './core/password.ts'
export { type Handle } from './core/secret.ts'
export { createDeviceKey, type DeviceKey, openDeviceKey, type Place } from './device/device-key.ts'
export { type KeysetDestination } from './keyset/exports.ts'
export { type KeysetReader, type PasswordOptions } from './keyset/keyset.ts'
export { openPackMember, type Pack } from './keyset/pack.ts'
export { type OpenedRecord, type SealedRecord, type RecordReader, type RecordWriter } from './keyset/record.ts'
export { type Share, type SharedReader } from './keyset/share.ts'
export { createKeyset, unlockKeyset } from './keyset/unlock.ts'
export { type Encryption, type KeysetWriter, openWriter, type WriterOptions } from './keyset/writer.ts'
export { type Wait } from './primitives/backend.ts'
export { selfTest, type SelfTestCheck, type SelfTestResult } from './primitives/self-test.ts'
export { type Vault } from './vault/block.ts'
export { deriveLogin, type Login } from './vault/login.ts'
export { createProfile, openProfile, type Recovery, type UnlockedProfile } from './vault/profile.ts'
export { resetProfile } from './vault/reset.ts'
export { type VaultStore } from './vault/store.ts'
