// A pack (SPEC §6.6): many small files in the content of one block, each under a key of its own.
import * as P from 'micro-packed'
import { type Bytes, concat } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { decode, encode } from './codec.ts'

export const MAX_MEMBERS = 1024
export const MAX_MEMBER_BYTES: number = 8 * 1024 * 1024
/** Of a stored one: with a MAC and as much padding as there can be. */
const MAX_STORED_BYTES = MAX_MEMBER_BYTES + 32 + 16

interface StoredPack {
  readonly lengths: readonly number[]
  /** The members, one behind the other. */
  readonly members: Uint8Array
}

const storedPack: P.CoderType<StoredPack> = P.struct({
  lengths: P.array(P.U32BE, P.U32BE),
  members: P.bytes(null),
}) as unknown as P.CoderType<StoredPack>

export function encodePack(members: readonly Uint8Array[]): Bytes {
  const lengths = members.map(({ length }) => length)
  return encode(storedPack, { lengths, members: concat(...members) })
}

/**
 * One member of a pack, as a view; undefined if there is none of this index.
 * @throws KeystrataError `malformed` if it is no pack; `limit-exceeded` over 1,024 members, and for one over 8 MiB
 */
export function packMember(pack: Uint8Array, index: number): Uint8Array | undefined {
  const count = pack.length < 4 ? 0 : new DataView(pack.buffer, pack.byteOffset).getUint32(0)
  if (count > MAX_MEMBERS)
    throw new KeystrataError('limit-exceeded', 'not a pack, or one with too many members', { count })
  const { lengths, members } = decode(storedPack, pack, 'pack')
  if (lengths.reduce((sum, length) => sum + length, 0) !== members.length) {
    throw new KeystrataError('malformed', 'not a well-formed pack', { bytes: pack.length })
  }
  const length = lengths[index]
  if (length === undefined) return undefined
  if (length > MAX_STORED_BYTES) {
    throw new KeystrataError('limit-exceeded', 'a member of a pack over 8 MiB', { bytes: length })
  }
  const start = lengths.slice(0, index).reduce((sum, each) => sum + each, 0)
  return members.subarray(start, start + length)
}
