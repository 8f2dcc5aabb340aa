// Texts that are only for people are not mutated: programs switch on the code of an error.
import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

/** The position of the message in the arguments of each error class. A KeystrataError takes its code first. */
const POSITIONS = new Map([
  ['KeystrataError', 1],
  ['TypeError', 0],
  ['RangeError', 0],
  ['Error', 0],
  ['StoreMistake', 0],
  ['UnroutedName', 0],
  ['Misfit', 0],
  ['Refused', 1],
])

/** The functions that take texts for error messages, and the positions of those texts in their arguments. */
const TOLD = new Map([
  // The name of an object, a field or an argument.
  ['accountFrom', [1]],
  ['assertBytes', [2]],
  ['assertClaimHeader', [1]],
  ['assertComplete', [1]],
  ['assertKnown', [0, 3]],
  ['assertNotCode', [1]],
  ['assertPlain', [1]],
  ['assertNotOlder', [2]],
  ['assertSealedBy', [2]],
  ['assertText', [1]],
  ['assertType', [1]],
  ['assertWhole', [1]],
  ['bytesFrom', [1]],
  ['cardHolderOf', [1, 2]],
  ['copyOfClaim', [1]],
  ['copySummed', [1]],
  ['decode', [2]],
  ['encodeText', [1]],
  ['escaped', [1]],
  ['exactText', [1]],
  ['fieldsFrom', [2]],
  ['insidesOf', [1]],
  ['normalizeText', [1]],
  ['numberOf', [2]],
  ['openSealed', [1]],
  ['openSealedSecret', [2]],
  ['optionsFrom', [2, 3]],
  ['parseHeader', [1]],
  ['parseMagic', [1]],
  ['parseName', [1]],
  ['parsePosition', [1]],
  ['parseRevision', [1]],
  ['parseUnlockOptions', [1]],
  ['parseUserName', [1]],
  ['plainForm', [1]],
  ['readName', [1]],
  ['recoveryHolderOf', [1]],
  ['sourceFrom', [1]],
  ['tablesOf', [1]],
  ['typedKeyFrom', [1]],
  ['unwrapSecret', [2]],
  ['verifiedClaim', [1]],
  // What a store, its database or its server did, and which rule that breaks.
  ['assert', [1]],
  ['checkedBytes', [1, 2]],
  ['checkedFlag', [1]],
  ['checkedObject', [1]],
  ['mustRefuse', [2]],
  ['notAText', [0, 1]],
  ['refusal', [1]],
  ['unexpected', [0, 2]],
  ['unreachable', [0]],
  // Messages.
  ['invalid', [1]],
  ['invalidText', [2]],
  ['keyNotFound', [2]],
  ['withNote', [1]],
])

/** Functions that take the role of a key, which is only for the compiler and for the message of a disposed key. */
const TOLD_ROLES = new Set(['SecretKey', 'take', 'secret', 'deriveKey'])

const nameOf = ({ name, property }) => name ?? property?.name ?? property?.id?.name

/** Variables with the text of an error, or a part of it. */
const TEXTS = new Set(['message', 'hint'])

function isForPeople(path) {
  if (path.parentPath?.isVariableDeclarator() && path.key === 'init' && TEXTS.has(path.parent.id.name)) return true
  if (!path.isStringLiteral() && !path.isTemplateLiteral()) return false
  const { parent, parentPath, key } = path
  // The name that a holder of secrets passes to `super`, for the message after dispose.
  if (key === 0 && parent.callee?.type === 'Super') return true
  if (key === 0 && TOLD_ROLES.has(nameOf(parent.callee ?? {}))) return true
  if (parentPath.isNewExpression()) return key === POSITIONS.get(parent.callee.name)
  return parentPath.isCallExpression() && TOLD.get(nameOf(parent.callee))?.includes(key) === true
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'texts of errors', {
    shouldIgnore: (path) => (isForPeople(path) ? 'an error text: callers switch on the code' : undefined),
  }),
]

/** The names above, for the test of this list. */
export const NAMES = [...POSITIONS.keys(), ...TOLD.keys(), ...TOLD_ROLES].filter(
  (name) => !['TypeError', 'RangeError', 'Error'].includes(name),
)
