// Uses the package with nothing except what every runtime has: no files, no Buffer, no assertions of Node. Returns what
// it found. This must be the same on every runtime, so it contains nothing random.
import {
  changeKeyset,
  createKeyset,
  cut,
  loadKeyset,
  openFrom,
  openLog,
  openWriter,
  parseBlock,
  rekeyBlocks,
  saveKeyset,
  sealInto,
  selfTest,
  unlockKeyset,
} from 'keystrata'
import { deriveClient, openSavedClient } from 'keystrata/client'
import { createDeviceKey, openDeviceKey } from 'keystrata/device'
import { createPool } from 'keystrata/pool'
import { addSlot, deriveRecoveryKey, generateRecoveryCode, recoverKeyset, splitRecoveryCode } from 'keystrata/recovery'
import { blocksIn, memoryBlobStore, memoryStateStore } from 'keystrata/stores'
import { createProfile, deriveLogin, loadProfile, saveProfile } from 'keystrata/vault'

const bytesOf = (text) => new TextEncoder().encode(text)
const text = (bytes) => new TextDecoder().decode(bytes)
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const unhex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))

async function all(source) {
  const items = []
  for await (const item of source) items.push(item)
  return items
}

/** Returns the code of an error of the library, or the name of another error. */
async function failure(task) {
  try {
    await task()
    return 'no error'
  } catch (error) {
    return error.code ?? error.name
  }
}

async function fill(store, objects) {
  for (const [name, versions] of Object.entries(objects)) {
    for (const [version, bytes] of Object.entries(versions)) await store.write(name, Number(version), unhex(bytes))
  }
}

/** Opens what another version of the library sealed: `frozen` is chosen from test/vectors. */
async function openFrozen({ keyset: { password, export: bytes }, blocks, log, slots }) {
  const keyset = await unlockKeyset(unhex(bytes), password)
  const contents = []
  for (const { label, block } of blocks) contents.push(hex(await keyset.open(parseBlock(unhex(block), label))))
  const state = memoryStateStore()
  await fill(state, log.objects)
  const records = await all(openLog(state, log.name, keyset).read())
  const recovering = memoryStateStore()
  await fill(recovering, slots.objects)
  const recovered = await recoverKeyset(recovering, await deriveRecoveryKey({ code: slots.code }))
  return {
    contents,
    records: records.map(({ position, content }) => `${position} ${hex(content)}`),
    revision: recovered.revision,
    fingerprint: keyset.card().fingerprint,
    damaged: await failure(() => unlockKeyset(unhex(bytes).fill(0, 1000, 1010), password)),
    wrong: await failure(() => unlockKeyset(unhex(bytes), 'wrong')),
  }
}

/** A backup, from a password to a sealed block and a log, and a restore after everything else is lost. */
async function backUp() {
  const state = memoryStateStore()
  const blocks = blocksIn(memoryBlobStore())
  // The default costs, as a product would use them.
  const created = await createKeyset('password')
  await saveKeyset(state, created)
  const writer = openWriter(created.export('host'))
  const content = bytesOf('my file, '.repeat(30_000))
  const parts = cut(new Blob([content]).stream(), { size: 100_000 })
  const refs = (await all(sealInto(blocks, writer, parts))).map(({ ref }) => ref)
  const log = openLog(state, 'backups', writer)
  const first = await log.append(bytesOf(JSON.stringify(refs)))
  const second = await log.append(bytesOf('second'))

  const changed = await changeKeyset(state, created, (newest) => newest.regenerate())
  const { rekeyed, failed } = await rekeyBlocks(blocks, changed)
  const { position } = await openLog(state, 'backups', changed).reseal({ atLeast: second })
  const keyset = await loadKeyset(state, 'password', { atLeast: changed.revision })
  const records = await all(openLog(state, 'backups', keyset).read({ atLeast: position }))
  const restored = new Blob(await all(openFrom(blocks, keyset, JSON.parse(text(records[0].content)))))

  const code = generateRecoveryCode()
  const other = await createKeyset('other', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
  await addSlot(state, keyset, await deriveRecoveryKey({ code }), { label: 'Sheet' })
  await addSlot(state, keyset, other.card(), { label: 'Somebody else' })
  const sheet = await splitRecoveryCode(code, { parts: 3, needed: 2 })
  const ways = [await deriveRecoveryKey({ code }), await deriveRecoveryKey({ parts: sheet.slice(1) }), other]
  const recovered = []
  for (const way of ways) {
    const again = await recoverKeyset(state, way, way === other ? { from: keyset.card() } : { id: keyset.id })
    const [opened] = await all(openFrom(blocks, again, [refs[0]]))
    recovered.push(text(opened.subarray(0, 7)))
  }
  const block = await writer.seal(content)
  const { ciphertext } = block
  ciphertext[10] ^= 1
  return {
    isRestored: (await restored.text()) === text(content),
    refs: refs.length,
    rekeyed,
    failed: failed.length,
    records: records.map((record) => (record.content.length > 10 ? 'refs' : text(record.content))),
    counts: [first, second, position].map((each) => Number.parseInt(each)),
    recovered,
    wrong: await failure(() => loadKeyset(state, 'wrong')),
    rollback: await failure(() => loadKeyset(state, 'password', { atLeast: other.revision })),
    damaged: await failure(() => keyset.open(block)),
    wrongCode: await failure(async () =>
      recoverKeyset(state, await deriveRecoveryKey({ code: generateRecoveryCode() }), { id: keyset.id }),
    ),
  }
}

/** Signing up to a service, and logging in on a second device. */
async function signUp() {
  const state = memoryStateStore()
  const account = { realm: 'package', user: 'user' }
  const login = await deriveLogin('password', account)
  const profile = createProfile(login, { zeroTrust: true })
  await saveProfile(state, profile)
  const { vault, profile: saved } = await profile.createVault(state)
  const block = await vault.seal(bytesOf('my file'))
  const again = await deriveLogin('password', account)
  const loaded = await loadProfile(state, again, { atLeast: saved.revision })
  const rotated = await loaded.rotate(state)
  const opened = await rotated.openVault(state, vault.id)
  const wrong = await deriveLogin('wrong', account)
  return {
    credential: login.credential,
    opened: text(await opened.open(block)),
    wrong: await failure(() => loadProfile(state, wrong)),
  }
}

/** A machine with typed keys, which keeps them on its disk. */
async function useClient() {
  const names = { realm: 'package', account: 'account', name: 'desktop' }
  const privateKey = { type: 'AES-256', text: 'a private key, typed' }
  const client = await deriveClient({ ...names, platform: 'linux', privateKey })
  const block = await client.scope('private').seal(bytesOf('my file'))
  const device = await openDeviceKey(createDeviceKey().exportUnprotected())
  const saved = openSavedClient(client.save(device), device, { account: 'account', name: 'desktop' })
  return { label: block.label, ciphertext: hex(block.ciphertext).length, opened: text(await saved.open(block)) }
}

/**
 * Seals and opens in threads. Returns what was opened, or an error.
 * @param options what the runtime needs to find the worker's file
 */
async function useThreads(options) {
  try {
    const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
    const pool = createPool({ threads: 2, ...options })
    try {
      return text(await pool.reader(keyset).open(await pool.writer(keyset).seal(bytesOf('my file'))))
    } finally {
      await pool.close()
    }
  } catch (error) {
    return String(error)
  }
}

/**
 * Returns what every runtime must find (`found`), and apart from it what it may have or not (`platform`).
 * @param frozen what was chosen from test/vectors
 * @param pool options of `createPool`
 */
export async function useEverywhere(frozen, pool = {}) {
  const started = Date.now()
  const { ok, backend, checks } = await selfTest()
  const found = {
    ok,
    wrong: checks.filter((check) => !check.ok).map(({ primitive }) => primitive),
    frozen: await openFrozen(frozen),
    backup: await backUp(),
    login: await signUp(),
    client: await useClient(),
  }
  const providers = Object.fromEntries(checks.map(({ primitive, provider }) => [primitive, provider]))
  const threads = await useThreads(pool)
  return { found, platform: { backend, providers, threads, milliseconds: Date.now() - started } }
}
