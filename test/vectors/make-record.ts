// Makes the records of the vectors with the parts of the library, and collects their vectors.
import { concat, domain } from '../../src/core/bytes.ts'
import type { SigningPair } from '../../src/core/key-pairs.ts'
import type { SecretKey } from '../../src/core/secret.ts'
import { type KeysetContents, openKeyset, parseKeyset } from '../../src/keyset/exports.ts'
import { openMaster } from '../../src/keyset/master.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { sign } from '../../src/primitives/signature.ts'
import { type RecordKeys, recordKeysOf } from '../../src/state/record.ts'
import { logIdOf, NO_HASH, parseRecord, positionText, type RecordFields } from '../../src/state/record-layout.ts'
import { hex, sample, unhex } from '../fixtures.ts'
import { keysetVectors, type RecordVector } from './vectors.ts'

/** The log of the vectors. */
export const LOG = 'backups'
export const logId: Uint8Array = logIdOf(LOG)

/**
 * Opens the keyset of a frozen vector. A keyset of the same name that the generators make now may have other key pairs.
 */
export async function frozenContents(keyset: string): Promise<KeysetContents> {
  const vector = keysetVectors().find(({ id }) => id === keyset)
  if (vector === undefined) throw new Error(`there is no vector ${keyset}`)
  const parsed = parseKeyset(unhex(vector.export))
  return openKeyset(parsed, await openMaster(vector.password, parsed.argon2, {}))
}

/** What a handle can do with records. */
export const keysFor = (handle: object): RecordKeys => recordKeysOf(handle)()

const idFor = (number: number): Uint8Array => sample(16, 40 + number)

/** Seals content as a record: by default as the first one of a log. */
export function sealed(
  keys: RecordKeys,
  content: Uint8Array,
  fields: Partial<RecordFields> = {},
  log: Uint8Array = logId,
): Promise<Uint8Array> {
  const { sequence = 1, number = sequence, id = idFor(number) } = fields
  const place = { epoch: 0, previous: NO_HASH, isAfterDamage: false, ...fields, sequence, number, id }
  const seal = keys.write?.seal({ kind: 'content', ...place }, log, content, sha256(content))
  if (seal === undefined) throw new Error('these keys cannot write')
  return seal
}

/** Encodes a close or a seal-off: by default behind one record. */
export function marked(
  keys: RecordKeys,
  kind: 'close' | 'seal-off',
  content: Uint8Array,
  fields: Partial<RecordFields> = {},
  log: Uint8Array = logId,
): Uint8Array {
  const { sequence = 2, number = sequence - 1, id = idFor(number + 100) } = fields
  const place = { epoch: 0, previous: NO_HASH, isAfterDamage: false, ...fields, sequence, number, id }
  if (keys.marker === undefined) throw new Error('these keys cannot reseal')
  return keys.marker()({ kind, ...place }, log, content)
}

/** Who signs a record: the source alone, or for a close or a seal-off the card signing key too. */
export interface Signing {
  source: SigningPair | SecretKey<'signing'>
  card?: SigningPair | SecretKey<'signing'>
}

const seedOf = (key: SigningPair | SecretKey<'signing'>) => ('seed' in key ? key.seed : key)

/** Signs an altered record again, as somebody could who has the keys. */
export function resigned(record: Uint8Array, { source, card }: Signing, log: Uint8Array = logId): Uint8Array {
  const unsigned = record.subarray(0, card === undefined ? -64 : -128)
  const first = concat(unsigned, sign(seedOf(source), concat(domain('sign/record'), log, unsigned)))
  if (card === undefined) return first
  return concat(first, sign(seedOf(card), concat(domain('sign/record-owner'), log, first)))
}

/** What a vector says of a record that opens. */
function stated(record: Uint8Array): Pick<RecordVector, 'kind' | 'epoch' | 'sequence' | 'position'> {
  const { kind, epoch, sequence, number, id } = parseRecord(record, logId)
  return { kind, epoch, sequence, position: positionText({ number, id }) }
}
const NOTHING = { kind: 'content', epoch: 0, sequence: 0, position: '' } as const

type AddRecord<M> = (
  id: string,
  comment: string,
  bytes: Uint8Array,
  after: Uint8Array | 'start' | null,
  more?: Partial<RecordVector & M>,
) => void

/**
 * Returns an empty list of vectors, and a function that adds one to it: by default a record with 100 bytes that opens.
 * @param more what the vectors of this list have by default
 * @param prefix what the ids begin with
 */
export function recordVectors<M extends object>(
  more: M,
  prefix = '',
): { records: (RecordVector & M)[]; record: AddRecord<M> } {
  const records: (RecordVector & M)[] = []
  const record: AddRecord<M> = (id, comment, bytes, after, changes = {}) => {
    const { expect = 'ok' }: Partial<RecordVector> = changes
    const link = after === null || after === 'start' ? after : hex(after)
    const vector: RecordVector = {
      ...{ id: prefix + id, section: '7.3', comment },
      ...{ log: LOG, record: hex(bytes), after: link, ...(expect === 'ok' ? stated(bytes) : NOTHING) },
      ...{ content: expect === 'ok' ? hex(sample(100)) : '', expect },
    }
    records.push({ ...more, ...vector, ...changes })
  }
  return { records, record }
}
