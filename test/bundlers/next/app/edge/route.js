import { selfTest } from 'keystrata'
import { roundTrip } from '../../round-trip.js'

export const runtime = 'edge'

export async function GET() {
  return Response.json({ ...(await roundTrip()), ...(await selfTest()) })
}
