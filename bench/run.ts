// npm run bench -- [--quick] [--json] [--backend node|web|portable] [--envelopes N]
// --envelopes rekeys a stream of N envelopes besides, and tells the memory that it took: 1000000 take about 20 minutes.
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { OpenedVault } from '../src/handles/vault.ts'
import { createKeyset } from '../src/index.ts'
import { backend, useBackend } from '../src/primitives/backend.ts'
import { nodeBackend } from '../src/primitives/backend-node.ts'
import { portableBackend } from '../src/primitives/backend-portable.ts'
import { webBackend } from '../src/primitives/backend-web.ts'
import { generateDataKey } from '../src/keys/hierarchy.ts'
import { benchKeyset, benchVault, type Row } from './blocks.ts'
import { benchPool } from './pool.ts'
import { benchMemory, benchRekey } from './rekey.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    backend: { type: 'string' },
    envelopes: { type: 'string' },
  },
})
if (values.backend !== undefined) {
  const named = [nodeBackend(), webBackend(), portableBackend].find((each) => each?.name === values.backend)
  if (named === undefined) throw new Error(`no backend ${values.backend} here`)
  useBackend(named)
}
const rounds = values.quick === true ? 5 : 15

const KIB = 1024
const sizes = [64 * KIB, 1024 * KIB, 8192 * KIB]
const encrypted = (['hybrid', 'x25519'] as const).flatMap((encryption) =>
  (['scoped', 'global', 'off'] as const).map((dedup) => ({ encryption, dedup })),
)
const choices = [...encrypted, { encryption: 'none', dedup: 'scoped' } as const]

const keyset = await createKeyset('password', {
  encryption: 'none',
  costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 },
})
const vault = new OpenedVault(new Uint8Array(16), generateDataKey())
const rows: Row[] = []
for (const bytes of sizes) {
  for (const choice of choices) rows.push(...(await benchKeyset(keyset, bytes, choice, rounds)))
  rows.push(...(await benchVault(vault, bytes, rounds)))
}

const rekeyed = [...(await benchRekey(keyset, 'hybrid', rounds)), ...(await benchRekey(keyset, 'x25519', rounds))]
const threads = Math.max(2, availableParallelism())
const pooled = await benchPool(keyset, threads, Math.min(rounds, 7))
const memory = values.envelopes === undefined ? undefined : await benchMemory(keyset, Number(values.envelopes))

const { name, providers } = backend()
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  backend: name,
  providers,
}
if (values.json === true) {
  console.log(JSON.stringify({ ...machine, rounds, rows, rekeyed, pooled, memory }, undefined, 2))
} else {
  console.log(
    `Node ${machine.node}, backend ${name} (ML-KEM: ${providers['ML-KEM-1024']}), ${machine.cores} × ${machine.cpu}`,
  )
  console.log(`MB/s, medians of ${rounds} samples that take turns; ratio: bare primitives' time to ours\n`)
  console.log('    KiB  model            seal   bare  ratio    open   bare  ratio')
  for (let index = 0; index < rows.length; index += 2) {
    const [seal, open] = [rows[index]!, rows[index + 1]!]
    const cells = (row: Row) =>
      `${String(row.mbPerSecond).padStart(6)} ${String(row.bareMbPerSecond).padStart(6)} ${row.ratio.toFixed(2).padStart(6)}`
    const head = `${String(seal.bytes / KIB).padStart(7)}  ${seal.model.padEnd(13)}`
    console.log(`${head} ${cells(seal)}  ${cells(open)}`)
  }
  console.log('\nenvelopes a second             ours   bare  ratio')
  for (const { work, encryption, perSecond, barePerSecond, ratio } of rekeyed) {
    const cells = `${String(perSecond).padStart(6)} ${String(barePerSecond).padStart(6)} ${ratio.toFixed(2).padStart(6)}`
    console.log(`         ${`${work} ${encryption}`.padEnd(18)} ${cells}`)
  }
  console.log(`\npool of ${threads} threads     gain over one thread`)
  for (const { work, bytes, gain } of pooled) {
    const what = work === 'seal' ? `seal ${bytes / KIB} KiB` : work
    console.log(`         ${what.padEnd(18)} ${gain.toFixed(2).padStart(6)}`)
  }
  if (memory !== undefined) {
    const { envelopes, perSecond, peakOfFirstTenth, peak } = memory
    console.log(`\n${envelopes} envelopes rekeyed in a stream, ${perSecond} a second`)
    console.log(`memory beyond the start: at most ${peak} MiB, ${peakOfFirstTenth} MiB of them in the first tenth`)
  }
}
