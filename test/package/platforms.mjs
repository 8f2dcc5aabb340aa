// Runs everywhere.mjs, with the installed package, on every runtime, and compares what it finds.
import { strict as assert } from 'node:assert'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { chromium } from 'playwright'
import { Firefox, Profile } from '../browser/firefox.ts'
import { WebKit } from '../browser/webkit.ts'
import { MINIFLARE, packageFolder, programOf, RUNTIMES, WORKERD } from '../runtimes/runtimes.ts'

/** With the flag nodejs_compat, workerd has node:crypto. */
const COMPATIBILITY = { compatibilityDate: '2026-04-01' }
const PAGE_MS = 300_000

const execute = promisify(execFile)

/** Runs it as a program. */
async function onCommandLine(folder, [program, ...args]) {
  const { stdout } = await execute(program, [...args, 'everywhere-program.mjs'], { cwd: folder })
  return JSON.parse(stdout)
}

const bundle = (folder, entryPoints) =>
  build({
    absWorkingDir: folder,
    entryPoints,
    outdir: 'bundled',
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'warning',
  })

/** Serves the folder of the bundle to a browser, and reads the page until it has the outcome. */
async function inBrowser(folder, open) {
  await bundle(folder, { page: 'everywhere-page.mjs', worker: 'keystrata/pool/worker' })
  const server = createServer(({ url }, response) => {
    const [, name] = /^\/(page|worker)\.js$/.exec(url) ?? []
    if (name === undefined)
      return response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><script type="module" src="/page.js"></script>')
    const script = readFileSync(join(folder, 'bundled', `${name}.js`))
    return response.setHeader('content-type', 'text/javascript; charset=utf-8').end(script)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const opened = await open(`http://localhost:${server.address().port}/`)
  try {
    for (const start = Date.now(); Date.now() - start < PAGE_MS; await pause(500)) {
      const outcome = await opened.evaluate(`String(globalThis.outcome ?? '')`)
      if (outcome !== '') return JSON.parse(outcome)
    }
    throw new Error('the page has no result yet')
  } finally {
    await opened.close()
    server.close()
    server.closeAllConnections()
  }
}

async function openChromium(url) {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  const page = await browser.newPage()
  await page.goto(url)
  return { evaluate: (expression) => page.evaluate(expression), close: () => browser.close() }
}

async function openFirefox(url) {
  const profile = new Profile()
  const firefox = await Firefox.start(profile)
  const tab = await firefox.tab(url)
  const close = async () => {
    await firefox.kill()
    profile.remove()
  }
  return { evaluate: (expression) => firefox.evaluate(tab, expression), close }
}

async function openWebKit(url) {
  const webkit = await WebKit.start()
  await webkit.navigate(url)
  return webkit
}

/** Runs it in workerd, with node:crypto or without. */
async function inWorkerd(folder, compatibilityFlags) {
  await bundle(folder, { workerd: 'everywhere-worker.mjs' })
  const load = createRequire(join(packageFolder('miniflare', MINIFLARE), 'package.json'))
  assert.equal(load('workerd/package.json').version, WORKERD)
  const { Miniflare } = load('miniflare')
  const modulesRoot = join(folder, 'bundled')
  const options = { modules: true, modulesRoot, scriptPath: join(modulesRoot, 'workerd.js') }
  const miniflare = new Miniflare({ ...options, ...COMPATIBILITY, compatibilityFlags })
  try {
    return await (await miniflare.dispatchFetch('http://localhost/')).json()
  } finally {
    await miniflare.dispose()
  }
}

/** The runtimes that are no programs with a command line. */
export const OTHERS = {
  chromium: (folder) => inBrowser(folder, openChromium),
  firefox: (folder) => inBrowser(folder, openFirefox),
  webkit: (folder) => inBrowser(folder, openWebKit),
  workerd: (folder) => inWorkerd(folder, []),
  'workerd-node': (folder) => inWorkerd(folder, ['nodejs_compat']),
}

/** The runtimes without threads. The pool must say so. */
const THREADLESS = ['workerd', 'workerd-node']

/** Throws unless each runtime finds what this Node finds, and what test/vectors say. */
export async function checkEverywhere(folder, names, expected) {
  const here = await onCommandLine(folder, [process.execPath])
  for (const name of ['this Node', ...names]) {
    const run = OTHERS[name] ?? (() => onCommandLine(folder, [programOf(RUNTIMES[name]), ...RUNTIMES[name].before]))
    const { error, found, platform } = name === 'this Node' ? here : await run(folder)
    assert.equal(error, undefined, `${name}: ${error}`)
    const { contents, records, revision } = found.frozen
    assert.deepEqual({ contents, records, revision }, expected, `${name} does not open what test/vectors contains`)
    assert.deepEqual(found, here.found, `${name} does not find what Node finds`)
    const { backend, threads, milliseconds } = platform
    const isThreadless = THREADLESS.includes(name)
    assert.match(threads, isThreadless ? /^TypeError: / : /^my file$/, `${name}: the pool`)
    console.log(
      `${name}: the same results in ${milliseconds / 1000} s; ${backend}, ${isThreadless ? 'no' : 'with'} threads`,
    )
  }
}
