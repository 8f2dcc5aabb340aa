// Builds dist/: types, and bundled entries from which a bundler can drop whatever a program does not use.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const ENTRIES = ['index', 'vault', 'client', 'device', 'server', 'pool', 'recovery', 'fleet', 'legacy', 'stores']
/**
 * What these entries share with others goes to files of its own, and the entries are deleted. A bundler leaves out a file
 * of which a program uses nothing, but not what looks like a side effect in a file that it uses.
 */
const SEPARATE = {
  'separate-index': 'src/index.ts',
  'separate-worker': 'src/pool/worker.ts',
  'separate-calibrate': 'src/core/calibrate.ts',
}
const STORES = ['folder', 'postgres', 'indexeddb', 's3', 'http', 'contract']

const files = readdirSync('src', { recursive: true }).filter((path) => path.endsWith('.ts'))
const pure = files.flatMap((path) =>
  [
    ...readFileSync(join('src', path), 'utf8').matchAll(/@__NO_SIDE_EFFECTS__ \*\/\nexport (?:function|const) (\w+)/g),
  ].map(([, name]) => name),
)
const calls = new RegExp(`(?<![\\w.$]|function )(?:${pure.join('|')})(?:<[\\w<>[\\], ]+>)?\\(`, 'g')

rmSync('dist', { recursive: true, force: true })
execFileSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'], {
  stdio: 'inherit',
})

/** @type {import('esbuild').BuildOptions} */
const common = {
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  target: 'es2022',
  logLevel: 'warning',
}

await build({
  ...common,
  entryPoints: {
    ...Object.fromEntries(
      [...ENTRIES, ...STORES.map((store) => `stores/${store}`)].map((entry) => [entry, `src/${entry}.ts`]),
    ),
    // A file of its own, because programs that use nothing else of an entry still look at errors.
    errors: 'src/core/errors.ts',
    // What React Native gets instead of the pool: its compiler refuses import.meta.
    'no-pool': 'src/pool/no-pool.ts',
    ...SEPARATE,
  },
  splitting: true,
  packages: 'external',
  sourcemap: true,
  sourcesContent: false,
  plugins: [
    {
      // esbuild respects @__NO_SIDE_EFFECTS__ only inside one file. This marks the calls in all files, and leaves out the
      // examples in docstrings.
      name: 'pure calls',
      setup({ onLoad }) {
        onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => ({
          contents: readFileSync(path, 'utf8').replaceAll(/^(?! *\*).*$/gm, (line) =>
            line.replace(calls, '/* @__PURE__ */ $&'),
          ),
          loader: 'ts',
        }))
      },
    },
  ],
})

for (const name of Object.keys(SEPARATE)) for (const end of ['js', 'js.map']) rmSync(join('dist', `${name}.${end}`))

// The files that threads run have nothing beside them, dependencies included: many bundlers copy the file that
// `new URL('./worker.js', import.meta.url)` names, and nothing that it imports.
await build({
  ...common,
  entryPoints: { worker: 'src/pool/worker.ts', 'hash-thread': 'src/server/hash-thread.ts' },
  minify: true,
  legalComments: 'inline',
  // bcryptjs asks whether it is there. Parcel adds a replacement for it to a bundle that names it alone.
  define: { setImmediate: 'globalThis.setImmediate' },
})
