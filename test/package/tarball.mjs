// Checks what is in the tarball, and what a consumer's package manager and compiler make of it.
import { join } from 'node:path'

/**
 * The scripts that npm runs when a consumer installs from a registry. `prepack` and `prepare` run only when the
 * author packs.
 */
const AT_CONSUMERS = ['preinstall', 'install', 'postinstall', 'preuninstall', 'uninstall', 'postuninstall']
/** The scripts that also run when a consumer installs from a git repository. */
const FROM_GIT = ['prepare', 'preprepare', 'postprepare']

/** Packs the library, and throws if the tarball contains anything that it should not. */
export function pack(root, folder, run) {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--pack-destination', folder))
  const tarball = join(folder, packed.filename)
  const unwanted = packed.files
    .map(({ path }) => path)
    .filter((path) => !/^(dist|src)\/|^[A-Z]+(\.md)?$|^package\.json$/.test(path))
  if (unwanted.length > 0)
    throw new Error(`the tarball contains files that do not belong in it: ${unwanted.join(', ')}`)

  const { scripts = {}, ...manifest } = JSON.parse(run(folder, 'tar', '-xzOf', packed.filename, 'package/package.json'))
  const running = [...AT_CONSUMERS, ...FROM_GIT].filter((name) => name in scripts)
  if (running.length > 0) throw new Error(`the package runs scripts when it is installed: ${running.join(', ')}`)
  // With these, npm would build an addon without any script.
  if (manifest.gypfile === true || packed.files.some(({ path }) => path.endsWith('binding.gyp')))
    throw new Error('the package builds a native addon when it is installed: remove it')
  const floating = Object.entries(manifest.dependencies).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  if (floating.length > 0) throw new Error(`dependencies without an exact version: ${JSON.stringify(floating)}`)

  run(root, 'npx', 'publint', 'run', tarball, '--strict')
  // The package is an ES module only, so resolution by CommonJS-only tools is not checked.
  run(root, 'npx', 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'ascii')
  return packed
}
