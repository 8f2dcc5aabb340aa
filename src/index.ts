// keystrata: keysets, their blocks, packs, records and shares, and what all key models share. This file exports and
// does nothing else.
export {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  encodeBlock,
  parseBlock,
  type PreparedBlock,
  type Rekeyer,
  type SealedBlock,
  type SealOptions,
  type StoredBlock,
} from './core/block.ts'
export type { Bytes } from './core/bytes.ts'
export { calibrateArgon2 } from './core/calibrate.ts'
export { type Card, parseCard } from './core/card.ts'
export { type ErrorCode, KeystrataError } from './core/errors.ts'
export { openPackMember, type Pack } from './core/pack.ts'
export type { Argon2, Argon2Costs, HashOptions } from './core/password.ts'
export type { Handle } from './core/secret.ts'
export type { RetiredCheck } from './keyset/changes.ts'
export { checkWriter } from './keyset/check-writer.ts'
export type { Keyset } from './keyset/keyset.ts'
export type { PasswordOptions } from './keyset/master.ts'
export { checkRetired } from './keyset/retired.ts'
export type { Share, SharedReader } from './keyset/share.ts'
export { changeKeyset, loadKeyset, saveKeyset } from './keyset/stored-keyset.ts'
export { createKeyset, type OpenOptions, openSavedKeyset, unlockKeyset } from './keyset/unlock.ts'
export { type Encryption, type KeysetWriter, openWriter, type WriterOptions } from './keyset/writer.ts'
export type { Wait } from './primitives/backend.ts'
export { selfTest } from './primitives/self-test.ts'
export { cut } from './state/cut.ts'
export type { Keys } from './state/keys.ts'
export { type Log, type LogReader, type LogWriter, openLog } from './state/log.ts'
export { openFrom, verifyBlocks } from './state/open-stream.ts'
export type { Ahead, Each } from './state/pace.ts'
export type { RecordPlace, RecordReader, RecordWriter, SealedRecord } from './state/record.ts'
export { labelOf } from './state/ref.ts'
export { rekeyBlocks } from './state/rekey-stream.ts'
export { packInto, type SealedContent, sealInto } from './state/seal-stream.ts'
export { shareFrom } from './state/share-stream.ts'
