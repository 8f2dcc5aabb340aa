// Every entry that an app of React Native can use.
import * as main from 'keystrata'
import * as client from 'keystrata/client'
import * as device from 'keystrata/device'
import * as stores from 'keystrata/stores'
import * as http from 'keystrata/stores/http'
import * as vault from 'keystrata/vault'
import { roundTrip } from './round-trip.js'

globalThis.entries = [main, client, device, stores, http, vault].map((entry) => Object.keys(entry).length)
globalThis.result = roundTrip()
