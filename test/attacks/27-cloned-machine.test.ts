// Row 27: a machine was cloned, or resumed from a snapshot, and draws the same random bytes again. A reader of storage
// compares what both copies have sealed.
import { createCipheriv } from 'node:crypto'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deriveClient } from '../../src/client.ts'
import { concat, xor } from '../../src/core/bytes.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { sealSecret, wrapSecret } from '../../src/core/wrap.ts'
import { createDeviceKey } from '../../src/device.ts'
import { type BlockWriter, openWriter, type RecordWriter } from '../../src/index.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import type { Backend } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { ALICE, atStart, backends, cheap, hex, makeKeyset, PASSWORD, quickly, sample } from '../fixtures.ts'
import { plantedContents } from '../keyset/planted.ts'

const getRandomValues = crypto.getRandomValues.bind(crypto)

/** Makes the platform repeat its random bytes: each call of `restart` returns to the same state. */
function repeatRandomness(): { restart(): void; end(): void } {
  let drawn = 0
  crypto.getRandomValues = <A extends ArrayBufferView | null>(array: A): A => {
    const bytes = array as Uint8Array
    bytes.set(sample(bytes.length, 1000 + drawn++))
    return array
  }
  return { restart: () => (drawn = 0), end: () => (crypto.getRandomValues = getRandomValues) }
}

/** Remembers which messages every key encrypts or authenticates, and finds a key that serves two. */
function watched(backend: Backend): { backend: Backend; reused: () => readonly string[]; uses: () => number } {
  const messages: Map<string, string> = new Map()
  const reused: string[] = []
  const use = (how: string, key: Uint8Array, iv: Uint8Array, ...message: readonly Uint8Array[]) => {
    const name = `${how} ${hex(key)} ${hex(iv)}`
    const said = hex(concat(...message))
    if ((messages.get(name) ?? said) !== said) reused.push(name)
    messages.set(name, said)
  }
  const { gcmSeal, gcmSealContent, ctr, cbcEncrypt, chachaPolyTag } = backend
  const observing: Backend = {
    ...backend,
    gcmSeal(key, iv, aad, text) {
      use('gcm', key, iv, aad, text)
      return gcmSeal(key, iv, aad, text)
    },
    gcmSealContent(key, iv, aad, buffer) {
      use('gcm', key, iv, aad, buffer.subarray(0, -16))
      return gcmSealContent(key, iv, aad, buffer)
    },
    ctr(key, counter, buffer) {
      use('ctr', key, counter, buffer)
      return ctr(key, counter, buffer)
    },
    cbcEncrypt(key, iv, text) {
      use('cbc', key, iv, text)
      return cbcEncrypt(key, iv, text)
    },
    chachaPolyTag(key, parts) {
      use('poly1305', key, new Uint8Array(0), ...parts)
      return chachaPolyTag(key, parts)
    },
  }
  return { backend: observing, reused: () => reused, uses: () => messages.size }
}

/** Whether two objects have a place where their XOR is that of the contents. The first 16 bytes are enough to tell. */
function isTwoTimePad(one: Uint8Array, two: Uint8Array, [first, second]: readonly [Uint8Array, Uint8Array]): boolean {
  const length = Math.min(one.length, two.length)
  const difference = Buffer.from(xor(one.subarray(0, length), two.subarray(0, length)))
  return difference.includes(Buffer.from(xor(first, second).subarray(0, 16)))
}

const contents = [sample(100, 1), sample(100, 2)] as const
const [privateKey, accountKey] = ['private', 'account'].map((text) => ({ type: 'AES-256', text }) as const)
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const place = { table: 'sources', row: 'nas', column: 'password', version: 1 }

const made = await quickly(async () => {
  const keyset = await makeKeyset()
  const { keyset: sharing, share } = keyset.createShare()
  const login = await deriveLogin(PASSWORD, ALICE)
  const { vault } = await createProfile(login, { zeroTrust: true }).createVault(memoryStateStore())
  const client = await deriveClient({ ...names, privateKey: privateKey!, accountKey: accountKey! })
  const des = { type: 'DES-56', text: 'old' } as const
  const legacy = await deriveLegacyClient({ ...names, privateKey: des, dangerouslyAllowDes: true })
  return { keyset, sharing, share, vault, client, legacy, device: createDeviceKey() }
})

afterAll(() => {
  for (const handle of Object.values(made)) handle.dispose()
})

const blockBy =
  (writer: () => BlockWriter) =>
  async (content: Uint8Array): Promise<Uint8Array> => {
    const { envelope, ciphertext } = await writer().seal(content)
    return concat(envelope, ciphertext)
  }
const recordBy =
  (writer: () => RecordWriter) =>
  async (content: Uint8Array): Promise<Uint8Array> =>
    (await writer().sealRecord(content, atStart)).record
const hostWriter = (dedup: 'scoped' | 'global' | 'off') => () => openWriter(made.keyset.export('host'), { dedup })
const wrapping = new SecretKey('device', sample(32, 3))
const recipient = new Recipient(plantedContents().blockPair.publicHalves)
const secretPlace = { type: 7, ownerId: sample(16), context: sample(20) }

/** Everything that seals something under a key that lives longer than one object. */
const SEALERS: Readonly<Record<string, (content: Uint8Array) => Uint8Array | Promise<Uint8Array>>> = {
  'a block of a keyset, scoped': blockBy(hostWriter('scoped')),
  'a block of a keyset, global': blockBy(hostWriter('global')),
  'a block of a keyset, off': blockBy(hostWriter('off')),
  'a block of a vault': blockBy(() => made.vault),
  'a private block of a client': blockBy(() => made.client.scope('private')),
  'an account block of a client': blockBy(() => made.client.scope('account')),
  'a private block under DES-56': blockBy(() => made.legacy.scope('private')),
  'a record of a keyset': recordBy(() => made.keyset),
  'a record of a share': recordBy(() => made.share),
  'a record of a vault': recordBy(() => made.vault),
  'a record of a client': recordBy(() => made.client.scope('private')),
  'a text value': (content) => made.device.sealText(String.fromCharCode(...content.map((byte) => byte & 0x7f)), place),
  'a WRAP': (content) => wrapSecret(wrapping, content, secretPlace),
  'a SEAL': (content) => sealSecret(recipient, content, secretPlace),
}

describe('the comparison', () => {
  it('finds two contents that were encrypted with one keystream', () => {
    const [one, two] = contents.map((content) => {
      const cipher = createCipheriv('aes-256-ctr', sample(32), sample(16))
      return concat(sample(7), cipher.update(content))
    }) as [Uint8Array, Uint8Array]
    expect(isTwoTimePad(one, two, contents)).toBe(true)
  })
})

describe.each(backends.map((backend) => [backend.name, backend] as const))('two clones, on %s', (_, backend) => {
  let observed: ReturnType<typeof watched>
  let clone: ReturnType<typeof repeatRandomness>
  beforeEach(() => {
    observed = watched(cheap(backend))
    useBackend(observed.backend)
    clone = repeatRandomness()
  })
  afterEach(() => {
    clone.end()
    useBackend(undefined)
  })

  it.each(Object.entries(SEALERS))('%s: no key and no nonce serves two contents', async (name, seal) => {
    const sealed: Uint8Array[] = []
    for (const content of contents) {
      clone.restart()
      sealed.push(await seal(content))
    }
    const [one, two] = sealed as [Uint8Array, Uint8Array]
    expect(isTwoTimePad(one, two, contents)).toBe(false)
    if (name.includes('DES-56')) {
      // DES is not one of the primitives that are watched here. Its IV follows the header, 48 bytes.
      expect(hex(one.subarray(48, 56))).not.toBe(hex(two.subarray(48, 56)))
    } else expect(observed.uses()).toBeGreaterThan(0)
    expect(observed.reused()).toEqual([])
  })

  it('no key and no nonce serves two objects, whatever the two seal', async () => {
    for (const seal of Object.values(SEALERS)) {
      for (const content of [...contents, sample(99, 1), sample(33, 1)]) {
        clone.restart()
        await seal(content)
      }
    }
    expect(observed.reused()).toEqual([])
  })

  it('saved handles, escrows, invites and new vaults do not share a key and a nonce either', async () => {
    const { keyset, sharing, share, client, device, vault } = made
    const other = await quickly(() => deriveClient({ ...names, name: 'laptop', privateKey: privateKey! }))
    useBackend(observed.backend)
    const actions = [
      ...[keyset, sharing, client, other].map((each) => () => each.save(device)),
      ...[client, other].map((each) => () => each.safeguard()),
      ...[keyset, sharing].map((each) => () => each.regenerate().export('storage')),
      () => share.invite(keyset.card()),
      () => share.invite(sharing.card()),
      () => vault.seal(contents[0]),
      () => device.export('a passphrase'),
      () => device.export('another passphrase'),
    ]
    for (const action of actions) {
      clone.restart()
      await action()
    }
    expect(observed.reused()).toEqual([])
  })
})

describe('two runs of one machine that resumes from a snapshot', () => {
  it('never have one share, and never get a retired key pair back', async () => {
    const clone = repeatRandomness()
    try {
      const { keyset: first, share } = made.keyset.createShare()
      clone.restart()
      const { keyset: second, share: other } = first.createShare()
      expect(second.shares).toEqual([share.id, other.id])
      expect(new Set(second.shares).size).toBe(2)
      expect(second.revokeShare(other.id).shares).toEqual([share.id])
      clone.restart()
      const revoked = first.revokeShare(share.id).createShare().share
      expect(revoked.id).not.toBe(share.id)

      clone.restart()
      const regenerated = made.keyset.regenerate()
      const block = await regenerated.seal(contents[0])
      clone.restart()
      const again = regenerated.regenerate()
      expect(again.isCurrent(block.envelope)).toBe(false)
      expect(again.isCurrent(again.rekey(block))).toBe(true)
    } finally {
      clone.end()
    }
  })
})

describe('where the random bytes are good', () => {
  // The whole block of an account follows from its content, so that equal contents are stored once.
  const random = Object.entries(SEALERS).filter(([name]) => name !== 'an account block of a client')
  it.each(random)('%s: two seals of one content differ', async (_, seal) => {
    expect(hex(await seal(contents[0]))).not.toBe(hex(await seal(contents[0])))
  })
})
