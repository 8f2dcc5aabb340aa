// Checks the content of the tarball, and that a consumer's package manager and compiler accept it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { linkedFiles } from './readme.mjs'

/**
 * The scripts that npm runs when a consumer installs from a registry. `prepack` and `prepare` run only when the
 * author packs.
 */
const AT_CONSUMERS = ['preinstall', 'install', 'postinstall', 'preuninstall', 'uninstall', 'postuninstall']
/** The scripts that also run when a consumer installs from a git repository. */
const FROM_GIT = ['prepare', 'preprepare', 'postprepare']

/** The library, its documents and its examples; the threat model links to the table of attacks. Whatever the README links to may be in the tarball too. */
const WANTED =
  /^(dist|src|docs)\/|^examples\/(?!\w+\/dist\/)|^[A-Z]+(\.md)?$|^package\.json$|^test\/attacks\/README\.md$/
/**
 * The examples, guides and pictures are the larger part of what may grow unnoticed. The pictures take 150 kB of this, and
 * each guide about 4 kB. The files of the threads contain their dependencies, and take 90 kB.
 */
const LARGEST_BYTES = 1_320_000

/** Packs the library, and throws if the tarball contains anything that it should not, or lacks what it needs. */
export function pack(root, folder, run) {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--pack-destination', folder))
  const tarball = join(folder, packed.filename)
  const paths = packed.files.map(({ path }) => path)
  const linked = linkedFiles(readFileSync(join(root, 'README.md'), 'utf8'))
  const unwanted = paths.filter((path) => !WANTED.test(path) && !linked.includes(path))
  if (unwanted.length > 0)
    throw new Error(`the tarball contains files that do not belong in it: ${unwanted.join(', ')}`)
  if (packed.size > LARGEST_BYTES)
    throw new Error(`the tarball has ${packed.size} bytes: raise the limit of ${LARGEST_BYTES} if it needs them`)
  if (linked.length === 0) throw new Error('the README links to no file: does readme.mjs still read its links?')
  // A link may also lead to a folder.
  const missing = linked.filter(
    (link) => !paths.some((path) => path === link || path.startsWith(`${link.replace(/\/$/, '')}/`)),
  )
  if (missing.length > 0)
    throw new Error(`the README links to files that are not in the tarball: ${missing.join(', ')}`)

  const { scripts = {}, ...manifest } = JSON.parse(run(folder, 'tar', '-xzOf', packed.filename, 'package/package.json'))
  checkEntries(manifest, paths)
  const running = [...AT_CONSUMERS, ...FROM_GIT].filter((name) => name in scripts)
  if (running.length > 0) throw new Error(`the package runs scripts when it is installed: ${running.join(', ')}`)
  // With these, npm would build an addon without any script.
  if (manifest.gypfile === true || packed.files.some(({ path }) => path.endsWith('binding.gyp')))
    throw new Error('the package builds a native addon when it is installed: remove it')
  const floating = Object.entries(manifest.dependencies).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  if (floating.length > 0) throw new Error(`dependencies without an exact version: ${JSON.stringify(floating)}`)

  run(root, 'npx', 'publint', 'run', tarball, '--strict')
  // The package is an ES module only, and tools that read only `main` and `types` find only its main entry: main.ts
  // checks that. So resolution by CommonJS-only tools is not checked here.
  run(root, 'npx', 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'ascii')
  return packed
}

/** Checks that the files of every entry are in the tarball, and that `main` and `types` name those of the main entry. */
function checkEntries({ exports: entries, main, types }, paths) {
  const isSame = main === entries['.'].default && types === entries['.'].types
  if (!isSame) throw new Error('main and types in package.json are not those of the main entry')
  const files = Object.values(entries).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)))
  const missing = files.filter((file) => !paths.includes(file.replace(/^\.\//, '')))
  if (missing.length > 0) throw new Error(`files of entries are not in the tarball: ${missing.join(', ')}`)
}
