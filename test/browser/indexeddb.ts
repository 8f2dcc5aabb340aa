// npm run test:indexeddb: runs the laws of the stores in IndexedDB in headless Firefox, with two tabs at once, a full disk,
// and a process that is killed after a write.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { build } from 'esbuild'
import { Firefox, Profile } from './firefox.ts'
import type { Results } from './indexeddb-page.ts'

const ADDITIONS = 40
/** A disk of 250 MB, of which a site may use a fifth. */
const DISK = { 'dom.quotaManager.temporaryStorage.fixedLimit': 250 * 1024 }

async function served(): Promise<{ url: string; close: () => void }> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'indexeddb-page.ts')],
    bundle: true,
    format: 'iife',
    target: 'es2022',
    write: false,
    logLevel: 'warning',
    // The library asks for them where they exist, and bundlers leave them out for browsers.
    external: ['node:*'],
  })
  const script = outputFiles[0]!.text
  const server = createServer((request, response) => {
    if (request.url === '/page.js') response.setHeader('content-type', 'text/javascript; charset=utf-8').end(script)
    else response.setHeader('content-type', 'text/html').end('<!doctype html><script src="/page.js"></script>')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() }
}

const counts = { passed: 0, failed: 0 }

function report(results: Results): void {
  for (const [name, problem] of results) {
    counts[problem === undefined ? 'passed' : 'failed']++
    console.log(
      `${problem === undefined ? 'ok    ' : 'FAILED'} ${name}${problem === undefined ? '' : `\n       ${problem}`}`,
    )
  }
}

/** Runs a call of the page in a tab. */
const run = async (firefox: Firefox, tab: string, call: string): Promise<Results> =>
  JSON.parse(await firefox.evaluate(tab, call)) as Results

async function main(): Promise<void> {
  const profile = new Profile(DISK)
  const { url, close } = await served()
  let firefox: Firefox | undefined
  try {
    firefox = await Firefox.start(profile)
    const [first, second] = [await firefox.tab(url), await firefox.tab(url)]
    report(await run(firefox, first, 'page.laws()'))
    if (counts.passed + counts.failed < 20) throw new Error('hardly any law was checked')
    const adding = `page.add(${ADDITIONS})`
    const [one, other] = await Promise.all([run(firefox, first, adding), run(firefox, second, adding)])
    report([...one, ...other])
    report(await run(firefox, second, `page.total(${2 * ADDITIONS})`))
    report(await run(firefox, first, `page.add(1)`))
    await firefox.kill()
    firefox = await Firefox.start(profile)
    const again = await firefox.tab(url)
    report(await run(firefox, again, `page.total(${2 * ADDITIONS + 1})`))
    report(await run(firefox, again, 'page.fill()'))
  } finally {
    await firefox?.kill()
    close()
    profile.remove()
  }
}

await main().catch((error: unknown) => {
  counts.failed++
  console.error(error)
})
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exitCode = counts.failed > 0 ? 1 : 0
