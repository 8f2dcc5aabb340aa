import { selfTest } from 'keystrata'
import { roundTrip } from '../../round-trip.js'

export const dynamic = 'force-dynamic'

export async function GET() {
  return Response.json({ ...(await roundTrip()), ...(await selfTest()) })
}
