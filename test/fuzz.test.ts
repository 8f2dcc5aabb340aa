// Every parser and every open, with bytes that no writer made: a KeystrataError comes out, and nothing else.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  armRegistration,
  createClient,
  createDeviceKey,
  createProfile,
  deriveLogin,
  encodeBlock,
  KeystrataError,
  openDeviceKey,
  openPackMember,
  openProfile,
  openRegistration,
  openWriter,
  parseBlock,
  parseCard,
  parseRegistration,
  resetProfile,
  unlockKeyset,
} from '../src/index.ts'
import { createLegacyClient } from '../src/legacy.ts'
import { checkProfile, KeyRegistry, verifyLogin, verifyPassword } from '../src/server.ts'
import { parseEnvelope } from '../src/format/envelope.ts'
import { openKeyring } from '../src/keys/hierarchy.ts'
import { parseKeyset } from '../src/keys/keyset-record.ts'
import { ownerOf } from '../src/keys/login.ts'
import { openProfileRecord, parseProfile } from '../src/keys/profile-record.ts'
import {
  ALICE,
  makeKeyset,
  MemoryRegistryStore,
  MemoryVaultStore,
  PASSWORD,
  quickly,
  resummed,
  sample,
} from './fixtures.ts'

const runs = { numRuns: process.env['SLOW'] === '1' ? 20_000 : 250 }
const keyset = await makeKeyset({ encryption: 'none' })
const host = keyset.export('host')
const blocks = await Promise.all(
  (['hybrid', 'x25519', 'none'] as const).map((encryption) => keyset.writer({ encryption }).seal(sample(40))),
)
const seeds = [host, keyset.export('source-storage'), ...blocks.map(encodeBlock)]

/** One of the seeds with parts cut, copied, overwritten; or nothing but noise. */
const damagedFrom = (seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.uint8Array({ maxLength: 4000 }),
    fc
      .record({
        seed: fc.constantFrom(...seeds),
        cuts: fc.array(fc.record({ at: fc.nat(5000), remove: fc.nat(50), insert: fc.uint8Array({ maxLength: 20 }) }), {
          maxLength: 4,
        }),
      })
      .map(({ seed, cuts }) => {
        const bytes = [...seed]
        for (const { at, remove, insert } of cuts) bytes.splice(at % bytes.length, remove, ...insert)
        return Uint8Array.from(bytes)
      }),
    // A right header with noise behind it, and lengths as large as they can be.
    fc
      .record({
        seed: fc.constantFrom(...seeds),
        at: fc.nat(400),
        value: fc.constantFrom(0, 0x7f, 0x80, 0xff),
        run: fc.nat(8),
      })
      .map(({ seed, at, value, run }) =>
        Uint8Array.from(seed, (byte, index) => (index >= at && index <= at + run ? value : byte)),
      ),
  )

const damaged = damagedFrom(seeds)

const login = await deriveLogin(PASSWORD, ALICE)
const vaultStore = new MemoryVaultStore()
const { profile, vault } = await createProfile(login, { admin: keyset.card() }).createVault(vaultStore)
const keyring = (await vaultStore.readKeyring(vault.id))!
const vaultBlock = await vault.seal(sample(40))
const { vaults } = openProfileRecord(parseProfile(profile.record), ownerOf(login).rootKey)

const damagedVault = damagedFrom([profile.record, keyring, keyset.card().bytes, encodeBlock(vaultBlock)])

async function onlyKeystrataErrors(action: () => unknown): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    expect(error.cause).toBeUndefined()
  }
}

describe('hostile bytes', () => {
  it('in parsers', async () => {
    await fc.assert(
      fc.asyncProperty(damaged, async (bytes) => {
        await onlyKeystrataErrors(() => parseKeyset(bytes))
        await onlyKeystrataErrors(() => parseEnvelope(bytes))
        await onlyKeystrataErrors(() => parseBlock(bytes, blocks[0]!.label))
      }),
      runs,
    )
  })

  it('in profiles, keyrings, cards and the blocks of vaults, right checksums among them', async () => {
    await fc.assert(
      fc.asyncProperty(damagedVault, fc.boolean(), async (noise, sums) => {
        const bytes = sums && noise.length > 8 ? resummed(noise) : noise
        await onlyKeystrataErrors(() => openProfile(bytes, login))
        await onlyKeystrataErrors(() => checkProfile(bytes))
        await onlyKeystrataErrors(() => resetProfile(bytes, keyset, login))
        await onlyKeystrataErrors(() => openKeyring(bytes, vaults[0]!, vaults[0]!.keys))
        await onlyKeystrataErrors(() => parseCard(bytes))
        await onlyKeystrataErrors(() => vault.open(parseBlock(bytes, vaultBlock.label)))
        await onlyKeystrataErrors(() => vault.open({ ...vaultBlock, envelope: bytes }))
        await onlyKeystrataErrors(() => vault.open({ ...vaultBlock, ciphertext: bytes }))
      }),
      runs,
    )
  })

  it('in packs, members, records and envelopes to rekey', async () => {
    const { content, members } = await keyset.writer().pack([sample(40), sample(20)])
    const { record } = await keyset.writer().sealRecord(sample(40), 'start')
    const damagedRecord = damagedFrom([record])
    await fc.assert(
      fc.asyncProperty(
        damagedFrom([content]),
        damaged,
        damagedRecord,
        fc.string({ maxLength: 60 }),
        async (bytes, envelope, log, text) => {
          await onlyKeystrataErrors(() => keyset.openRecord(log))
          await onlyKeystrataErrors(() => keyset.openRecord(record, { after: log }))
          await onlyKeystrataErrors(() => keyset.writer().sealRecord(sample(4), log))
          await onlyKeystrataErrors(() => openPackMember(bytes, members[1]!))
          await onlyKeystrataErrors(() => openPackMember(content, text))
          await onlyKeystrataErrors(() => keyset.rekey({ label: blocks[0]!.label, envelope }))
          await onlyKeystrataErrors(() => keyset.isCurrent(envelope))
        },
      ),
      runs,
    )
  })

  it('in invites, envelopes to add, and what a share’s reader is given', async () => {
    const { share } = keyset.createShare()
    const invite = share.invite(keyset.card())
    const reader = keyset.acceptShare(invite, keyset.card())
    const { record } = await share.sealRecord(sample(40), 'start')
    const shared = { ...blocks[0]!, envelope: share.add(blocks[0]!) }
    const noise = damagedFrom([invite, record, encodeBlock(shared), shared.envelope])
    await fc.assert(
      fc.asyncProperty(noise, async (bytes) => {
        await onlyKeystrataErrors(() => keyset.acceptShare(bytes, keyset.card()))
        await onlyKeystrataErrors(() => share.add({ label: shared.label, envelope: bytes }))
        await onlyKeystrataErrors(() => reader.open(parseBlock(bytes, shared.label)))
        await onlyKeystrataErrors(() => reader.open({ ...shared, envelope: bytes }))
        await onlyKeystrataErrors(() => reader.open({ ...shared, ciphertext: bytes }))
        await onlyKeystrataErrors(() => reader.openRecord(bytes))
      }),
      runs,
    )
  })

  it('in blocks of clients, enrolments, challenges, proofs, and what a device keeps', async () => {
    const names = { realm: 'tests', account: 'acme', client: 'desktop', platform: 'linux' } as const
    const keys = { privateKey: { type: 'AES-256', text: 'x' }, accountKey: { type: 'AES-128', text: 'y' } } as const
    const client = await quickly(() => createClient({ ...names, ...keys }))
    const registry = new KeyRegistry(new MemoryRegistryStore(), { realm: 'tests', server: 'here' })
    const challenge = await registry.challenge()
    const device = createDeviceKey()
    const place = { table: 't', row: 'r', column: 'c', version: 1 }
    const kept = [device.exportUnprotected(), device.save(client), device.save(login), device.save(keyset)]
    const told = [client.enrolment(), challenge, client.prove(challenge, { server: 'here' })]
    const clientBlocks = await Promise.all(
      (['private', 'account', 'public'] as const).map((scope) => client.scope(scope).seal(sample(40))),
    )
    const seeds = [...kept, ...told, device.sealText('text', place), ...clientBlocks.map(encodeBlock)]
    await fc.assert(
      fc.asyncProperty(damagedFrom(seeds), fc.boolean(), async (noise, sums) => {
        const bytes = sums && noise.length > 8 ? resummed(noise) : noise
        await onlyKeystrataErrors(() => registry.enrol(bytes))
        await onlyKeystrataErrors(() => registry.connect(bytes))
        await onlyKeystrataErrors(() => client.prove(bytes, { server: 'here' }))
        for (const block of clientBlocks) {
          await onlyKeystrataErrors(() => client.open(parseBlock(bytes, block.label)))
          await onlyKeystrataErrors(() => client.open({ ...block, envelope: bytes }))
          await onlyKeystrataErrors(() => client.open({ ...block, ciphertext: bytes }))
        }
        await onlyKeystrataErrors(() => openDeviceKey(bytes))
        await onlyKeystrataErrors(() => device.openLogin(bytes))
        await onlyKeystrataErrors(() => device.openClient(bytes))
        await onlyKeystrataErrors(() => device.openKeyset(bytes))
        await onlyKeystrataErrors(() => device.openText(bytes, place))
      }),
      runs,
    )
  })

  it('in escrows, registration files, activation codes and blocks under DES', async () => {
    const names = { realm: 'tests', account: 'acme', client: 'desktop' }
    const [client, legacy] = await quickly(() =>
      Promise.all([
        createClient({ ...names, platform: 'linux', privateKey: { type: 'AES-256', text: 'x' } }),
        createLegacyClient({ ...names, client: 'old', key: { type: 'DES-56', text: 'x' }, dangerouslyAllowDes: true }),
      ]),
    )
    const options = { realm: 'tests', server: 'here', safeguarding: 'optional' } as const
    const registry = new KeyRegistry(new MemoryRegistryStore(), options)
    await registry.enrol(client.enrolment())
    const { escrow, activationCode } = client.safeguard()
    await registry.safeguard(escrow)
    const file = await registry.buildRegistration('acme', 'desktop', keyset, { expires: new Date(8.64e15) })
    const armed = armRegistration(file, activationCode)
    const provider = keyset.card()
    const block = await legacy.scope('private').seal(sample(40))
    const seeds = [escrow, file, armed, legacy.enrolment(), encodeBlock(block)]
    const typed = fc.oneof(fc.string({ maxLength: 60, unit: 'binary' }), fc.constant(activationCode))
    await fc.assert(
      fc.asyncProperty(damagedFrom(seeds), typed, async (bytes, code) => {
        await onlyKeystrataErrors(() => registry.safeguard(bytes))
        await onlyKeystrataErrors(() => registry.enrol(bytes))
        await onlyKeystrataErrors(() => parseRegistration(bytes, { provider }))
        await onlyKeystrataErrors(() => openRegistration(bytes, { provider }))
        await onlyKeystrataErrors(() => armRegistration(bytes, activationCode))
        await onlyKeystrataErrors(() => openRegistration(file, { provider, activationCode: code }))
        await onlyKeystrataErrors(() => legacy.open(parseBlock(bytes, block.label)))
        await onlyKeystrataErrors(() => legacy.open({ ...block, envelope: bytes }))
        await onlyKeystrataErrors(() => legacy.open({ ...block, ciphertext: bytes }))
      }),
      runs,
    )
  })

  it('in what a server is told', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 120 }), async (text) => {
        await onlyKeystrataErrors(() => verifyLogin(text, login.credential))
        await onlyKeystrataErrors(() => verifyPassword(text, 'password'))
        await onlyKeystrataErrors(() => verifyPassword(`$argon2id$v=19$m=8,t=1,p=1$${text}`, 'password'))
      }),
      runs,
    )
  })

  it('in openWriter and open', async () => {
    await fc.assert(
      fc.asyncProperty(damaged, fc.string({ maxLength: 70 }), async (bytes, text) => {
        await onlyKeystrataErrors(() => openWriter(bytes))
        await onlyKeystrataErrors(() => keyset.open(parseBlock(bytes, blocks[1]!.label)))
        await onlyKeystrataErrors(() => keyset.open({ ...blocks[2]!, ciphertext: bytes }))
        await onlyKeystrataErrors(() => keyset.open({ ...blocks[0]!, ciphertext: bytes }))
        await onlyKeystrataErrors(() => parseBlock(encodeBlock(blocks[0]!), text))
      }),
      runs,
    )
  })

  it('in unlockKeyset', async () => {
    await fc.assert(
      fc.asyncProperty(damaged, async (bytes) => {
        if (Buffer.compare(bytes, host) === 0) return
        await onlyKeystrataErrors(() => unlockKeyset(bytes, PASSWORD))
      }),
      { numRuns: Math.ceil(runs.numRuns / 4) },
    )
  })
})
