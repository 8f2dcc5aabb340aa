// Bun copies a file that is imported as one.
import worker from 'keystrata/pool/worker' with { type: 'file' }
import { poolRoundTrip, roundTrip } from './round-trip.js'
import { show } from './show.js'

async function find() {
  return { ...(await roundTrip()), pool: await poolRoundTrip({ worker: new URL(worker, import.meta.url) }) }
}
show(find())
