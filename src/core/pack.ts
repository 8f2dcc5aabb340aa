// Packs (SPEC §10.6): many small files in the content of one block, each under its own key. The key of one member opens
// only that member. In the keyed form, it also does not help anybody to test guesses about other members, or to alter
// them unnoticed. The block around a pack must be verified before the pack is read.
import { type Codec, decode, encode, list, rest, struct, uint32 } from './codec.ts'
import {
  type Bytes,
  bytesFrom,
  concat,
  copyOf,
  domain,
  EMPTY,
  equalBytes,
  fromBase64Url,
  toBase64Url,
  wipe,
} from './bytes.ts'
import { cipherKind, type CipherKeys, deriveCipherKeys } from './encrypt-then-mac.ts'
import { MAX_CONTENT_BYTES } from './envelope.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { SecretKey, wiping, withBytes } from './secret.ts'
import { forgetLastMatch } from './text.ts'
import { cbcDecrypt, cbcEncrypt } from '../primitives/cipher.ts'
import { digestContent, hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'

export const MAX_MEMBERS = 1024

export const MAX_MEMBER_BYTES: number = 8 * 1024 * 1024

/** The longest stored member, with a MAC and the longest padding. */
const MAX_STORED_BYTES = MAX_MEMBER_BYTES + 32 + 16

interface StoredPack {
  readonly lengths: readonly number[]
  /** The members, one after the other. */
  readonly members: Uint8Array
}

const storedPack: Codec<StoredPack> = struct({
  lengths: list(uint32, MAX_MEMBERS, uint32),
  members: rest,
})

export function encodePack(members: readonly Uint8Array[]): Bytes {
  const lengths = members.map(({ length }) => length)
  return encode(storedPack, { lengths, members: concat(...members) })
}

/**
 * Returns one member of a pack, as a view.
 * @returns undefined if the pack has no member at this index
 * @throws KeystrataError `malformed` if it is not a pack
 * @throws KeystrataError `limit-exceeded` beyond 1,024 members, or if the member is over 8 MiB
 */
export function packMember(pack: Uint8Array, index: number): Uint8Array | undefined {
  const count = pack.length < 4 ? 0 : new DataView(pack.buffer, pack.byteOffset).getUint32(0)
  if (count > MAX_MEMBERS)
    throw new KeystrataError('limit-exceeded', 'this is not a pack, or it has more than 1,024 members', {
      object: 'pack',
      members: count,
    })
  const { lengths, members } = decode(storedPack, pack, 'pack')
  if (lengths.reduce((sum, length) => sum + length, 0) !== members.length) {
    throw new KeystrataError('malformed', 'these bytes are not a valid pack', { object: 'pack', bytes: pack.length })
  }
  const length = lengths[index]
  if (length === undefined) return undefined
  if (length > MAX_STORED_BYTES) {
    throw new KeystrataError('limit-exceeded', 'a member of this pack is too large: a member has at most 8 MiB', {
      object: 'member of a pack',
      bytes: length,
    })
  }
  const start = lengths.slice(0, index).reduce((sum, each) => sum + each, 0)
  return members.subarray(start, start + length)
}

const MAC_BYTES = 32

/**
 * How the key of a member is derived from its content. `g`: its hash, which anybody can compute. `k`: an HMAC under the
 * dedup key.
 */
type Form = 'g' | 'k'

/**
 * Several small files in one content.
 * @example
 * ```ts
 * import { openPackMember, type Pack } from 'keystrata'
 *
 * const firstOf = ({ content, members: [first = ''] }: Pack) => openPackMember(content, first)
 * ```
 */
export interface Pack {
  /** What to seal. */
  content: Bytes
  /** A string for each file, which opens it with {@link openPackMember}. It is as secret as the file. */
  members: string[]
}

/** Derives the key that keys the packs of a vault or a scope (SPEC §10.6). */
export const derivePackKey = (key: SecretKey<'data' | 'client'>, ownerId: Uint8Array): SecretKey<'dedup'> =>
  deriveKey('dedup', key, 'pack-dedup', [ownerId], 32)

/**
 * Packs files into one content. All of them are copied before the promise is returned.
 * @param dedupKey undefined to use the hashes of the files as keys
 * @throws KeystrataError `limit-exceeded`
 */
export async function packFiles(files: readonly Uint8Array[], dedupKey: SecretKey<'dedup'> | undefined): Promise<Pack> {
  const copies = copiesOf(files)
  using _copies = wiping(...copies)
  const form: Form = dedupKey === undefined ? 'g' : 'k'
  // Use a copy, because the caller's handle may be disposed of while this runs.
  using ownKey = dedupKey?.copy()
  const encrypted: Bytes[] = []
  const members: string[] = []
  for (const [index, file] of copies.entries()) {
    using _file = wiping(file)
    using key = await memberKeyOf(file, ownKey)
    encrypted.push(await encryptMember(form, key, file))
    members.push(`${form}.${index}.${withBytes(key, toBase64Url)}`)
  }
  return { content: encodePack(encrypted), members }
}

/**
 * Copies files that can be packed.
 * @throws TypeError if they are not an array of Uint8Arrays
 * @throws KeystrataError `limit-exceeded`
 */
export function copiesOf(files: readonly Uint8Array[]): Bytes[] {
  if (!Array.isArray(files)) throw new TypeError('files must be an array')
  const given = (files as readonly unknown[]).map((file) => bytesFrom(file, 'file'))
  assertWithinLimits(given)
  return given.map((file) => copyOf(file))
}

function assertWithinLimits(files: readonly Uint8Array[]): void {
  if (files.length > MAX_MEMBERS) {
    throw new KeystrataError('limit-exceeded', 'too many files: a pack has at most 1,024 members', {
      object: 'pack',
      members: files.length,
    })
  }
  let bytes = 4
  for (const { length } of files) {
    if (length > MAX_MEMBER_BYTES) {
      throw new KeystrataError('limit-exceeded', 'a file is too large for a pack: a member has at most 8 MiB', {
        object: 'member of a pack',
        bytes: length,
      })
    }
    // The length field, the MAC, and the content with its padding.
    bytes += 4 + MAC_BYTES + (length - (length % 16) + 16)
  }
  if (bytes > MAX_CONTENT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'these files are too large: a pack holds at most 64 MiB', {
      object: 'pack',
      bytes,
    })
  }
}

async function memberKeyOf(file: Uint8Array, dedupKey: SecretKey<'dedup'> | undefined): Promise<SecretKey<'member'>> {
  const [digest] = (await digestContent(file, [{ hash: 'sha256' }])) as [Bytes]
  if (dedupKey === undefined) return SecretKey.take('member', digest)
  using _ = wiping(digest)
  return SecretKey.take('member', hmacSha256(dedupKey, domain('file-key'), digest))
}

async function encryptMember(form: Form, key: SecretKey<'member'>, file: Uint8Array): Promise<Bytes> {
  if (form === 'g') return cbcEncrypt(key, file)
  using keys = keysOf(key)
  const text = await cbcEncrypt(keys.cipher, file)
  return concat(hmacSha256(keys.mac, text), text)
}

/** Derives `kE ‖ kM` of the keyed form. */
const keysOf = (key: SecretKey<'member'>): CipherKeys => deriveCipherKeys(key, EMPTY, cipherKind('member', [], 0))

/**
 * Opens one file of a pack.
 * @param pack the content of the block, as `open` returned it; never pass bytes that were not verified
 * @param member the string that `pack` returned for the file
 * @throws KeystrataError `authentication-failed` if the pack and the string do not match
 * @throws KeystrataError `malformed` if `member` is not such a string or the content is not a pack
 * @throws KeystrataError `limit-exceeded` beyond 1,024 members, or if the file is over 8 MiB
 * @example
 * ```ts
 * import { createKeyset, openPackMember } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * const { content, members } = await keyset.pack([new Uint8Array(10), new Uint8Array(20)])
 * const opened = await keyset.open(await keyset.seal(content))
 * console.log((await openPackMember(opened, members[1]!)).length) // 20
 * ```
 */
export async function openPackMember(pack: Uint8Array, member: string): Promise<Bytes> {
  const { form, index, key } = parseMember(member)
  using _ = key
  const stored = packMember(bytesFrom(pack, 'pack'), index)
  if (stored === undefined) throw authenticationFailed()
  switch (form) {
    case 'g':
      return await openHashed(key, stored)
    case 'k':
      return await openKeyed(key, stored)
  }
}

function parseMember(member: string): { form: Form; index: number; key: SecretKey<'member'> } {
  if (typeof member !== 'string') throw new TypeError('member must be a string')
  const found = /^([gk])\.(0|[1-9]\d{0,3})\.([\w-]{43})$/.exec(member)
  const key = fromBase64Url(found?.[3] ?? '!')
  forgetLastMatch()
  if (found === null || key === undefined)
    throw new KeystrataError(
      'malformed',
      'this string does not open a member of a pack; pass one that pack() returned',
      {
        object: 'member of a pack',
        characters: member.length,
      },
    )
  return { form: found[1] as Form, index: Number(found[2]), key: SecretKey.take('member', key) }
}

/** Opens a member of the form `g`. Like {@link openKeyed}, it reads `bytes` before it returns the promise. */
async function openHashed(key: SecretKey<'member'>, bytes: Uint8Array): Promise<Bytes> {
  const file = await cbcDecrypt(key, bytes)
  if (file === undefined) throw authenticationFailed()
  const [digest] = (await digestContent(file, [{ hash: 'sha256' }])) as [Bytes]
  const holds = withBytes(key, (expected) => equalBytes(digest, expected))
  wipe(digest)
  if (holds) return file
  wipe(file)
  throw authenticationFailed()
}

async function openKeyed(key: SecretKey<'member'>, bytes: Uint8Array): Promise<Bytes> {
  using keys = keysOf(key)
  const [mac, text] = [bytes.subarray(0, MAC_BYTES), bytes.subarray(MAC_BYTES)]
  if (!equalBytes(hmacSha256(keys.mac, text), mac)) throw authenticationFailed()
  const file = await cbcDecrypt(keys.cipher, text)
  if (file === undefined) throw authenticationFailed()
  return file
}
