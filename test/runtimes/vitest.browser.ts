// Runs the suite in a browser, with the web and the portable backend: npm run test:chromium, npm run test:firefox.
// Chromium (CHROMIUM, or /usr/bin/chromium) and Firefox (FIREFOX, or /usr/bin/firefox-esr) run without a window.
import { realpathSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import type { Plugin } from 'vite'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import { EXCLUDED } from './excluded.ts'
import { firefox } from './firefox-provider.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * What worker files contain in the browser. There, workers import the source as vite serves it. The files for Node load
 * tsx first, and one of them ends its process. The thread for password hashes, which is for servers, does not start.
 */
const threads: Readonly<Record<string, string>> = {
  'examples/worker.mjs': `import '/src/pool/worker.ts'`,
  'src/server/hash-thread.ts': `throw new Error('no server runs in a browser')`,
  'test/pool/mortal.mjs': `
    import '/test/pool/mortal.mjs?first'
    import '/src/pool/worker.ts'`,
  'test/pool/mortal.mjs?first': `
    addEventListener('message', (event) => {
      if (event.data.task.content?.length !== 666 + 128) return
      event.stopImmediatePropagation()
      throw new Error('dead')
    })`,
}
const threadsFromSource: Plugin = {
  name: 'threads-from-source',
  enforce: 'pre',
  load: (id) => threads[relative(root, id)],
}

const chromium = () =>
  playwright({
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
        ...['--disable-background-networking', '--disable-component-update'],
        ...['--enable-precise-memory-info', '--js-flags=--expose-gc'],
      ],
    },
  })

const PROVIDERS = { chromium, firefox }
const name = process.env['BROWSER'] === 'firefox' ? 'firefox' : 'chromium'

const config: ViteUserConfig = defineConfig({
  root,
  plugins: [threadsFromSource],
  resolve: {
    alias: [
      { find: 'node:crypto', replacement: here('browser/crypto.ts') },
      { find: 'node:vm', replacement: here('browser/vm.ts') },
      { find: /^.*\/files\.ts$/, replacement: here('browser/files.ts') },
      { find: /^(?:\.\.?\/)+memory\.ts$/, replacement: here('browser/memory.ts') },
    ],
  },
  // Bundled before the first test. Otherwise vite would find them later and reload the page during a test.
  optimizeDeps: { include: ['buffer/', 'des.js', 'fast-check', 'bcryptjs', 'micro-packed'] },
  // node_modules may be a link to another folder.
  server: {
    fs: { allow: [root, dirname(realpathSync(`${root}node_modules/vitest`))] },
    // Tests use shared memory, which only such pages have.
    headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: EXCLUDED[name]!.map(({ file }) => file),
    setupFiles: [here('browser/setup.ts')],
    isolate: false,
    env: { RUNTIME: name === 'firefox' ? 'Firefox' : 'Chrome' },
    reporters: ['default', './test/plain-summary.ts'],
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      instances: [{ browser: name }],
      provider: PROVIDERS[name](),
    },
  },
})

export default config
