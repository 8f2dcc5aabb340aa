// Builds dist/: types, and one file for each module, so that bundlers leave out the modules that a program does not use.
import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const files = readdirSync('src', { recursive: true }).filter((path) => path.endsWith('.ts'))
rmSync('dist', { recursive: true, force: true })
execFileSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'], {
  stdio: 'inherit',
})
await build({
  entryPoints: files.map((path) => join('src', path)),
  outdir: 'dist',
  // What esbuild adds for `using` goes to one file that all modules share.
  bundle: true,
  splitting: true,
  packages: 'external',
  format: 'esm',
  target: 'es2022',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  plugins: [
    {
      name: 'one file for each module',
      setup({ onResolve }) {
        onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ path, kind }) =>
          kind === 'entry-point' ? undefined : { path: path.replace(/\.ts$/, '.js'), external: true },
        )
      },
    },
  ],
})
