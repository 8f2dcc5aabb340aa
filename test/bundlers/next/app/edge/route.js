import { selfTest } from 'keystrata'
import { poolRoundTrip, roundTrip } from '../../round-trip.js'

export const runtime = 'edge'

export async function GET() {
  return Response.json({ ...(await roundTrip()), pool: await poolRoundTrip(), ...(await selfTest()) })
}
