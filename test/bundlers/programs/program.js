// With the pool as it is. It runs in Node, and in a page.
import { poolRoundTrip, roundTrip } from './round-trip.js'
import { show } from './show.js'

async function find() {
  return { ...(await roundTrip()), pool: await poolRoundTrip() }
}
show(find())
