// npm run soak -- [--minutes 120] [--seed N] [--report FILE]: see options.ts.
import { writeFileSync } from 'node:fs'
import { optionsFrom, usage, UsageError } from './options.ts'
import { reportOf } from './report.ts'
import { Soak } from './soak.ts'

async function main(): Promise<number> {
  const options = optionsFrom(process.argv.slice(2))
  if (options === 'help') {
    console.log(usage())
    return 0
  }
  const soak = new Soak(options, console.log)
  process.once('SIGINT', () => soak.interrupt())
  process.once('SIGTERM', () => soak.interrupt())
  const result = await soak.run()
  const report = reportOf(result)
  console.log(`\n${report}`)
  if (options.report !== undefined) writeFileSync(options.report, `${report}\n`)
  return result.violations.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${usage()}` : error)
  process.exitCode = 2
}
