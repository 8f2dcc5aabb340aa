// Checks the syntax of the files that are published: what makes some bundlers add code of their own, or refuse a file.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { transform } from 'esbuild'
import ts from 'typescript'

/** Names of Node. Parcel, webpack and Vite's plugins add a replacement to a bundle that uses one of them. */
const GLOBALS = ['Buffer', 'process', 'global', 'setImmediate', 'clearImmediate', 'require', '__dirname', '__filename']
const MARK = 'FREE_NAME_OF_NODE_'

export async function checkGlobals(dist) {
  const files = readdirSync(dist, { recursive: true }).filter((path) => path.endsWith('.js'))
  if (files.length < 10) throw new Error(`${dist} has only ${files.length} files`)
  // esbuild replaces these names only where no scope declares them.
  const define = Object.fromEntries(GLOBALS.map((name) => [name, MARK + name]))
  for (const file of files) {
    const text = readFileSync(join(dist, file), 'utf8')
    const { code } = await transform(text, { define, format: 'esm', target: 'es2022' })
    const [, name] = code.match(new RegExp(`${MARK}(\\w+)`)) ?? []
    if (name !== undefined) throw new Error(`${file} uses the global ${name}: take it from builtinModule()`)
    const visit = (node) => {
      if (ts.isClassStaticBlockDeclaration(node)) throw new Error(`${file} has a static block: Metro refuses it`)
      ts.forEachChild(node, visit)
    }
    visit(ts.createSourceFile(file, text, ts.ScriptTarget.ESNext))
  }
  // The check itself must notice what it looks for.
  const { code } = await transform('export const f = () => Buffer.from(process.argv)', { define })
  if (code.split(MARK).length !== 3) throw new Error('esbuild does not replace free names any more')
  return files.length
}
