import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

/** The position of the message in the arguments of each error class. A KeystrataError takes its code first. */
const POSITIONS = new Map([
  ['KeystrataError', 1],
  ['TypeError', 0],
  ['RangeError', 0],
  ['Error', 0],
])

/** Functions that take the name of an object or argument only to use it in an error message. */
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
  ...['numberOf', 'assertKnown', 'assertNotOlder', 'assertType', 'exactText', 'insidesOf', 'assertComplete'],
])

/** Functions that take the role of a key, which is only for the compiler and for the message of a disposed key. */
const TOLD_ROLES = new Set(['SecretKey', 'take', 'secret', 'deriveKey'])

const nameOf = ({ name, property }) => name ?? property?.name

function isForPeople(path) {
  if (!path.isStringLiteral() && !path.isTemplateLiteral()) return false
  const { parent, parentPath, key } = path
  // The name that a holder of secrets passes to `super`, for the message after dispose.
  if (key === 0 && parent.callee?.type === 'Super') return true
  if (key === 0 && TOLD_ROLES.has(nameOf(parent.callee ?? {}))) return true
  if (parentPath.isNewExpression()) return key === POSITIONS.get(parent.callee.name)
  return parentPath.isCallExpression() && TOLD_NAMES.has(parent.callee.name)
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'texts of errors', {
    shouldIgnore: (path) => (isForPeople(path) ? 'an error text: callers switch on the code' : undefined),
  }),
]
