// Collects the vectors of records.
import { hex, sample } from '../fixtures.ts'
import type { RecordVector } from './vectors.ts'

type AddRecord = (
  id: string,
  comment: string,
  bytes: Uint8Array,
  after: Uint8Array | 'start' | null,
  more?: Partial<RecordVector>,
) => void

/**
 * Returns an empty list of vectors, and a function that adds one to it: by default, the first record of a log, which opens.
 * @param keyset the id of the vector of the keyset that opens the records by default
 * @param prefix what the ids begin with
 */
export function recordVectors(keyset: string, prefix = ''): { records: RecordVector[]; record: AddRecord } {
  const records: RecordVector[] = []
  const record: AddRecord = (id, comment, bytes, after, more = {}) => {
    const link = after === null || after === 'start' ? after : hex(after)
    const place = { sequence: 1, epoch: 0, closes: false, content: hex(sample(100)) }
    const common = { id: prefix + id, section: '6.7', comment, keyset, record: hex(bytes), after: link }
    records.push({ ...common, ...place, expect: 'ok', ...more })
  }
  return { records, record }
}
