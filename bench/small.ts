// Small blocks: 64 KiB, where the fixed cost of a block matters most. The same comparison as in blocks.ts, for one size.
import { type Client } from '../src/client.ts'
import { type Keyset } from '../src/index.ts'
import { type Vault } from '../src/vault.ts'
import { benchClient, benchKeyset, benchVault, type Row } from './blocks.ts'

const BYTES = 64 * 1024

export async function benchSmall(keyset: Keyset, vault: Vault, client: Client, rounds: number): Promise<Row[]> {
  const rows = [...(await benchVault(vault, BYTES, rounds)), ...(await benchClient(client, BYTES, rounds))]
  for (const dedup of ['scoped', 'global', 'off'] as const) {
    rows.push(...(await benchKeyset(keyset, BYTES, { encryption: 'hybrid', dedup }, rounds)))
  }
  rows.push(...(await benchKeyset(keyset, BYTES, { encryption: 'x25519', dedup: 'scoped' }, rounds)))
  return rows
}
