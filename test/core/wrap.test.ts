import { describe, expect, it } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import {
  aadStart,
  associatedData,
  deriveLock,
  lockedData,
  lockKind,
  lockOf,
  unwrapSecret,
  wrapSecret,
} from '../../src/core/wrap.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure, flipped, hex, sample, withRandomness } from '../fixtures.ts'

const key = new SecretKey('master', sample(32))
const place = { type: 7, ownerId: sample(16), context: Uint8Array.of(1) }
const secret = sample(50, 3)
const wrap = wrapSecret(key, secret, place)
const unwrap = (bytes: Uint8Array, at = place, under = key) => unwrapSecret(under, bytes, 'sealed section', at)

describe('LOCK', () => {
  it('takes the IV and the salt from the nonce, and uses a zero IV without a nonce', () => {
    const nonce = sample(32, 9)
    expect(deriveLock(key, nonce, 'wrap', [], 32).iv).toEqual(nonce.subarray(0, 12))
    expect(deriveLock(key, new Uint8Array(0), 'wrap', [], 32).iv).toEqual(new Uint8Array(12))
  })

  it('is the same for a kind that was made before, and is wiped when it is disposed of', () => {
    const kind = lockKind('wrap', [sample(3)], 24)
    const lock = lockOf(key, sample(32, 9), kind)
    const other = deriveLock(key, sample(32, 9), 'wrap', [sample(3)], 24)
    expect(hex(lock.commitment)).toBe(hex(other.commitment))
    expect(withBytes(lock.key, hex)).toBe(withBytes(other.key, hex))
    const lent = withBytes(lock.key, (bytes) => bytes)
    expect(lent).toHaveLength(24)
    lock.dispose()
    expect([lent, lock.commitment]).toEqual([new Uint8Array(24), new Uint8Array(32)])
  })

  it('commits to key, nonce, label and context', () => {
    const other = new SecretKey('master', sample(32, 2))
    const locks = [
      deriveLock(key, sample(32), 'a', [], 32),
      deriveLock(other, sample(32), 'a', [], 32),
      deriveLock(key, sample(32, 2), 'a', [], 32),
      deriveLock(key, sample(32), 'b', [], 32),
      deriveLock(key, sample(32), 'a', [Uint8Array.of(1)], 32),
    ]
    expect(new Set(locks.map((lock) => hex(lock.commitment))).size).toBe(locks.length)
    expect(new Set(locks.map((lock) => withBytes(lock.key, hex))).size).toBe(locks.length)
  })
})

describe('the associated data of a lock', () => {
  it('is the AAD of SPEC §1.4 with nonce and commitment as parameters', () => {
    const [header, nonce, commitment, context] = [sample(48), sample(32, 2), sample(32, 3), sample(32, 4)]
    const data = lockedData(aadStart(header), nonce, commitment, context)
    expect(hex(data)).toBe(hex(associatedData(header, concat(nonce, commitment), context)))
  })
})

describe('WRAP', () => {
  it('has the bytes of SPEC §4.2, and opens', () => {
    expect(wrap.length).toBe(48 + 32 + 32 + secret.length + 16)
    expect(unwrap(wrap)).toEqual(secret)
  })

  it('is different every time', () => {
    expect(hex(wrapSecret(key, secret, place))).not.toBe(hex(wrap))
    const known = () => hex(withRandomness([sample(32)], () => wrapSecret(key, secret, place)))
    expect(known()).toBe(known())
  })

  it('refuses every flipped bit', async () => {
    for (let index = 0; index < wrap.length; index++) {
      await failure(() => unwrap(flipped(wrap, index, index % 8)), 'authentication-failed', 'malformed', 'unsupported')
    }
  })

  it('opens only under its key, with its type, owner and context', async () => {
    await failure(() => unwrap(wrap, place, new SecretKey('master', sample(32, 2))), 'authentication-failed')
    await failure(() => unwrap(wrap, { ...place, context: Uint8Array.of(2) }), 'authentication-failed')
    await failure(() => unwrap(wrap, { ...place, ownerId: sample(16, 2) }), 'authentication-failed')
    await failure(() => unwrap(wrap, { ...place, type: 8 }), 'unsupported')
  })

  it('refuses to open if it is cut off at any point', async () => {
    for (const length of [0, 47, 48, 80, 111, 112, 127, wrap.length - 1]) {
      await failure(() => unwrap(wrap.subarray(0, length)), 'malformed', 'authentication-failed')
    }
  })
})
