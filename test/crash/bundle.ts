// Bundles a program, because one that loads TypeScript takes a second to start, and these tests start many.
import { join } from 'node:path'
import { build } from 'esbuild'

/** Bundles a program of this folder into `folder`, and returns the path of the bundle. */
export async function bundled(name: string, folder: string): Promise<string> {
  const outfile = join(folder, `${name}.mjs`)
  await build({
    entryPoints: [join(import.meta.dirname, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: ['pg-native'],
    // The driver of PostgreSQL calls require.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    tsconfig: join(import.meta.dirname, '../../tsconfig.json'),
  })
  return outfile
}
