// For a script that is no module, and does not know its own address.
import { poolRoundTrip, roundTrip } from './round-trip.js'
import { show } from './show.js'

async function find() {
  return { ...(await roundTrip()), pool: await poolRoundTrip({ worker: new URL('worker.js', document.baseURI) }) }
}
show(find())
