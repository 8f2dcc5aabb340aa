import { roundTrip } from './round-trip.js'

const result = document.getElementById('result')
roundTrip().then(
  (found) => (result.textContent = JSON.stringify(found)),
  (error) => (result.textContent = String(error)),
)
