// Reads every frozen vector of escrows, registrations and data under DES with the library. second-reader.test.ts reads
// them with the reader written from SPEC.md alone.
import { DES_56 } from '../../src/client/layout.ts'
import { claimantOf, hex, unhex } from '../fixtures.ts'
import { armRegistration, openRegistration, parseRegistration } from '../../src/client.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { openEscrow, parseActivationCode, readEscrow } from '../../src/client/escrow.ts'
import { openedClient } from '../../src/client/client.ts'
import { parseBlock, parseCard } from '../../src/index.ts'
import { type Claimant } from '../../src/client/proof.ts'
import { findDes } from '../../src/legacy/des.ts'
import { DesScope } from '../../src/legacy/des-scope.ts'
import { disposeKeys, SecretKey, withBytes } from '../../src/core/secret.ts'
import * as specReader from '../spec-reader-custody.ts'
import { escrowVectors, legacyBlockVectors, outcome, registrationVectors } from './vectors.ts'

afterEach(() => void vi.useRealTimers())

const keysOf = ({ privateKey, accountKey }: Pick<Claimant, 'privateKey' | 'accountKey'>) => ({
  privateKey: withBytes(privateKey.key, hex),
  accountKey: accountKey === undefined ? '' : withBytes(accountKey.key, hex),
})

describe('escrow.json', () => {
  it.each(escrowVectors())('$id: $comment', async ({ bytes, code, expect: expected, ...vector }) => {
    const { realm, account, client, platform, privateKey, accountKey } = vector
    const ours = outcome(() => {
      const opened = openEscrow(readEscrow(unhex(bytes)), parseActivationCode(code))
      const names = { realm: opened.realm, account: opened.account, client: opened.client, platform: opened.platform }
      expect({ ...names, ...keysOf(opened) }).toEqual({ realm, account, client, platform, privateKey, accountKey })
      disposeKeys(opened)
    })
    expect(await ours).toBe(expected)
  })
})

describe('registration.json', () => {
  it.each(registrationVectors())(
    '$id: $comment',
    async ({ bytes, armed, now, server, expires, privateKey, ...vector }) => {
      const { card, code, account, expect: expected } = vector
      const ours = outcome(() => {
        vi.useFakeTimers({ now })
        const provider = parseCard(unhex(card))
        const options = {
          provider,
          ...(code !== null && { activationCode: code }),
          account: account ?? 'acme',
        }
        const facts = parseRegistration(unhex(bytes), { provider })
        expect([facts.server, facts.expires.getTime(), facts.armed]).toEqual([server, expires, armed])
        const opened = claimantOf(openRegistration(unhex(bytes), options))
        expect(keysOf(opened).privateKey).toBe(privateKey)
      })
      const given = await ours
      vi.useRealTimers()
      expect(given).toBe(expected)
    },
  )

  const arming = registrationVectors().filter((vector) => vector.arming !== undefined)
  it.each(arming)('$id: arming it gives $arming', async ({ bytes, code, arming: expected }) => {
    expect(await outcome(() => armRegistration(unhex(bytes), code!))).toBe(expected)
  })

  it('both readers arm a registration file, with the same result', () => {
    const byId = (wanted: string) => registrationVectors().find(({ id }) => id === wanted)!
    const [unarmed, armed] = [byId('unarmed'), byId('armed')]
    expect(hex(armRegistration(unhex(unarmed.bytes), unarmed.code!))).toBe(armed.bytes)
    expect(hex(specReader.armRegistration(unhex(unarmed.bytes), unarmed.code!))).toBe(armed.bytes)
  })
})

const des = await findDes()

describe('legacy-block.json', () => {
  it.each(legacyBlockVectors())('$id: $comment', async ({ account, key, label, block, content, ...vector }) => {
    const names = { realm: 'tests', account, client: 'desktop', platform: 1, accountKey: undefined }
    const privateKey = { type: DES_56, key: new SecretKey('client', unhex(key)) }
    const reader = openedClient({ ...names, privateKey }, (claimant) => new DesScope(claimant, des, false))
    const ours = outcome(async () => {
      expect(hex(await reader.open(parseBlock(unhex(block), label)))).toBe(content)
    })
    expect(await ours).toBe(vector.expect)
  })
})
