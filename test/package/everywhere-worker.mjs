// Runs everywhere.mjs in workerd, the runtime of Cloudflare Workers, when it is asked for the result.
import { useEverywhere } from './everywhere.mjs'
import frozen from './frozen.json'

export default {
  async fetch() {
    return Response.json(await useEverywhere(frozen).catch((error) => ({ error: `${error}\n${error.stack}` })))
  },
}
