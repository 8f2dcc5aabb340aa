// Type-checks the examples of the documentation as a user's strict compiler would.
import { join } from 'node:path'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: object }
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)

/** With the options of the project, by which its entries are found in `src`; `known` is a program that has read them before. */
export function programOf(paths: readonly string[], known?: ts.Program): ts.Program {
  const own = { ...options, isolatedDeclarations: false, declaration: false }
  return ts.createProgram(paths, own, undefined, known)
}

/** What the compiler says of these files of a program, with the name of each. */
export function errorsIn(program: ts.Program, paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(
        ({ messageText }) => `${path.slice(root.length + 1)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      ),
  )
}
