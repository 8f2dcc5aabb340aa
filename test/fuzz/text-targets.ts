// Texts and bytes that a person typed, or that another program passes: passwords, names, labels, refs, positions, ids.
import {
  createKeyset,
  cut,
  labelOf,
  loadKeyset,
  openFrom,
  openLog,
  openPackMember,
  openWriter,
  parseBlock,
  saveKeyset,
  unlockKeyset,
} from '../../src/index.ts'
import { deriveClient } from '../../src/client.ts'
import { createDeviceKey, openDeviceKey } from '../../src/device.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  removeSlot,
  type Slot,
  splitRecoveryCode,
} from '../../src/recovery.ts'
import { hashPassword, openKeyRegistry, verifyPassword } from '../../src/server.ts'
import { blocksIn, checkBlocks, memoryBlobStore, memoryStateStore, prefixed } from '../../src/stores.ts'
import { postgresSchema } from '../../src/stores/postgres.ts'
import { createProfile, deriveLogin, openProfile } from '../../src/vault.ts'
import { concat, utf8 } from '../../src/core/bytes.ts'
import { ALICE, all, anywhere, CHEAP, makeKeyset, newestBytes, PASSWORD, sample, streamOf } from '../fixtures.ts'
import type { Target } from './inputs.ts'
import { textIn } from './client-targets.ts'
import { showing, text } from './vault-targets.ts'

const { keyset, share } = (await makeKeyset()).createShare()
const exported = keyset.export('host')
const writer = openWriter(exported)
const device = createDeviceKey()
const blocks = blocksIn(memoryBlobStore())
const block = await writer.seal(sample(50))
await blocks.put(block)
const store = memoryStateStore()
await saveKeyset(store, keyset)
await addSlot(store, keyset, await deriveRecoveryKey({ secret: sample(32) }), { label: 'x' })
const [slot] = (await listSlots(store)) as [Slot]
const withSlot = showing({
  keyset: [await newestBytes(store, 'keyset')],
  slots: [await newestBytes(store, 'slots')],
})
const log = openLog(store, 'backups', keyset)
const position = await log.append(sample(5))
const login = await deriveLogin(PASSWORD, ALICE)
const profile = createProfile(login, { zeroTrust: true })
const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 'here' })
const client = await deriveClient({
  ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
  privateKey: { type: 'AES-256', text: 'x' },
})
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const dispose = (handle: Disposable): void => handle[Symbol.dispose]()

function same(bytes: Uint8Array, back: Uint8Array): void {
  if (Buffer.compare(bytes, back) !== 0) throw new Error('other content came back')
}

/**
 * Recognizes a mistake of the program by an error in the library's own words. The engine's own TypeErrors, such as one
 * about a property of undefined, do not count.
 */
function mistake(error: unknown): string | undefined {
  const isMistake = error instanceof TypeError || error instanceof RangeError
  return isMistake && !/undefined|null|Cannot|not a function|Invalid|iterable/.test(error.message)
    ? 'a mistake'
    : undefined
}

/** Returns a target for a text, where one that cannot be right is a mistake of the program. */
const textTarget = (
  name: string,
  seeds: readonly string[],
  reads: readonly ((text: string) => unknown)[],
  names?: Target['names'],
  isImpatient = false,
): Target => ({
  name: `text-${name}`,
  seeds: seeds.map(utf8),
  reads: reads.map((read) => (bytes: Uint8Array) => read(text(bytes))),
  // A text is looked at letter by letter, as an array of letters, which grows as it is made.
  copies: 48,
  isImpatient,
  ...(names !== undefined && { names }),
})

export const textTargets: readonly Target[] = [
  textTarget('new-password', [PASSWORD], [(typed) => createKeyset(typed, { costs: CHEAP }).then(dispose)]),
  textTarget('changed-password', [PASSWORD], [(typed) => keyset.changePassword(typed, { costs: CHEAP }).then(dispose)]),
  textTarget('password', [PASSWORD], [(typed) => unlockKeyset(exported, typed).then(dispose)]),
  textTarget('loaded-password', [PASSWORD], [(typed) => loadKeyset(store, typed).then(dispose)]),
  textTarget(
    'passphrase',
    ['passphrase'],
    [async (typed) => dispose(await openDeviceKey(await device.export(typed), typed))],
  ),
  textTarget(
    'service-password',
    ['password'],
    [
      async (typed) => {
        if (!(await verifyPassword(await hashPassword(typed), typed))) throw new Error('the password is not its own')
      },
    ],
  ),
  textTarget(
    'login',
    [PASSWORD],
    [
      async (typed) => {
        using typedLogin = await deriveLogin(typed, ALICE)
        openProfile(profile.record, typedLogin).dispose()
      },
    ],
  ),
  textTarget(
    'changed-login',
    [PASSWORD],
    [
      async (typed) => {
        using typedLogin = await deriveLogin(typed, ALICE)
        profile.changePassword(typedLogin).dispose()
      },
    ],
  ),
  textTarget('user', ['alice'], [(user) => deriveLogin(PASSWORD, { realm: 'tests', user }).then(dispose)]),
  textTarget('realm', ['tests'], [(realm) => deriveLogin(PASSWORD, { realm, user: 'alice' }).then(dispose)]),
  textTarget(
    'client-name',
    ['desktop'],
    [(name) => deriveClient({ ...names, name, privateKey: { type: 'AES-256', text: 'x' } }).then(dispose)],
  ),
  textTarget(
    'private-key',
    ['AES key'],
    [(typed) => deriveClient({ ...names, privateKey: { type: 'AES-192', text: typed } }).then(dispose)],
  ),
  textTarget(
    'account-key',
    ['AES key'],
    [(typed) => client.withAccountKey({ type: 'AES-192', text: typed }).then(dispose)],
  ),
  textTarget(
    'des-key',
    ['DES key'],
    [
      (typed) =>
        deriveLegacyClient({
          ...names,
          privateKey: { type: 'DES-56', text: typed },
          dangerouslyAllowDes: true,
        }).then(dispose),
    ],
  ),
  textTarget(
    'server-name',
    ['here'],
    [(server) => openKeyRegistry(memoryStateStore(), { realm: 'tests', server }).challenge()],
  ),
  textTarget(
    'account-name',
    ['acme'],
    [
      async (account) => {
        await registry.listClients(account)
        await registry.clearAccountKey(account)
        await registry.removeClient({ account, name: account })
      },
    ],
    undefined,
    true,
  ),
  {
    name: 'text-device-text',
    // The input is four texts of UTF-16.
    copies: 20,
    seeds: [utf8('a text to keep')],
    reads: [
      (bytes) => {
        // UTF-16, which has lone surrogates too.
        const kept = textIn(bytes)
        const place = { table: kept, row: kept, column: kept, version: 1 }
        if (device.openText(device.sealText(kept, place), place) !== kept) throw new Error('another text came back')
      },
    ],
    names: mistake,
  },
  textTarget(
    'recovery-code-to-split',
    [generateRecoveryCode()],
    [(code) => splitRecoveryCode(code, { parts: 3, needed: 2 })],
  ),
  textTarget(
    'label',
    [block.label],
    [
      (label) => parseBlock(new Uint8Array([...block.envelope, ...block.ciphertext]), label),
      async (label) => keyset.open({ ...block, label }),
      async (label) => {
        await blocks.has(label)
        await blocks.get(label)
        await blocks.head?.(label)
        await blocks.replaceEnvelope({ label, envelope: block.envelope }, block.envelope)
      },
    ],
  ),
  textTarget('ref', [block.label], [(ref) => labelOf(ref), (ref) => all(openFrom(blocks, keyset, [ref]))]),
  textTarget(
    'prefix-of-labels',
    [block.label.slice(0, 3)],
    [
      async (prefix) => {
        await all(blocks.heads({ prefix }))
        await all(checkBlocks(memoryBlobStore(), { prefix }))
      },
    ],
    mistake,
  ),
  textTarget(
    'position',
    [position],
    [
      (after) => all(log.read({ after })),
      (atLeast) => log.last({ atLeast }),
      (upTo) => log.reseal({ atLeast: position, upTo }),
    ],
    mistake,
    true,
  ),
  textTarget(
    'log-name',
    ['backups'],
    [
      async (name) => all(openLog(memoryStateStore(), name, keyset).read()),
      async (name) => {
        const { record } = await writer.sealRecord(sample(5), { log: name, after: 'start' })
        await keyset.openRecord(record, { ...anywhere, log: name })
      },
    ],
  ),
  textTarget(
    'share-id',
    [share.id],
    [
      (id) => keyset.share(id).dispose(),
      (id) => keyset.revokeShare(id).dispose(),
      (id) => writer.share(id),
      async (id) => writer.seal(sample(5), { shares: [id] }),
    ],
    mistake,
  ),
  textTarget(
    'retired-check',
    [share.id],
    [(id) => keyset.forgetRetired({ keyset: keyset.id, revision: id === share.id ? keyset.revision : id, heads: 0 })],
    mistake,
  ),
  {
    name: 'contents',
    seeds: [sample(100)],
    // The content, its ciphertext, and what comes back, each with room around it.
    copies: 10,
    isTotal: true,
    reads: [
      async (bytes) => same(bytes, concat(...(await all(cut(streamOf([bytes]), { size: 4096 }))))),
      async (bytes) => same(bytes, await keyset.open(await writer.seal(bytes))),
      async (bytes) => {
        using prepared = await writer.prepare(bytes)
        await prepared.envelopesFor([share.id])
        same(bytes, await keyset.open(await prepared.seal()))
      },
      async (bytes) => {
        const { content, members } = await writer.pack([bytes, sample(3)])
        same(bytes, await openPackMember(content, members[0]!))
      },
    ],
  },
  textTarget('slot-id', [slot.id], [(id) => removeSlot(withSlot, keyset, id)], mistake),
  textTarget(
    'revision',
    [keyset.revision],
    [(atLeast) => unlockKeyset(exported, PASSWORD, { atLeast }).then(dispose)],
    mistake,
  ),
  textTarget(
    'store-name',
    ['a/b'],
    [
      async (name) => {
        await store.read(name)
        await store.readVersion(name, 1)
        prefixed(store, `${name}/`)
      },
    ],
    mistake,
  ),
  textTarget('table', ['keystrata'], [(table) => postgresSchema({ table })], mistake),
]
