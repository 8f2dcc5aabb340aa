import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

/** Where the text stands among the arguments of each kind of error; the code of a KeystrataError stands before it. */
const POSITIONS = new Map([
  ['KeystrataError', 1],
  ['TypeError', 0],
  ['RangeError', 0],
  ['Error', 0],
])

/** What is told the name of an object, or of an argument, only to say it in an error. */
const TOLD_NAMES = new Set([
  ...[
    'bytesFrom',
    'parseHeader',
    'parseMagic',
    'decode',
    'copySummed',
    'copyOfClaim',
    'verifiedClaim',
    'assertClaimHeader',
  ],
  ...[
    'unwrapSecret',
    'openSealedSecret',
    'readName',
    'parseName',
    'parseUserName',
    'encodeText',
    'assertText',
    'normalizeText',
  ],
  ...[
    'numberOf',
    'assertKnown',
    'assertNotOlder',
    'assertType',
    'assertSuite',
    'exactText',
    'insidesOf',
    'assertComplete',
  ],
])

/** What is told the role of a key, which is for the compiler, and for the message of a key that was disposed of. */
const TOLD_ROLES = new Set(['SecretKey', 'take', 'secret', 'deriveKey'])

const nameOf = ({ name, property }) => name ?? property?.name

function isForPeople(path) {
  if (!path.isStringLiteral() && !path.isTemplateLiteral()) return false
  const { parent, parentPath, key } = path
  // What a holder of secrets says that it is, where it was disposed of.
  if (key === 0 && parent.callee?.type === 'Super') return true
  if (key === 0 && TOLD_ROLES.has(nameOf(parent.callee ?? {}))) return true
  if (parentPath.isNewExpression()) return key === POSITIONS.get(parent.callee.name)
  return parentPath.isCallExpression() && TOLD_NAMES.has(parent.callee.name)
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'texts of errors', {
    shouldIgnore: (path) => (isForPeople(path) ? 'a text for people: callers switch on the code' : undefined),
  }),
]
