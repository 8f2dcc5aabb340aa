// Checks what npm installs beside the library, from npm's own bill of materials (CycloneDX): the dependencies, and
// nothing that only they depend on.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const LICENCES = ['MIT', 'BSD-3-Clause', 'Apache-2.0', '(MIT OR Apache-2.0)']

export function checkParts(root, run) {
  const bill = JSON.parse(
    run(root, 'npm', 'sbom', '--package-lock-only', '--sbom-format', 'cyclonedx', '--omit', 'dev'),
  )
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const wanted = Object.keys(dependencies).sort()
  const found = bill.components.map(({ name }) => name).sort()
  // The optional peer is not listed: users who need it install it.
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new Error(`npm installs ${found.join(', ')}; expected the dependencies ${wanted.join(', ')} only`)
  for (const { name, version, licenses = [], hashes = [] } of bill.components) {
    const licence = licenses[0]?.license?.id ?? licenses[0]?.expression
    if (dependencies[name] !== version) throw new Error(`${name} is ${version} in package-lock.json`)
    if (licenses.length !== 1 || !LICENCES.includes(licence))
      throw new Error(`${name} has an unexpected licence: ${licence}`)
    if (hashes.length === 0) throw new Error(`${name} has no hash in package-lock.json`)
    console.log(`${name} ${version}: ${licence}`)
  }
}
