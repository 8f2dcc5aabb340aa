// Runs everywhere.mjs in a page. The browser's driver reads `outcome` until it is there.
import { useEverywhere } from './everywhere.mjs'
import frozen from './frozen.json'

useEverywhere(frozen)
  .catch((error) => ({ error: `${error}\n${error.stack}` }))
  .then((found) => (globalThis.outcome = JSON.stringify(found)))
