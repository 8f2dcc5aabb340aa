// The second reader, continued: records (SPEC §6.7). Like spec-reader.ts, it was written from SPEC.md alone, and the
// notes there apply.
import { type Adopted, adoptedOwner, agree, authentic, cat, check, D, EMPTY, equal, Fields } from './spec-reader.ts'
import { hash, LP, MIB, type OpenedKeyset, openLock, pairId, readHeader, recomputePair, same } from './spec-reader.ts'
import { isSigned, readVersion } from './spec-reader-vault.ts'

interface Place {
  ownerId: Buffer
  epoch: number
  sequence: number
  previous: Buffer
}

/** §6.7 The place of a record that follows these bytes. The bytes are not verified; too few cannot be a record. */
function placeAfter(record: Uint8Array): Place {
  const fields = new Fields(record)
  const header = fields.take(48)
  const [ownerId, epoch] = [header.subarray(32), header.readUInt32BE(8)]
  return { ownerId, epoch, sequence: readVersion(fields) + 1, previous: hash('sha256', record) }
}

/** The owner of the chain: a keyset, or a share (§12.2), which has adopted nothing */
type Chain = Pick<OpenedKeyset, 'id' | 'pairs'> & { sourceSigning: { publicKey: Buffer }; adopted?: Adopted[] }

/**
 * §6.7 Opens a record, and reports errors in the order given there. Nothing below the minimum is accepted. 'start'
 * stands for the start of any epoch.
 */
export function openRecord(
  bytes: Uint8Array,
  after: Uint8Array | 'start' | undefined,
  chain: Chain,
): { sequence: number; epoch: number; closes: boolean; content: Buffer } {
  check(bytes.length <= 64 * MIB + 4096, 'limit-exceeded')
  const fields = new Fields(bytes)
  const header = readHeader(fields, 5, [0x0101, 0x0102])
  const [hybrid, epoch] = [header.suite === 0x0102, header.generation]
  check(bytes.length >= (hybrid ? 1832 : 264), 'malformed')
  const [sequence, previous] = [readVersion(fields), fields.take(32)]
  const [epk, ctM, n, c] = [fields.take(32), fields.take(hybrid ? 1568 : 0), fields.take(32), fields.take(32)]
  const params = fields.bytes.subarray(48, fields.at)
  const sealed = fields.rest().subarray(0, -64)
  const [signed, signature] = [fields.bytes.subarray(0, -64), fields.bytes.subarray(-64)]

  const pair = chain.pairs.find((one) => equal(pairId(one), header.keyId)) // §6.4, steps 2 and 3
  check(pair !== undefined, 'key-not-found')
  recomputePair(pair)
  const source = adoptedOwner(header.ownerId, chain)
  check((hybrid ? 2 : 1) >= pair.minimum, 'policy')
  // A definition has no source signing key of an adopted source. The document names no error for it.
  const signing = source ? source.sourceSigning : chain.sourceSigning.publicKey
  check(signing !== undefined, 'policy')
  check(isSigned(signing, cat(D('sign/record'), signed), signature), 'authentication-failed')
  if (after !== undefined) {
    const start = { ownerId: header.ownerId, epoch, sequence: 1, previous: Buffer.alloc(32) }
    const place: Place = after === 'start' ? start : authentic(() => placeAfter(after))
    same(header.ownerId, place.ownerId)
    check(epoch === place.epoch && sequence === place.sequence, 'authentication-failed')
    same(previous, place.previous)
  }
  const F = authentic(() => agree(header, pair, epk, ctM, EMPTY))
  const aad = cat(D('aad'), header.bytes, LP(params), LP(EMPTY))
  const content = openLock(F('kem/combined'), n, 'record', [], c, sealed, aad)
  return { sequence, epoch, closes: header.flags === 1, content }
}
