// Adds the vectors of refs (SPEC §6.5) below to ref.json, unless they are there already. generate.ts imports this file.
import { sha256 } from '../../src/primitives/hash.ts'
import { encodeRef } from '../../src/state/ref.ts'
import { hex, sample } from '../fixtures.ts'
import { append } from './append.ts'
import type { RefVector } from './vectors.ts'

const label = hex(sample(32, 1))
const ciphertext = sample(60, 3)
const hash = sha256(ciphertext)
const key = Buffer.from(sample(32, 4)).toString('base64url')
const member = `k.12.${key}`
const text = (of: { hash?: Uint8Array; member?: string }) => encodeRef({ label, hash: of.hash, member: of.member })

const vectors: RefVector[] = []
const ok = (id: string, comment: string, of: { hash?: Uint8Array; member?: string }) =>
  vectors.push({
    ...{ id, section: '6.5', comment, ref: text(of), label },
    ...(of.hash && { ciphertext: hex(ciphertext) }),
    ...(of.member !== undefined && { member: of.member }),
    expect: 'ok',
  })
const refused = (id: string, comment: string, ref: string) =>
  vectors.push({ id, section: '6.5', comment, ref, expect: 'malformed' })

ok('block', 'a block', {})
ok('member', 'a file in a pack', { member })
ok('member-hashed', 'a file in a pack of the form g', { member: `g.0.${key}` })
ok('member-last', 'the last file that a pack can have', { member: `k.1023.${key}` })
ok('share', 'a block of a share', { hash })
ok('share-member', 'a file in a pack of a share', { hash, member })

const [named, whole] = [Buffer.from(hash).toString('base64url'), text({ hash, member })]
refused('empty', 'no text', '')
refused('label-short', 'a label of 63 digits', label.slice(1))
refused('label-upper', 'a label in capitals', label.toUpperCase())
refused('two-hashes', 'two hashes', `${label}.${named}.${named}`)
refused('hash-short', 'a hash of 42 characters', `${label}.${named.slice(1)}`)
refused('hash-bits', 'a hash whose last character has bits that no byte has', `${label}.${named.slice(0, -1)}_`)
refused('hash-padding', 'a hash with padding', `${label}.${named}=`)
refused('member-zero', 'an index with a leading zero', text({ member: `k.01.${key}` }))
refused('member-long', 'an index of five digits', text({ member: `k.10230.${key}` }))
refused('member-form', 'a member of an unknown form', text({ member: `h.1.${key}` }))
refused('member-cut', 'a member without its key', `${label}.k.12`)
refused('members', 'two members', text({ member: `${member}.${member}` }))
refused('order', 'the member before the hash', `${label}.${member}.${named}`)
refused('end', 'a period at the end', `${whole}.`)
refused('line', 'a line end', `${whole}\n`)
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const unused = key.slice(0, -1) + letters[letters.indexOf(key.at(-1)!) | 3]!
ok('member-bits', 'a member key whose last character has bits that no byte has: opening the member refuses it', {
  member: `k.12.${unused}`,
})
append('ref.json', vectors)
