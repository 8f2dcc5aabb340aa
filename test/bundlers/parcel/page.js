import { poolRoundTrip, roundTrip } from './round-trip.js'
import { show } from './show.js'

const worker = () => new Worker(new URL('npm:keystrata/pool/worker', import.meta.url), { type: 'module' })

async function find() {
  return { ...(await roundTrip()), pool: await poolRoundTrip(), given: await poolRoundTrip({ worker }) }
}
show(find())
