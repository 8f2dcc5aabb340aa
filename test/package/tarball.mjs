// What is in the tarball, and what of it a consumer's package manager and compiler see.
import { join } from 'node:path'

/** What npm runs at a consumer's; `prepack` and `prepare` run at the author's alone, where a registry gives out the tarball. */
const AT_CONSUMERS = ['preinstall', 'install', 'postinstall', 'preuninstall', 'uninstall', 'postuninstall']
/** Runs at a consumer's too who installs from a git repository. */
const FROM_GIT = ['prepare', 'preprepare', 'postprepare']

/** Packs, and throws for what should not be there. */
export function pack(root, folder, run) {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--pack-destination', folder))
  const tarball = join(folder, packed.filename)
  const unwanted = packed.files
    .map(({ path }) => path)
    .filter((path) => !/^(dist|src)\/|^[A-Z]+(\.md)?$|^package\.json$/.test(path))
  if (unwanted.length > 0) throw new Error(`packed by mistake: ${unwanted.join(', ')}`)

  const { scripts = {}, ...manifest } = JSON.parse(run(folder, 'tar', '-xzOf', packed.filename, 'package/package.json'))
  const running = [...AT_CONSUMERS, ...FROM_GIT].filter((name) => name in scripts)
  if (running.length > 0) throw new Error(`scripts that run where it is installed: ${running.join(', ')}`)
  // npm would build an addon by itself.
  if (manifest.gypfile === true || packed.files.some(({ path }) => path.endsWith('binding.gyp')))
    throw new Error('an addon is built where it is installed')
  const floating = Object.entries(manifest.dependencies).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  if (floating.length > 0) throw new Error(`dependencies of no exact version: ${JSON.stringify(floating)}`)

  run(root, 'npx', 'publint', 'run', tarball, '--strict')
  // It is an ES module, and says so: resolutions of CommonJS alone are none of its.
  run(root, 'npx', 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'ascii')
  return packed
}
