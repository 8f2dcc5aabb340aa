// Bundles a program, because one that loads TypeScript takes a second to start, and these tests start many.
import { join } from 'node:path'
import { build } from 'esbuild'

/**
 * Bundles a program into `folder`, and returns the path of the bundle.
 * @param from the folder of the program, by default this one
 */
export async function bundled(name: string, folder: string, from: string = import.meta.dirname): Promise<string> {
  const outfile = join(folder, `${name}.mjs`)
  await build({
    entryPoints: [join(from, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: ['pg-native'],
    // The driver of PostgreSQL calls require.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    // An example that is imported must not take the bundle for itself, and start.
    define: { 'import.meta.filename': 'undefined' },
    tsconfig: join(import.meta.dirname, '../../tsconfig.json'),
  })
  return outfile
}
