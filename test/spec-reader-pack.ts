// The second reader, continued: the members of packs (SPEC §10.6). Like spec-reader.ts, it was written from SPEC.md
// alone, and the notes there apply.
import * as crypto from 'node:crypto'
import { authentic, cat, check, D, EMPTY, Fields, hash, hmac, KDF, MIB, same } from './spec-reader.ts'
import { u32 } from './spec-reader-vault.ts'

const cbcOpen = (key: Buffer, sealed: Buffer): Buffer => {
  const decipher = crypto.createDecipheriv('aes-256-cbc', key, Buffer.alloc(16)) // PKCS #7 is the default
  return authentic(() => cat(decipher.update(sealed), decipher.final()))
}

/** §10.6 A member string. Only one base64url text of a key is valid: the one that encoding the key gives. */
function readMember(member: string): { form: string; index: number; key: Buffer } {
  const [, form, index, text] = /^([gk])\.(0|[1-9][0-9]{0,3})\.([A-Za-z0-9_-]{43})$/.exec(member) ?? []
  check(form !== undefined && index !== undefined && text !== undefined, 'malformed')
  const key = Buffer.from(text, 'base64url')
  check(key.toString('base64url') === text, 'malformed')
  return { form, index: Number(index), key }
}

const cbcSeal = (key: Buffer, file: Buffer): Buffer => {
  const cipher = crypto.createCipheriv('aes-256-cbc', key, Buffer.alloc(16))
  return cat(cipher.update(file), cipher.final())
}

/**
 * §10.6 Packs files as the owner of a vault or scope does, or as the scope `public` does if there is no owner. Nothing in
 * a pack is random.
 */
export function packWith(
  files: Buffer[],
  owner: { ownerId: Buffer; key: Buffer } | undefined,
): { pack: Buffer; members: string[] } {
  const dedupKey = owner && KDF(owner.key, EMPTY, 'pack-dedup', [owner.ownerId], 32)
  const packed = files.map((file, index) => {
    const digest = hash('sha256', file)
    const key = dedupKey ? hmac('sha256', dedupKey, D('file-key'), digest) : digest
    const string = `${dedupKey ? 'k' : 'g'}.${index}.${key.toString('base64url')}`
    if (!dedupKey) return { string, member: cbcSeal(key, file) }
    const keys = KDF(key, EMPTY, 'member', [], 64)
    const t = cbcSeal(keys.subarray(0, 32), file)
    return { string, member: cat(hmac('sha256', keys.subarray(32), t), t) }
  })
  const members = packed.map(({ member }) => member)
  const lengths = members.map(({ length }) => u32(length))
  return { pack: cat(u32(files.length), ...lengths, ...members), members: packed.map(({ string }) => string) }
}

/** §10.6 Parses the content of a block as a pack, and returns its members */
function readPack(pack: Uint8Array): Buffer[] {
  const fields = new Fields(pack)
  const count = fields.u32()
  check(count <= 1024, 'limit-exceeded')
  const lengths = new Fields(fields.take(4 * count))
  const stored = fields.rest()
  let total = 0
  for (let i = 0; i < count; i++) total += lengths.u32()
  check(total === stored.length, 'malformed')
  const [sizes, members] = [new Fields(lengths.bytes), new Fields(stored)]
  return Array.from({ length: count }, () => members.take(sizes.u32()))
}

/**
 * §10.6 Opens a member of a pack, and reports errors in the order given there. `pack` is the content of a block that
 * is already open.
 */
export function openPackMember(pack: Uint8Array, member: string): Buffer {
  const { form, index, key } = readMember(member)
  const members = readPack(pack)
  const sealed = members[index]
  check(sealed !== undefined, 'authentication-failed')
  check(sealed.length <= 8 * MIB + 48, 'limit-exceeded')
  if (form === 'g') {
    const file = cbcOpen(key, sealed)
    same(hash('sha256', file), key)
    return file
  }
  const keys = KDF(key, EMPTY, 'member', [], 64)
  const [mac, t] = [sealed.subarray(0, 32), sealed.subarray(32)]
  same(hmac('sha256', keys.subarray(32), t), mac) // before anything is decrypted
  return cbcOpen(keys.subarray(0, 32), t)
}
