// The terminal output of the demos (problems, progress, figures) and their password prompt.
import { styleText } from 'node:util'
import * as prompts from '@clack/prompts'
import { MultiBar, Presets } from 'cli-progress'
import type { Tally } from './tally.ts'

export const terminal: boolean = process.stdout.isTTY
let bars: MultiBar | undefined
let problems = 0

/** Returns how many problems were reported so far. */
export const problemCount = (): number => problems

/** Prints a problem in one line. Control characters, such as those in file names, are escaped. */
export function report(line: string): void {
  problems++
  const plain = line.replaceAll(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1))
  if (bars?.isActive !== true) console.error(terminal ? styleText('red', plain) : plain)
  else bars.log(`${styleText('red', plain)}\n`)
}

/** Prints one line about what the demo did. */
export function say(line: string): void {
  if (bars?.isActive !== true) console.log(`• ${line}`)
  else bars.log(`• ${line}\n`)
}

export async function askPassword(isNew: boolean): Promise<string> {
  if (!terminal)
    throw new Error('no password: set KEYSTRATA_PASSWORD, or run the demo in a terminal so that it can ask')
  const ask = async (message: string) => {
    const answer = await prompts.password({ message, mask: '' })
    if (prompts.isCancel(answer)) throw new Error('cancelled: the demo needs a password')
    return answer
  }
  const password = await ask('Password of the backup')
  if (isNew && (await ask('Repeat the password (without it, nobody can restore the backup)')) !== password) {
    throw new Error('the two passwords are not the same: try again')
  }
  return password
}

export async function withBar(
  title: string,
  total: number,
  work: (onBytes: (bytes: number) => void) => Promise<Tally>,
): Promise<Tally> {
  if (!terminal) return work(() => undefined)
  const format = `${title} {bar} {percentage} % of ${(total / 1e6).toFixed(1)} MB, {eta_formatted} left`
  bars = new MultiBar({ format, hideCursor: true, gracefulExit: true }, Presets.shades_classic)
  const bar = bars.create(Math.max(total, 1), 0)
  try {
    const tally = await work((bytes) => bar.increment(bytes))
    if (total === 0) bar.increment(1)
    return tally
  } finally {
    bars.stop()
    bars = undefined
  }
}

/**
 * Shows a bar while `work` runs. Where there is no terminal, it shows nothing.
 * @param format as of cli-progress
 * @param values the first values of the further names in it; `update` gives the next ones
 */
export async function withProgress<T>(
  format: string,
  total: number,
  work: (update: (done: number, values?: object) => void) => Promise<T>,
  values: object = {},
): Promise<T> {
  if (!terminal) return work(() => undefined)
  bars = new MultiBar({ format, hideCursor: true, gracefulExit: true, etaBuffer: 100 }, Presets.shades_classic)
  const bar = bars.create(total, 0, values)
  try {
    return await work((done, next = {}) => bar.update(done, next))
  } finally {
    bars.stop()
    bars = undefined
  }
}

export function printTally(title: string, work: 'backup' | 'restore', tally: Tally, backend: string): void {
  const rows = {
    files: tally.files,
    bytes: tally.bytes,
    ...(work === 'backup' && {
      blocks: tally.blocks,
      'files in packs': tally.packed,
      deduplicated: tally.deduplicated,
      'new bytes': tally.newBytes,
    }),
    'MB/s': Number((tally.bytes / 1000 / Math.max(tally.ms, 0.001)).toPrecision(2)),
    backend,
  }
  console.log(`\n${title}`)
  for (const [name, value] of Object.entries(rows)) {
    console.log(`  ${name.padEnd(14)}${value.toLocaleString('en').padStart(16)}`)
  }
  console.log()
}
