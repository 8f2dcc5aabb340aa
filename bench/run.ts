// npm run bench -- [--only SECTION,…] [--quick] [--json] [--backend node|web|portable] [--envelopes N] [--gib N]
// Sections: blocks, small, sizes, recipients, costs, rekey, envelopes, kdf, sustained, pool, stream, package, memory.
// The last five measure dist: run `npm run build` first.
// --envelopes: the largest stream to rekey, in powers of ten from 1,000. The default is 10,000; 1,000,000 take 10 to 40
// minutes. --gib: how long the streams are whose memory is measured; 4 unless given.
import { backend, nodeBackend, portableBackend, webBackend } from '../test/platforms.ts'
import { deriveClient, generateTypedKey } from '../src/client.ts'
import { parseArgs } from 'node:util'
import { OpenedVault } from '../src/vault/block.ts'
import { createKeyset } from '../src/index.ts'
import { generateDataKey } from '../src/vault/keyring.ts'
import { useBackend } from '../src/primitives/choice.ts'
import { benchClient, benchKeyset, benchVault, type Row } from './blocks.ts'
import { benchCosts, type CostRow } from './costs.ts'
import { benchRecipients, type RecipientRow } from './growth.ts'
import { benchImports, type ImportRow } from './imports.ts'
import { benchKdfs, type KdfRow } from './kdf.ts'
import { benchMemory, type MemoryRow } from './memory.ts'
import { describeMachine, type Machine } from './machine.ts'
import { benchRekey, benchStream, type RekeyRow, type StreamRow } from './rekey.ts'
import { measureSizes, type SizeRow } from './size.ts'
import { benchSmall } from './small.ts'
import {
  benchPool,
  benchStreamMemory,
  benchSustained,
  type PoolRow,
  type StreamMemoryRow,
  type SustainedRow,
} from './sustained.ts'

/** The results of one run, as `--json` prints them. Sections that were not requested are absent. */
export interface Results {
  machine: Machine
  rounds: number
  blocks?: Row[]
  small?: Row[]
  sizes?: Row[]
  recipients?: RecipientRow[]
  costs?: CostRow[]
  rekey?: RekeyRow[]
  envelopes?: StreamRow[]
  sustained?: SustainedRow[]
  pool?: PoolRow[]
  stream?: StreamMemoryRow[]
  kdf?: KdfRow[]
  memory?: MemoryRow[]
  package?: { imports: ImportRow[]; sizes: SizeRow[] }
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    backend: { type: 'string' },
    envelopes: { type: 'string' },
    gib: { type: 'string' },
  },
})
if (values.backend !== undefined) {
  const named = [nodeBackend(), webBackend(), portableBackend].find((each) => each?.name === values.backend)
  if (named === undefined) throw new Error(`backend ${values.backend} is not available here`)
  useBackend(named)
}
const rounds = values.quick === true ? 5 : 15

const KIB = 1024
const MODES = (['hybrid', 'x25519'] as const).flatMap((encryption) =>
  (['scoped', 'global', 'off'] as const).map((dedup) => ({ encryption, dedup })),
)
const HYBRID = { encryption: 'hybrid', dedup: 'scoped' } as const

const keyset = await createKeyset('password', {
  encryption: 'none',
  costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 },
})
const vault = new OpenedVault(new Uint8Array(16), generateDataKey())
const names = { realm: 'bench', account: 'account', name: 'client', platform: 'linux' } as const
const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })

const sections = {
  async blocks() {
    const rows: Row[] = []
    for (const bytes of [64 * KIB, 1024 * KIB, 8192 * KIB]) {
      for (const choice of [...MODES, { encryption: 'none', dedup: 'scoped' } as const]) {
        rows.push(...(await benchKeyset(keyset, bytes, choice, rounds)))
      }
      rows.push(...(await benchVault(vault, bytes, rounds)), ...(await benchClient(client, bytes, rounds)))
    }
    return rows
  },
  small: () => benchSmall(keyset, vault, client, 3 * rounds),
  async sizes() {
    const rows: Row[] = []
    for (let bytes = 4 * KIB; bytes <= 65_536 * KIB; bytes *= 4) {
      rows.push(...(await benchKeyset(keyset, bytes, HYBRID, rounds)))
      rows.push(...(await benchVault(vault, bytes, rounds)), ...(await benchClient(client, bytes, rounds)))
    }
    return rows
  },
  recipients: () => benchRecipients(keyset, rounds),
  async costs() {
    return [
      ...(await benchCosts(keyset, 64 * KIB, rounds)),
      ...(await benchCosts(keyset, 1024 * KIB, rounds)),
      ...(await benchCosts(keyset, 8192 * KIB, rounds)),
    ]
  },
  async rekey() {
    return [...(await benchRekey(keyset, 'hybrid', rounds)), ...(await benchRekey(keyset, 'x25519', rounds))]
  },
  async envelopes() {
    const rows: StreamRow[] = []
    for (let count = 1000; count <= Number(values.envelopes ?? 10_000); count *= 10) {
      rows.push(await benchStream(keyset, count))
    }
    return rows
  },
  sustained: async () => benchSustained(values.quick === true ? 1024 : 4096),
  pool: async () => benchPool(Math.max(2, describeMachine().cores), values.quick === true ? 1024 : 2048),
  stream: async () => benchStreamMemory(Number(values.gib ?? 4)),
  kdf: () => benchKdfs(Math.min(rounds, 5)),
  package: async () => ({
    imports: benchImports(rounds),
    sizes: await measureSizes(new URL('..', import.meta.url).pathname),
  }),
  memory: async () => [benchMemory(8192 * KIB), benchMemory(65_536 * KIB)],
}

const wanted = values.only?.split(',') ?? Object.keys(sections)
const results: Results = { machine: describeMachine(), rounds }
for (const section of wanted) {
  if (!Object.hasOwn(sections, section))
    throw new Error(`no section ${section}: use one of ${Object.keys(sections).join(', ')}`)
  const started = performance.now()
  Object.assign(results, { [section]: await sections[section as keyof typeof sections]() })
  console.error(`${section}: ${Math.round((performance.now() - started) / 1000)} s`)
}

if (values.json === true) console.log(JSON.stringify(results, undefined, 1))
else print(results)

function print({
  machine,
  blocks,
  small,
  sizes,
  recipients,
  costs,
  rekey,
  envelopes,
  sustained,
  pool,
  stream,
  kdf,
  memory,
  package: built,
}: Results): void {
  const provider = backend().providers['ML-KEM-1024']
  console.log(
    `Node ${machine.node}, backend ${machine.backend} (ML-KEM: ${provider}), ${machine.cores} × ${machine.cpu}`,
  )
  console.log(`medians of ${rounds} rounds; ratio: the time of the bare primitives divided by ours (1 is best)`)
  const inKiB = (bytes: number) => `${bytes / KIB} KiB`
  const speeds = (rows: Row[]) =>
    rows.map(({ bytes, model, work, microseconds, mbPerSecond, bareMbPerSecond, ratio }) => [
      inKiB(bytes),
      model,
      work,
      microseconds,
      mbPerSecond,
      bareMbPerSecond,
      ratio.toFixed(2),
    ])
  const speed = ['block', 'model', 'work', 'µs', 'MB/s', 'bare MB/s', 'ratio']
  table(speed, blocks && speeds(blocks))
  table(speed, small && speeds(small))
  table(speed, sizes && speeds(sizes))
  table(
    ['shares', 'µs to seal 4 KiB'],
    recipients?.map(({ shares, microseconds }) => [shares, microseconds]),
  )
  table(
    ['block', 'work', 'part', 'µs'],
    costs?.map(({ bytes, work, part, microseconds }) => [inKiB(bytes), work, part, microseconds]),
  )
  table(
    ['envelopes', 'encryption', 'per second', 'bare', 'ratio'],
    rekey?.map(({ work, encryption, perSecond, barePerSecond, ratio }) => [
      work,
      encryption,
      perSecond,
      barePerSecond,
      ratio.toFixed(2),
    ]),
  )
  table(
    ['envelopes in a stream', 'per second', 'peak MiB', 'peak MiB, first tenth'],
    envelopes?.map(({ envelopes, perSecond, peak, peakOfFirstTenth }) => [
      envelopes,
      perSecond,
      peak,
      peakOfFirstTenth,
    ]),
  )
  table(
    ['stream of blocks', 'encryption', 'work', 'ms', 'bare ms', 'ratio', 'collections %', 'bare %'],
    sustained?.map(
      ({ bytes, encryption, work, milliseconds, bareMilliseconds, ratio, collections, bareCollections }) => [
        inKiB(bytes),
        encryption,
        work,
        milliseconds,
        bareMilliseconds,
        ratio.toFixed(2),
        collections,
        bareCollections,
      ],
    ),
  )
  table(
    ['pool', 'threads', 'speedup over one thread'],
    pool?.map(({ work, bytes, threads, gain }) => [
      bytes === undefined ? work : `${work} ${inKiB(bytes)}`,
      threads,
      gain.toFixed(2),
    ]),
  )
  table(
    ['stream, GiB', 'block', 'threads', 'allowed MiB', 'grown MiB in each tenth'],
    stream?.map(({ totalGiB, bytes, threads, allowedMiB, grownMiBInEachTenth }) => [
      totalGiB,
      inKiB(bytes),
      threads,
      allowedMiB,
      grownMiBInEachTenth.join(' '),
    ]),
  )
  table(
    ['password hash', 'by', 'ms'],
    kdf?.map(({ kdf, by, milliseconds }) => [kdf, by, milliseconds]),
  )
  table(
    ['sealing', 'MiB in addition to content and ciphertext'],
    memory?.map(({ bytes, beyondMiB }) => [inKiB(bytes), beyondMiB]),
  )
  table(
    ['import', 'ms more than an empty module'],
    built?.imports.map(({ entry, milliseconds }) => [entry, milliseconds]),
  )
  table(
    ['bundled for a browser', 'bytes, gzipped', 'budget'],
    built?.sizes.map(({ what, bytes, budget }) => [what, bytes, budget]),
  )
}

/** Prints a table, text aligned left and numbers right. Prints nothing for a section that was not requested. */
function table(heads: readonly string[], rows: readonly (string | number)[][] | undefined): void {
  if (rows === undefined) return
  const lines = [heads, ...rows.map((row) => row.map(String))]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  console.log()
  for (const line of lines) {
    const cells = line.map((cell, column) => {
      const isNumber = /^[\d.]+$/.test(rows[0]?.[column]?.toString() ?? '')
      return isNumber ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    })
    console.log(cells.join('  ').trimEnd())
  }
}
