// Programs of their own, with the library in a bundle as a product ships it: dist, or one file without the thread's.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'keystrata-hashes-'))
const source = (file: string) => join(root, 'src/server', `${file}.ts`)
const library = `
  export { createVerifier, matchesVerifier } from ${JSON.stringify(source('bcrypt'))}
  export { hashPassword, verifyPassword } from ${JSON.stringify(source('service-password'))}`

/** Bundles the library into a folder, as build.js does, with its dependencies. */
async function bundle(name: string, { thread }: { thread: boolean }): Promise<void> {
  writeFileSync(join(folder, `${name}.ts`), library)
  await build({
    entryPoints: { library: join(folder, `${name}.ts`), ...(thread && { 'hash-thread': source('hash-thread') }) },
    outdir: join(folder, name),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    logLevel: 'error',
    tsconfigRaw: '{}',
  })
  writeFileSync(join(folder, name, 'package.json'), '{ "type": "module" }')
}

beforeAll(() => Promise.all([bundle('whole', { thread: true }), bundle('single', { thread: false })]))
afterAll(() => rmSync(folder, { recursive: true }))

const CREDENTIALS = ['AAECAwQFBgcICQoLDA0ODxAREhMUFRYX', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAy'] as const
// From libxcrypt 4.4, as in bcrypt.test.ts, and from test.c of the reference implementation of Argon2.
const program = `
  import { createVerifier, hashPassword, matchesVerifier, verifyPassword } from './library.js'

  const threads = { started: 0, ended: 0 }
  process.on('worker', (worker) => {
    threads.started++
    worker.on('exit', () => threads.ended++)
  })
  let turns = 0
  let isOver = false
  const turn = () => {
    turns++
    if (!isOver) setImmediate(turn)
  }
  const verifier = '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'
  const argon2 = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  const matches = await Promise.all(
    ${JSON.stringify(CREDENTIALS)}.map((credential) => matchesVerifier(verifier, credential)),
  )
  setImmediate(turn)
  const passwords = await Promise.all(['password', 'Password'].map((text) => verifyPassword(argon2, text)))
  isOver = true
  const made = await createVerifier(${JSON.stringify(CREDENTIALS[1])}, { cost: 10 })
  const madeMatches = await matchesVerifier(made, ${JSON.stringify(CREDENTIALS[1])})
  console.log(JSON.stringify({ matches, passwords, madeMatches, threads, turns }))
`

/** Runs the program until it ends by itself, and returns what it says. */
async function answersOf(name: string): Promise<Record<string, unknown>> {
  const path = join(folder, name, 'program.js')
  writeFileSync(path, program)
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [path], { timeout: 50_000 })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Record<string, unknown>
}

const right = { matches: [true, false], passwords: [true, false], madeMatches: true }

describe('a program with the library', () => {
  it('hashes in threads, and ends by itself although they are idle', async () => {
    const { threads, turns, ...answers } = await answersOf('whole')
    expect(answers).toEqual(right)
    const { started, ended } = threads as { started: number; ended: number }
    expect(started).toBeGreaterThanOrEqual(1)
    expect(started).toBeLessThanOrEqual(4)
    expect(ended).toBe(0)
    // Argon2 in the calling thread lets the loop turn about thirty times.
    expect(turns).toBeGreaterThan(1000)
  })

  it('in a bundle without the file of the threads, hashes in its own thread', async () => {
    const { threads, turns, ...answers } = await answersOf('single')
    expect(answers).toEqual(right)
    const { started, ended } = threads as { started: number; ended: number }
    expect(started).toBeGreaterThanOrEqual(1)
    expect(ended).toBe(started)
    expect(turns).toBeGreaterThan(1)
  })
})
