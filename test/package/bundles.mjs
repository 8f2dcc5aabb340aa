// Checks what bundlers make of the package: sizes stay within their budgets, and a bundle holds nothing that it does
// not use.
import { bundleOf, measureSizes } from '../../bench/size.ts'

/** For each import, what its bundle must not contain. */
const WITHOUT = [
  ["{ KeystrataError } from 'keystrata'", /@noble|bcryptjs|des\.js/],
  ["{ parseBlock, encodeBlock } from 'keystrata'", /@noble|bcryptjs|des\.js/],
  // These hash or decrypt, and a backend always brings all primitives. Verifiers, DES and threads must still stay
  // out.
  ["{ parseCard } from 'keystrata'", /bcryptjs|des\.js|dist\/(server|legacy|pool|worker)\.js/],
  ["{ openPackMember } from 'keystrata'", /bcryptjs|des\.js|dist\/(server|legacy|pool|worker)\.js/],
  ["* from 'keystrata'", /bcryptjs|des\.js|dist\/(server|legacy|pool|worker)\.js/],
  ["* from 'keystrata/pool'", /argon2|post-quantum|bcryptjs|des\.js|dist\/(index|server|legacy|worker)\.js/],
]
const ENTRIES = ['keystrata', 'keystrata/server', 'keystrata/legacy', 'keystrata/pool']

export async function checkBundles(folder) {
  const sizes = await measureSizes(folder)
  for (const { what, bytes } of sizes) console.log(`${(bytes / 1000).toFixed(1).padStart(6)} kB gzipped: ${what}`)
  const over = sizes.filter(({ bytes, budget }) => bytes > budget)
  if (over.length > 0) throw new Error(`bundle is over its budget in bench/size.ts: ${JSON.stringify(over)}`)

  for (const [what, unwanted] of WITHOUT) {
    const { inputs } = await bundle(folder, `export ${what}`)
    const found = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0 && unwanted.test(path))
    if (found.length > 0) throw new Error(`bundle of ${what} contains ${found.join(', ')}`)
  }
  for (const entry of ENTRIES) {
    const { bytes } = await bundle(folder, `import '${entry}'`)
    if (bytes > 0) throw new Error(`importing ${entry} without using it adds ${bytes} bytes to a bundle`)
  }
  // The worker is the opposite case: it must stay in the bundle although nobody uses a value of it.
  const { bytes } = await bundle(folder, "import 'keystrata/pool/worker'")
  if (bytes === 0) throw new Error('the worker is missing from its bundle: check sideEffects in package.json')
}

async function bundle(folder, contents) {
  const { metafile } = await bundleOf(folder, contents)
  return Object.values(metafile.outputs)[0]
}
