// One process of the storage service, over a PostgreSQL database that others use too: `storage-process.ts CONFIG ROOT`. It
// prints its URL. It runs until its standard input ends.
import pg from 'pg'
import { close, listen } from '../../examples/http.ts'
import { createStorageService } from '../../examples/storage-service.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { postgresStateStore } from '../../src/stores/postgres.ts'
import { nodeBackend, portableBackend } from '../platforms.ts'

const [config = '', root = ''] = process.argv.slice(2)
const chosen = nodeBackend() ?? portableBackend
// Logins are not what this tests, so their password hashes cost almost nothing.
useBackend({
  ...chosen,
  argon2id: (password, salt, _costs, length, wait) =>
    chosen.argon2id(password, salt, { iterations: 1, memoryKiB: 8, lanes: 1 }, length, wait),
})
const pool = new pg.Pool({ ...(JSON.parse(config) as pg.PoolConfig), max: 5 })
const server = createStorageService(postgresStateStore(pool), root)
console.log(await listen(server))
process.stdin.resume().once('end', () => {
  void close(server).then(() => pool.end())
})
