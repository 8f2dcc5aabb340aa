// What the tests of the guides (docs/*.md) have in common: the examples of a guide as modules that run.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, vi } from 'vitest'
import { useBackend } from '../../src/primitives/choice.ts'
import { quick } from '../fixtures.ts'

/** The folder of the project. */
export const root: string = join(import.meta.dirname, '../..')

const docs = join(root, 'docs')

/** The file names of all guides. */
export const guides: readonly string[] = readdirSync(docs).filter((name) => name.endsWith('.md'))

/** The paths of all documents. */
export const documents: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...guides.map((name) => `docs/${name}`),
  'bench/README.md',
  'test/attacks/README.md',
]

export const textOf = (guide: string): string => readFileSync(join(docs, guide), 'utf8')

/** Returns the code of the blocks in a guide that are marked as this language. */
export const codeIn = (guide: string, language = 'ts'): string[] =>
  [...textOf(guide).matchAll(/^```(\w+)\n(.*?)^```/gms)].flatMap(([, name, code = '']) =>
    name === language ? [code] : [],
  )

/** Returns the names of the functions that an example declares. */
function functionsIn(code: string): string[] {
  return ts.createSourceFile('', code, ts.ScriptTarget.Latest).statements.flatMap((statement) => {
    if (ts.isFunctionDeclaration(statement)) return [statement.name!.text]
    if (!ts.isVariableStatement(statement)) return []
    return statement.declarationList.declarations
      .filter(({ initializer }) => initializer !== undefined && ts.isArrowFunction(initializer))
      .map(({ name }) => (name as ts.Identifier).text)
  })
}

/**
 * Writes the examples of guides to a folder while the tests of a file run, with quick password hashing: the examples use
 * the default costs. Returns the folder, and the path of each example.
 */
export function writeExamples(names: readonly string[]): { folder: string; paths: string[] } {
  const folder = join(import.meta.dirname, `.${names.length === 1 ? names[0] : 'all'}`)
  const examples = names.flatMap((guide) =>
    codeIn(guide).map((code, index) => ({ code, path: join(folder, `${guide}-${index}.ts`) })),
  )
  beforeAll(() => {
    useBackend(quick)
    mkdirSync(folder, { recursive: true })
    for (const { code, path } of examples) {
      writeFileSync(path, `${code}\nexport { ${functionsIn(code).join(', ')} }\n`)
    }
  })
  afterAll(() => {
    useBackend(undefined)
    rmSync(folder, { recursive: true })
  })
  return { folder, paths: examples.map(({ path }) => path) }
}

/** Returns all functions of the examples at these paths. Code outside of functions runs once. */
export async function functionsOf<T extends object>(paths: readonly string[]): Promise<T> {
  const modules = await Promise.all(paths.map((path) => import(path) as Promise<Record<string, unknown>>))
  return modules.reduce((all, each) => ({ ...all, ...each }), {}) as T
}

/** Returns functions that note their names when they are called. */
export function noting<T extends object>(functions: T): { of: T; called: Set<string> } {
  const called: Set<string> = new Set()
  const get = (target: T, name: string | symbol): unknown => {
    called.add(String(name))
    return target[name as keyof T]
  }
  return { of: new Proxy(functions, { get }), called }
}

/** Returns the lines that are printed meanwhile. */
export async function printed(action: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(String(line)))
  try {
    await action()
  } finally {
    log.mockRestore()
  }
  return lines
}

/** Does something without its output. */
export async function quietly<T>(action: () => Promise<T>): Promise<T> {
  const log = vi.spyOn(console, 'log').mockReturnValue()
  try {
    return await action()
  } finally {
    log.mockRestore()
  }
}
