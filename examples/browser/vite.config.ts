// Builds the page into `dist` in this folder: plain files that any web server can serve from any path.
import { fileURLToPath } from 'node:url'
import { defineConfig, type UserConfig } from 'vite'

const config: UserConfig = defineConfig({
  root: import.meta.dirname,
  base: './',
  resolve: {
    alias: { keystrata: fileURLToPath(new URL('../../src/index.ts', import.meta.url)) },
  },
  build: {
    target: 'es2022',
    // The page's security policy forbids inline code and fetched modules.
    modulePreload: false,
    assetsInlineLimit: 0,
  },
})

export default config
