// One process of user-service.ts: `user-service-process.ts CONFIG ADMIN_HASH [WRITE WHEN]`. It prints its URL. If WRITE is
// given, it kills itself by SIGKILL right before or right after that write to a user's objects, counted from 1.
import pg from 'pg'
import { listen } from '../../examples/http.ts'
import { createUserService } from '../../examples/user-service.ts'
import { type StateStore } from '../../src/stores.ts'
import { postgresStateStore } from '../../src/stores/postgres.ts'

const [config = '', adminHash = '', last = '', when = ''] = process.argv.slice(2)
const pool = new pg.Pool({ ...(JSON.parse(config) as pg.PoolConfig), max: 8 })
pool.on('error', console.error)

function dying(store: StateStore): StateStore {
  let writes = 0
  return {
    read: (name) => store.read(name),
    readVersion: (name, version) => store.readVersion(name, version),
    drop: (name, below) => store.drop(name, below),
    async write(...written) {
      writes++
      const isLast = writes === Number(last)
      if (isLast && when === 'before') process.kill(process.pid, 'SIGKILL')
      const answer = await store.write(...written)
      if (isLast && when === 'after') process.kill(process.pid, 'SIGKILL')
      return answer
    },
  }
}

// The tests log in far more often than a user does, and all from one address.
const often = { burst: 100_000, perMinute: 100_000 }
const limits = { address: often, user: often, writes: often }
const state = dying(postgresStateStore(pool))
console.log(await listen(createUserService(pool, { adminHash, limits, cost: 10, state })))
