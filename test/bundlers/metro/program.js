// Every entry that an app of React Native can use, and the pool, which says that there are no threads.
import * as main from 'keystrata'
import * as client from 'keystrata/client'
import * as device from 'keystrata/device'
import * as stores from 'keystrata/stores'
import * as http from 'keystrata/stores/http'
import * as vault from 'keystrata/vault'
import { poolRoundTrip, roundTrip } from './round-trip.js'

async function find() {
  return { ...(await roundTrip()), pool: await poolRoundTrip() }
}

globalThis.entries = [main, client, device, stores, http, vault].map((entry) => Object.keys(entry).length)
globalThis.result = find()
