// What bundlers make of the package: sizes within the budgets, and nothing in a bundle that is not used there.
import { bundleOf, measureSizes } from '../../bench/size.ts'

/** By what is imported, what must not come along. */
const WITHOUT = [
  ["{ KeystrataError } from 'keystrata'", /@noble|bcryptjs|des\.js/],
  ["{ parseBlock, encodeBlock } from 'keystrata'", /@noble|bcryptjs|des\.js/],
  // These hash or decrypt, and a backend is all primitives or none; passwords of servers, DES and threads are another matter.
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
  if (over.length > 0) throw new Error(`over the budget of bench/size.ts: ${JSON.stringify(over)}`)

  for (const [what, unwanted] of WITHOUT) {
    const { inputs } = await bundle(folder, `export ${what}`)
    const found = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0 && unwanted.test(path))
    if (found.length > 0) throw new Error(`a bundle of ${what} has ${found.join(', ')}`)
  }
  for (const entry of ENTRIES) {
    const { bytes } = await bundle(folder, `import '${entry}'`)
    if (bytes > 0) throw new Error(`importing ${entry} for nothing makes ${bytes} bytes`)
  }
  // The other way round: what a thread runs is there though nobody uses a value of it.
  const { bytes } = await bundle(folder, "import 'keystrata/pool/worker'")
  if (bytes === 0) throw new Error('the worker was shaken off')
}

async function bundle(folder, contents) {
  const { metafile } = await bundleOf(folder, contents)
  return Object.values(metafile.outputs)[0]
}
