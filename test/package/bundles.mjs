// Checks the bundles that programs get: sizes stay within their budgets, and a bundle contains nothing that it does not
// use.
import { bundleOf, measureSizes } from '../../bench/size.ts'

/**
 * For each import, what its bundle must not contain: packages, and rooms or files of src. Shared chunks have no names
 * of their own, so the source maps tell what is in them.
 */
const WITHOUT = [
  ["{ KeystrataError } from 'keystrata'", /@noble|bcryptjs|src\/(?!core\/errors\.ts)/],
  ["{ parseBlock, encodeBlock } from 'keystrata'", /@noble|bcryptjs|src\/(?!core|primitives)/],
  ["{ parseCard } from 'keystrata'", /argon2|@noble\/ciphers|bcryptjs|src\/(?!core|primitives)/],
  ["{ openPackMember } from 'keystrata'", /argon2|curves|post-quantum|bcryptjs|src\/(?!core|primitives|keyset)/],
  [
    "{ openWriter, encodeBlock } from 'keystrata'",
    /argon2|bcryptjs|src\/(device|vault|client|server|pool|recovery|fleet|legacy)\//,
  ],
  ["{ calibrateArgon2 } from 'keystrata'", /@noble\/ciphers|curves|post-quantum|bcryptjs|src\/(?!core|primitives)/],
  // Handles can be saved on a device (src/device/saved.ts), but a device key is made only by its own entry.
  ["* from 'keystrata'", /bcryptjs|src\/(device\/(?!saved)|vault|client|server|pool|recovery|fleet|legacy)/],
  [
    "{ deriveLogin } from 'keystrata/vault'",
    /argon2|@noble\/ciphers|curves|post-quantum|bcryptjs|src\/(keyset|client|server|pool)/,
  ],
  [
    "{ openSavedLogin } from 'keystrata/vault'",
    /@noble|bcryptjs|src\/(keyset|client|server|pool|recovery|fleet|legacy)/,
  ],
  [
    "* from 'keystrata/vault'",
    /argon2|bcryptjs|src\/(device\/(?!saved)|keyset|client|server|pool|recovery|fleet|legacy)/,
  ],
  ["{ generateTypedKey } from 'keystrata/client'", /@noble|bcryptjs|src\/(?!core|primitives|client)/],
  [
    "{ deriveClient } from 'keystrata/client'",
    /post-quantum|bcryptjs|src\/(keyset|vault|server|pool|recovery|fleet|legacy)/,
  ],
  ["{ parseRegistration } from 'keystrata/client'", /argon2|@noble\/ciphers|bcryptjs|src\/(?!core|primitives|client)/],
  ["* from 'keystrata/client'", /bcryptjs|src\/(device\/(?!saved)|keyset|vault|server|pool|recovery|fleet|legacy)/],
  [
    "* from 'keystrata/device'",
    /curves|post-quantum|bcryptjs|src\/(keyset|vault|client|server|pool|recovery|fleet|legacy)/,
  ],
  // A server opens nothing, so it has no ciphers. It checks cards, which hold keys of ML-KEM.
  ["* from 'keystrata/server'", /@noble\/ciphers|src\/(device|keyset|pool|recovery|fleet|legacy)/],
  [
    "{ saveCredential, verifyCredential } from 'keystrata/server'",
    /argon2|@noble\/ciphers|src\/(?!core|primitives|state|vault|server)/,
  ],
  [
    "{ hashPassword, verifyPassword } from 'keystrata/server'",
    /@noble\/ciphers|curves|post-quantum|src\/(?!core|primitives|server)/,
  ],
  ["{ armor, dearmor } from 'keystrata/recovery'", /@noble\/(?!hashes)|qr\/|src\/(?!core|primitives|recovery)/],
  ["{ recoverySheet } from 'keystrata/recovery'", /@noble\/(?!hashes)|src\/(?!core|primitives|recovery)/],
  ["* from 'keystrata/recovery'", /bcryptjs|src\/(device\/(?!saved)|vault|client|server|pool|legacy)/],
  [
    "{ openDelegation } from 'keystrata/fleet'",
    /bcryptjs|src\/(device\/(?!saved)|vault|client|server|pool|recovery|legacy)/,
  ],
  [
    "* from 'keystrata/legacy'",
    /post-quantum|bcryptjs|src\/(device\/(?!saved)|keyset|vault|server|pool|recovery|fleet)/,
  ],
  ["* from 'keystrata/stores'", /bcryptjs|post-quantum|curves|src\/(?!core|primitives|state|stores)/],
  ...['folder', 'postgres', 'indexeddb', 's3', 'http', 'contract'].map((store) => [
    `* from 'keystrata/stores/${store}'`,
    /@noble|bcryptjs|src\/(?!core|primitives|state|stores)/,
  ]),
  ["* from 'keystrata/pool'", /@noble|bcryptjs|src\/(?!core|primitives|pool)|src\/pool\/(remake|work|worker)\.ts/],
]
const STORES = ['', '/folder', '/postgres', '/indexeddb', '/s3', '/http', '/contract'].map((path) => `/stores${path}`)
const ENTRIES = [
  '',
  '/vault',
  '/client',
  '/device',
  '/server',
  '/legacy',
  '/pool',
  '/recovery',
  '/fleet',
  ...STORES,
].map((path) => `keystrata${path}`)

export async function checkBundles(folder) {
  const sizes = await measureSizes(folder)
  for (const { what, bytes } of sizes) console.log(`${(bytes / 1000).toFixed(1).padStart(6)} kB gzipped: ${what}`)
  const over = sizes.filter(({ bytes, budget }) => bytes > budget)
  if (over.length > 0) throw new Error(`bundle is over its budget in bench/size.ts: ${JSON.stringify(over)}`)

  for (const [what, unwanted] of WITHOUT) {
    const found = (await filesIn(folder, `export ${what}`)).filter((path) => unwanted.test(path))
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

/** Returns the files that a bundle has code of: those of other packages, and those of the library's source. */
async function filesIn(folder, contents) {
  const { metafile, outputFiles } = await bundleOf(folder, contents, { outfile: 'bundle.js', sourcemap: 'external' })
  const { inputs } = Object.entries(metafile.outputs).find(([path]) => path.endsWith('.js'))[1]
  const kept = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0)
  const packages = kept.flatMap((path) => path.match(/node_modules\/(?!keystrata\/)(.+)/)?.[1] ?? [])
  const map = JSON.parse(outputFiles.find(({ path }) => path.endsWith('.map')).text)
  const sources = sourcesIn(map).flatMap((path) => path.match(/keystrata\/(src\/.+)/)?.[1] ?? [])
  if (sources.length === 0) throw new Error(`the source map of the bundle of ${contents} names no file of src`)
  return [...packages, ...sources]
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Returns the sources that a source map has mappings to. Its list also has those of which no code is left. */
function sourcesIn({ sources, mappings }) {
  const used = new Set()
  let source = 0
  for (const segment of mappings.split(/[,;]/)) {
    const [, change] = numbersOf(segment)
    if (change === undefined) continue
    source += change
    used.add(sources[source])
  }
  return [...used]
}

/** Reads the numbers of one segment: base64 digits of five bits, the lowest first; the lowest bit of all is the sign. */
function numbersOf(segment) {
  const numbers = []
  let [value, shift] = [0, 0]
  for (const letter of segment) {
    const digit = BASE64.indexOf(letter)
    value += (digit & 31) << shift
    shift += 5
    if (digit & 32) continue
    numbers.push(value & 1 ? -(value >> 1) : value >> 1)
    value = shift = 0
  }
  return numbers
}
