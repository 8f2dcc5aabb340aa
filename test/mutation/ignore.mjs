import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

/** Where the text stands among the arguments of each kind of error; the code of a KeystrataError stands before it. */
const POSITIONS = new Map([
  ['KeystrataError', 1],
  ['TypeError', 0],
  ['RangeError', 0],
  ['Error', 0],
])

function isTextOfError(path) {
  if (!path.isStringLiteral() && !path.isTemplateLiteral()) return false
  return path.parentPath.isNewExpression() && path.key === POSITIONS.get(path.parent.callee.name)
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'texts of errors', {
    shouldIgnore: (path) => (isTextOfError(path) ? 'a text for people: callers switch on the code' : undefined),
  }),
]
