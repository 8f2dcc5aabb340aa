// npm run test:differential -- [--cases N] [--seed N]: runs random cases on node, web and portable, and
// compares the results of each case.
import { backends } from '../fixtures.ts'
import { parseArgs } from 'node:util'
import { CASES, Random } from './cases.ts'

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '20000' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
})
const total = Number(values.cases)
const random = new Random(Number(values.seed))
const drawn = Object.entries(CASES).flatMap(([name, { weight }]) => Array<string>(weight).fill(name))
const counts: Map<string, { cases: number; refused: number }> = new Map()
let differences = 0

console.log(`${total} cases from seed ${values.seed} on ${backends.map((backend) => backend.name).join(', ')}`)
for (let index = 0; index < total; index++) {
  const name = random.pick(drawn)
  const seed = random.below(2 ** 31)
  const run = CASES[name]!.make(new Random(seed))
  const results = await Promise.all(backends.map(run))
  const count = counts.get(name) ?? { cases: 0, refused: 0 }
  count.cases++
  if (results[0] === 'refused') count.refused++
  counts.set(name, count)
  if (new Set(results).size > 1) {
    differences++
    console.error(
      `${name}, seed ${seed}:`,
      results.map((result) => result.slice(0, 100)),
    )
  }
}
console.table(Object.fromEntries(counts))
console.log(`${total} cases, ${differences} differences`)
// A primitive is not compared if it was never drawn or if it refused every input.
const idle = Object.keys(CASES).filter((name) => (counts.get(name)?.cases ?? 0) <= (counts.get(name)?.refused ?? 0))
if (idle.length > 0) console.error(`not compared: ${idle.join(', ')}`)
process.exitCode = differences === 0 && idle.length === 0 ? 0 : 1
