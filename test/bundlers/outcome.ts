// What the programs that the tools build have to give, and a browser that looks at a page of them.
import { strict as assert } from 'node:assert'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { chromium } from 'playwright'

/** What round-trip.js gives: a block that was sealed and opened, and the code for a damaged one. */
export function assertRoundTrip(found: unknown): void {
  const { text, damaged } = Object(found) as { text?: unknown; damaged?: unknown }
  assert.deepEqual(
    { text, damaged },
    { text: 'my file', damaged: 'authentication-failed' },
    `no round trip: ${JSON.stringify(found)}`,
  )
}

/** Checks the round trip of a program, and of each pool that it has. */
export function assertRoundTrips(found: object, pools: readonly string[]): void {
  assertRoundTrip(found)
  for (const name of pools) assertRoundTrip((found as Record<string, unknown>)[name])
}

/** Checks that a bundle without its worker says in a TypeError where the pool looked for it, and what to do. */
export function assertNoWorker(found: object, place: RegExp): void {
  const { pool } = found as { pool?: unknown }
  assert.match(String(pool), /^TypeError: the worker of the pool could not start: .*; pass createPool\(\{ worker \}\)/)
  assert.match(String(pool), place)
}

/** Opens a page, waits for its result, and throws if the page had errors. */
export async function resultOfPage(url: string): Promise<object> {
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  })
  try {
    const page = await browser.newPage()
    const errors: string[] = []
    page.on('pageerror', ({ message }) => errors.push(message))
    await page.goto(url)
    const text = await page.locator('#result:not(:empty)').textContent({ timeout: 60_000 })
    assert.deepEqual(errors, [])
    return JSON.parse(text ?? '') as object
  } finally {
    await browser.close()
  }
}

/** Runs a program and returns its result, which is its last line. */
export async function resultOfProgram(
  folder: string,
  script: string,
  program: string = process.execPath,
): Promise<object> {
  const lines = (await output(folder, program, [script])).trim().split('\n')
  return JSON.parse(lines.at(-1) ?? '') as object
}

const execute = promisify(execFile)

/** Runs a program and returns all that it prints. */
export async function output(
  cwd: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  try {
    const { stdout, stderr } = await execute(program, args, {
      cwd,
      env: { ...process.env, ...env },
      maxBuffer: 32 * 1024 * 1024,
    })
    return stdout + stderr
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args.join(' ')} failed\n${stdout}${stderr}`, { cause: error })
  }
}
