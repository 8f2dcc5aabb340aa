// npm run models:spin [-- --only TEXT]: lets Spin search all states of each configuration of log.pml, and prints how many
// there were. Then it searches the models with a broken rule, in each of which Spin must find an error. It ends with code
// 1 if the model is wrong, or if an error was not found. It needs Debian's packages `spin` and `gcc`.
import { parseArgs } from 'node:util'
import { CONFIGURATIONS, type Macros, search, VARIANTS } from './check.ts'

const { only = '' } = parseArgs({ options: { only: { type: 'string' } } }).values
const chosen = <T extends { name: string }>(all: readonly T[]) => all.filter(({ name }) => name.includes(only))
const boundsOf = (macros: Macros) =>
  Object.entries(macros)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')

let failures = 0

for (const { name, macros } of chosen(CONFIGURATIONS)) {
  const { errors, states, depth, megabytes, seconds, violation = '' } = await search(macros)
  if (errors > 0) failures++
  console.log(`${name} (${boundsOf(macros)})`)
  console.log(
    `  errors: ${errors} ${violation}, ${states} states, depth ${depth}, ${megabytes} MB, ${seconds.toFixed(0)} s`,
  )
}
for (const { name, macros, broken } of chosen(VARIANTS)) {
  const { errors, states, seconds, violation = '' } = await search(macros, broken)
  if (errors === 0) failures++
  const found = errors === 0 ? 'NOT CAUGHT' : `caught: ${violation}`
  console.log(`broken: ${name} (${broken}): ${found}, ${states} states, ${seconds.toFixed(0)} s`)
}
console.log(failures === 0 ? 'The model is right, and every broken rule is caught.' : `${failures} FAILURES`)
process.exitCode = failures === 0 ? 0 : 1
