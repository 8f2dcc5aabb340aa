// npm run bench:profiles -- [--seconds N] [--devices N] [--vaults N] [--json]
// Devices in processes of their own (six if omitted) rotate one profile with two vaults at the same time, for a minute, on
// a real PostgreSQL, through guardProfiles. At the end every device must open every vault and a block that was sealed
// before. Then one device rotates alone, and its requests are counted.
import { strict as assert } from 'node:assert'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import pg from 'pg'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import { createKeyset, encodeBlock, KeystrataError, parseBlock } from '../src/index.ts'
import { guardProfiles, saveCredential } from '../src/server.ts'
import { postgresSchema, postgresStateStore } from '../src/stores/postgres.ts'
import type { StateStore } from '../src/stores.ts'
import { createProfile, deriveLogin, loadProfile, openSavedLogin, type Profile, saveProfile } from '../src/vault.ts'
import { startPostgres } from '../test/stores/postgres-server.ts'
import { describeMachine } from './machine.ts'

const TABLE = 'profiles'
const USER = { realm: 'bench', user: 'user' }
const CONTENT = new TextEncoder().encode('sealed before anybody rotated')

/** What the processes of one run share. It lies in a file that only this user can read. */
interface Setup {
  readonly database: pg.ClientConfig
  /** A device key, and the login that it saved. */
  readonly device: string
  readonly login: string
  /** A block of each vault: its label, and its bytes in hex. */
  readonly blocks: Readonly<Record<string, { readonly label: string; readonly bytes: string }>>
  readonly seconds: number
}

/** What one device did. */
interface DeviceRow {
  /** How many vaults it rotated. */
  readonly rotations: number
  /** How often it read a keyring meanwhile: once for each try. */
  readonly tries: number
  readonly conflicts: number
  /** The slowest rotation of one vault that succeeded, in seconds. */
  readonly slowest: number
}

type Counts = Record<'read' | 'readVersion' | 'write' | 'drop', number>

/** Returns a store that counts its calls. */
function counting(store: StateStore): { counted: StateStore; counts: Counts; keyringReads: () => number } {
  const counts: Counts = { read: 0, readVersion: 0, write: 0, drop: 0 }
  let keyringReads = 0
  const counted: StateStore = {
    read(name) {
      counts.read++
      if (name.startsWith('keyring/')) keyringReads++
      return store.read(name)
    },
    readVersion(name, version) {
      counts.readVersion++
      return store.readVersion(name, version)
    },
    write(name, version, bytes) {
      counts.write++
      return store.write(name, version, bytes)
    },
    drop(name, below) {
      counts.drop++
      return store.drop(name, below)
    },
  }
  return { counted, counts, keyringReads: () => keyringReads }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

/** Runs some work on the database. Its connections end before the server does. */
async function onDatabase<T>(database: pg.ClientConfig, work: (store: StateStore) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ ...database, max: 2 })
  try {
    return await work(postgresStateStore(pool, { table: TABLE }))
  } finally {
    await pool.end()
  }
}

async function profileOf({ device, login }: Setup, store: StateStore): Promise<Profile> {
  using key = await openDeviceKey(unhex(device))
  using opened = openSavedLogin(unhex(login), key, USER)
  return await loadProfile(store, opened)
}

/** Opens every vault and its block. */
async function assertWhole(setup: Setup, store: StateStore): Promise<void> {
  using profile = await profileOf(setup, store)
  assert.deepEqual([...profile.vaults].sort(), Object.keys(setup.blocks).sort())
  for (const [vaultId, { label, bytes }] of Object.entries(setup.blocks)) {
    using vault = await profile.openVault(store, vaultId)
    assert.deepEqual(await vault.open(parseBlock(unhex(bytes), label)), CONTENT)
  }
}

/** Rotates one vault after the other until the time is over, and prints what it took. */
async function rotateOn(setup: Setup, store: StateStore): Promise<void> {
  const { counted, keyringReads } = counting(guardProfiles(store))
  const end = performance.now() + 1000 * setup.seconds
  let [rotations, tries, conflicts, slowest] = [0, 0, 0, 0]
  let profile = await profileOf(setup, counted)
  while (performance.now() < end) {
    for (const vaultId of profile.vaults) {
      const [started, before] = [performance.now(), keyringReads()]
      try {
        const rotated = await profile.rotate(counted, vaultId)
        profile.dispose()
        profile = rotated
        rotations++
        slowest = Math.max(slowest, (performance.now() - started) / 1000)
      } catch (error) {
        if (!(error instanceof KeystrataError) || error.code !== 'conflict') throw error
        conflicts++
      }
      tries += keyringReads() - before
    }
  }
  await assertWhole(setup, counted)
  console.log(JSON.stringify({ rotations, tries, conflicts, slowest } satisfies DeviceRow))
}

async function createTable(database: pg.ClientConfig): Promise<void> {
  const client = new pg.Client(database)
  await client.connect()
  await client.query(postgresSchema({ table: TABLE }))
  await client.end()
}

/** Creates the user, and returns what the processes need. */
async function prepare(database: pg.ClientConfig, store: StateStore, vaults: number, seconds: number): Promise<Setup> {
  using admin = await createKeyset('admin', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
  using login = await deriveLogin('password', USER)
  using device = createDeviceKey()
  let profile = createProfile(login, { admin: admin.card() })
  await saveCredential(store, profile.record, login.credential)
  await saveProfile(store, profile)
  const blocks: Record<string, { label: string; bytes: string }> = {}
  for (let each = 0; each < vaults; each++) {
    const created = await profile.createVault(store)
    const block = await created.vault.seal(CONTENT)
    blocks[created.vault.id] = { label: block.label, bytes: hex(encodeBlock(block)) }
    profile = created.profile
  }
  const texts = { device: hex(device.exportUnprotected()), login: hex(login.save(device)) }
  return { database, ...texts, blocks, seconds }
}

/** Counts the requests of a rotation of one vault that nobody disturbs: those of the device, and those of the guard. */
async function countAlone(
  setup: Setup,
  store: StateStore,
): Promise<{ device: Counts; server: Counts; milliseconds: number }> {
  const server = counting(store)
  const device = counting(guardProfiles(server.counted))
  using profile = await profileOf(setup, device.counted)
  const of = ({ counts }: typeof server, before: Counts): Counts => ({
    read: counts.read - before.read,
    readVersion: counts.readVersion - before.readVersion,
    write: counts.write - before.write,
    drop: counts.drop - before.drop,
  })
  const before = [{ ...device.counts }, { ...server.counts }] as const
  const started = performance.now()
  using _ = await profile.rotate(device.counted, profile.vaults[0])
  const milliseconds = performance.now() - started
  return { device: of(device, before[0]), server: of(server, before[1]), milliseconds }
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    devices: { type: 'string', default: '6' },
    vaults: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
    setup: { type: 'string' },
  },
})

async function main(): Promise<void> {
  const [seconds, devices, vaults] = [values.seconds, values.devices, values.vaults].map(Number) as [
    number,
    number,
    number,
  ]
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-profiles-'))
  const server = await startPostgres()
  try {
    const { config } = server
    await createTable(config)
    const setup = await onDatabase(config, (store) => prepare(config, store, vaults, seconds))
    const path = join(folder, 'setup')
    writeFileSync(path, JSON.stringify(setup), { mode: 0o600 })
    const program = [...process.execArgv, import.meta.filename, '--setup', path]
    const run = async (): Promise<DeviceRow> => {
      const { stdout } = await promisify(execFile)(process.execPath, program)
      return JSON.parse(stdout) as DeviceRow
    }
    const rows = await Promise.all(Array.from({ length: devices }, run))
    await onDatabase(config, (store) => assertWhole(setup, store))
    const alone = await onDatabase(config, (store) => countAlone(setup, store))
    const sum = (key: keyof DeviceRow) => rows.reduce((total, row) => total + row[key], 0)
    const rotations = sum('rotations')
    const result = {
      devices,
      vaults,
      seconds,
      rotations,
      perSecond: rotations / seconds,
      triesPerRotation: sum('tries') / rotations,
      conflicts: sum('conflicts'),
      slowest: Math.max(...rows.map(({ slowest }) => slowest)),
      lost: 0,
      alone,
    }
    if (values.json) console.log(JSON.stringify({ machine: describeMachine(), ...result }))
    else print(result)
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const showCounts = ({ read, readVersion, write, drop }: Counts) =>
  `${read + readVersion + write + drop} requests (${read} read, ${readVersion} readVersion, ${write} write, ${drop} drop)`

function print(result: {
  devices: number
  vaults: number
  seconds: number
  rotations: number
  perSecond: number
  triesPerRotation: number
  conflicts: number
  slowest: number
  alone: { device: Counts; server: Counts; milliseconds: number }
}): void {
  const { devices, vaults, seconds, rotations, perSecond, triesPerRotation, conflicts, slowest, alone } = result
  console.log(`${devices} devices, ${vaults} vaults, ${seconds} s: ${rotations} rotations, none lost`)
  console.log(
    `${perSecond.toFixed(1)} a second, ${triesPerRotation.toFixed(2)} tries each, slowest ${slowest.toFixed(2)} s`,
  )
  console.log(`${conflicts} conflicts reached a caller`)
  console.log(`one device alone: ${alone.milliseconds.toFixed(0)} ms, ${showCounts(alone.device)}`)
  console.log(`behind its guard: ${showCounts(alone.server)}`)
}

if (values.setup === undefined) await main()
else {
  const setup = JSON.parse(readFileSync(values.setup, 'utf8')) as Setup
  await onDatabase(setup.database, (store) => rotateOn(setup, store))
}
