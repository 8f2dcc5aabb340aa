// Type-checks the examples in the documentation as a user's strict compiler would.
import { join } from 'node:path'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: object }
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)

/**
 * Returns a program with the options of the project, which resolve the package's entries to `src`.
 * @param known an earlier program, whose parsed files are reused
 */
export function programOf(paths: readonly string[], known?: ts.Program): ts.Program {
  const own = { ...options, isolatedDeclarations: false, declaration: false }
  return ts.createProgram(paths, own, undefined, known)
}

/**
 * Returns those of some source files that no longer compile after one replacement in the source.
 * @throws Error if the file does not contain the text to replace
 */
export function brokenBy(
  file: string,
  from: string,
  to: string,
  files: readonly string[],
  known: ts.Program,
): string[] {
  const changed = join(root, file)
  const text = ts.sys.readFile(changed)
  if (text?.includes(from) !== true) throw new Error(`${file} does not contain: ${from}`)
  const host = ts.createCompilerHost(known.getCompilerOptions())
  host.getSourceFile = (path, languageVersion) =>
    path === changed ? ts.createSourceFile(path, text.replace(from, to), languageVersion) : known.getSourceFile(path)
  const program = ts.createProgram(known.getRootFileNames(), known.getCompilerOptions(), host)
  return files.filter((path) => {
    const source = program.getSourceFile(join(root, path))
    // The compiler would report on all files.
    if (source === undefined) throw new Error(`${path} is not a file of the program`)
    return program.getSemanticDiagnostics(source).length > 0
  })
}

/** Returns the compiler's messages about these files of a program, each with the name of its file. */
export function errorsIn(program: ts.Program, paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(
        ({ messageText }) => `${path.slice(root.length + 1)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      ),
  )
}
