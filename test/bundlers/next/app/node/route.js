import { selfTest } from 'keystrata'
import { poolRoundTrip, roundTrip } from '../../round-trip.js'

export const dynamic = 'force-dynamic'

export async function GET() {
  return Response.json({ ...(await roundTrip()), pool: await poolRoundTrip(), ...(await selfTest()) })
}
