// npm run fuzz -- [--minutes N] [--target name] [--seed n]: gives hostile bytes to every reader in turn, until the
// time is over. It shrinks each finding, saves it in corpus/, and then ends with code 1.
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { checkInput } from './bounds.ts'
import { findings } from './corpus.ts'
import { inputsOf, type Target } from './inputs.ts'
import { keep } from './keep.ts'
import { targets } from './targets.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, target: { type: 'string' }, seed: { type: 'string' } },
})
const minutes = Number(values.minutes)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
const chosen = targets.filter(({ name }) => values.target === undefined || name.startsWith(values.target))
if (!(minutes > 0) || !Number.isSafeInteger(seed) || chosen.length === 0) {
  console.error('usage: npm run fuzz -- [--minutes N] [--target START_OF_A_NAME] [--seed N]')
  process.exit(2)
}

interface Tally {
  inputs: number
  slowest: number
  readonly outcomes: Map<string, number>
}

async function fuzz(target: Target, milliseconds: number, turn: number, tally: Tally): Promise<boolean> {
  const result = await fc.check(
    fc.asyncProperty(inputsOf(target), async (bytes) => {
      const start = performance.now()
      const outcome = await checkInput(target, bytes)
      tally.slowest = Math.max(tally.slowest, performance.now() - start)
      tally.inputs++
      tally.outcomes.set(outcome, (tally.outcomes.get(outcome) ?? 0) + 1)
    }),
    { numRuns: Number.MAX_SAFE_INTEGER, seed: seed + turn, interruptAfterTimeLimit: milliseconds },
  )
  const [bytes] = result.counterexample ?? []
  if (bytes === undefined) return true
  const { message } =
    result.errorInstance instanceof Error ? result.errorInstance : { message: 'the thrown value is not an Error' }
  console.error(`${target.name}: ${message}\n  saved in ${keep(target.name, bytes)}`)
  return false
}

const started = performance.now()
let isClean = true
for (const { target: name, bytes } of findings) {
  const target = chosen.find((each) => each.name === name)
  if (target !== undefined) await checkInput(target, bytes)
}
const tallies = new Map(
  chosen.map(({ name }) => [name, { inputs: 0, slowest: 0, outcomes: new Map<string, number>() }]),
)
// Many short turns, so that a run that is stopped early has covered every target.
const turns = Math.max(1, Math.round(minutes))
for (let turn = 0; turn < turns; turn++) {
  for (const target of chosen) {
    const share = (minutes * 60_000) / turns / chosen.length
    isClean = (await fuzz(target, share, turn, tallies.get(target.name)!)) && isClean
  }
}

for (const [name, { inputs, slowest, outcomes }] of tallies) {
  const counts = Array.from(outcomes, ([outcome, count]) => `${outcome} ${count}`).join(', ')
  console.log(`${name.padEnd(28)} ${String(inputs).padStart(8)} inputs, slowest ${slowest.toFixed(0)} ms: ${counts}`)
}
const total = Array.from(tallies.values()).reduce((sum, { inputs }) => sum + inputs, 0)
const took = (performance.now() - started) / 60_000
console.log(`${total} inputs in ${took.toFixed(1)} minutes, seed ${seed}: ${isClean ? 'nothing found' : 'see above'}`)
process.exitCode = isClean ? 0 : 1
