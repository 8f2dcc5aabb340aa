import { Mode } from '../../src/keyset/mask.ts'
import { createHash, createHmac } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { ContentScheme } from '../../src/keyset/dedup.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure, hex, sample } from '../fixtures.ts'
import { KDF } from '../spec-reader.ts'

// Computed by test/reference.py for the content "keystrata", dedup key 22… and block salt 33….
const secrets = {
  dedupKey: new SecretKey('dedup', new Uint8Array(32).fill(0x22)),
  blockSalt: new SecretKey('block-salt', new Uint8Array(32).fill(0x33)),
}
const content = new Uint8Array(Buffer.from('keystrata'))

const answers = [
  {
    mode: Mode.scoped,
    label: '32729a84842a49015517c43aca1cd3f52937eff216e3ff07cfebdc0ec7ff399d',
    key: '3cd086d91fb8f7990334afaad1c8a525990949796312d0cad9ffcfa44b1ee047',
  },
  {
    mode: Mode.global,
    label: '4d4c00033c5337a8b2a646ddaed02c45148ca52399e6e485f5c7d078e6ec7979',
    key: '66dee00ba11e4e18d76e13ecdf7669d863a4160787cc6da21747d54669214f25',
  },
  { mode: Mode.off, label: 'd90df1e68a23ca235ab3f2f66ca7e2cf0989c9e9bcc134ddb25c87ec37b086f1', key: undefined },
  { mode: Mode.none, label: 'df1998c17d6de28ddaef3c3341ee2a747ef4a776ce04749d83765831f1da6299', key: undefined },
]

describe('the random key of mode 3', () => {
  it('is the hedged one of SPEC §10.2, and so is its nonce, computed here by another implementation', async () => {
    const drawn = vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
      ;(array as unknown as Uint8Array).fill(0x44)
      return array
    })
    const identity = await new ContentScheme(Mode.off, secrets).copyAndIdentify(content, new Uint8Array(9))
    drawn.mockRestore()
    if (identity.mode !== Mode.off) throw new Error('another mode')
    const [random, digest] = [Buffer.alloc(32, 0x44), createHash('sha256').update(content).digest()]
    const hmac = (key: Buffer, ...parts: readonly Buffer[]) =>
      createHmac('sha256', key).update(Buffer.concat(parts)).digest()
    const hedgeKey = (key: Buffer, label: string) => KDF(key, Buffer.alloc(0), label, [], 32)
    const label = Buffer.from(identity.label)
    const blockKey = hmac(hedgeKey(Buffer.alloc(32, 0x22), 'hedge-block'), random, digest, label)
    expect(withBytes(identity.blockKey, hex)).toBe(hex(blockKey))
    const [empty, whole] = [Buffer.alloc(4), Buffer.from([0, 0, 0, 32])]
    const nonce = hmac(hedgeKey(blockKey, 'hedge'), random, whole, digest, empty, empty, whole, label)
    expect(hex(identity.nonce)).toBe(hex(nonce))
  })
})

describe.each(answers)('content in mode $mode', ({ mode, label, key }) => {
  const scheme = new ContentScheme(mode, secrets)

  it('has the label and the key of SPEC §10.2 and §10.3', async () => {
    const copy = new Uint8Array(content.length)
    const identity = await scheme.copyAndIdentify(content, copy)
    expect(copy).toEqual(content)
    expect(hex(identity.label)).toBe(label)
    if (mode !== Mode.off) expect(identity.blockKey && withBytes(identity.blockKey, hex)).toBe(key)
  })

  it('is verified against its label and its key', async () => {
    const { label: found, blockKey } = await scheme.copyAndIdentify(content, new Uint8Array(content.length))
    await scheme.verify(content, found, blockKey)
    await failure(() => scheme.verify(sample(9), found, blockKey), 'authentication-failed')
    await failure(() => scheme.verify(content, sample(32), blockKey), 'authentication-failed')
    const wrongKey = new SecretKey('block', sample(32))
    if (key !== undefined) await failure(() => scheme.verify(content, found, wrongKey), 'authentication-failed')
  })

  it('cannot be identified after dispose', async () => {
    const gone = new ContentScheme(mode, secrets)
    gone.dispose()
    await failure(() => gone.copyAndIdentify(content, new Uint8Array(9)), 'disposed')
  })
})
