// A lint rule: src makes its byte arrays with src/core/bytes.ts, whose memory the garbage collector does not move. The
// engine's own ways to make a short array leave copies of secrets in its heap, which nobody can wipe. Arrays of
// literals are constants, so they are allowed.

/** Methods that return a new array. `subarray` is allowed: it returns a view. */
const COPYING = new Set(['slice', 'map', 'filter', 'with', 'toReversed', 'toSorted'])

/** Functions of Uint8Array and Buffer that make an array. */
const MAKING = new Set(['from', 'of', 'alloc', 'allocUnsafe', 'allocUnsafeSlow', 'concat', 'copyBytesFrom'])

const ARRAYS = new Set(['Uint8Array', 'Buffer'])
const MEMORY = new Set(['ArrayBuffer', 'ArrayBufferLike', 'SharedArrayBuffer'])
const ENCODERS = new Set(['TextEncoder'])

/** @type {import('eslint').Rule.RuleModule} */
export const offHeap = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      moving: 'use allocate, copyOf or filled (core/bytes.ts): the collector may copy what {{ what }} makes',
    },
  },
  create(context) {
    const services = context.sourceCode.parserServices
    const isOf = (node, names) => {
      const type = services.getTypeAtLocation(node)
      return (type.isUnion() ? type.types : [type]).some(({ symbol }) => names.has(symbol?.name))
    }
    const report = (node, what) => context.report({ node, messageId: 'moving', data: { what } })
    return {
      NewExpression(node) {
        const [first] = node.arguments
        const isView = first !== undefined && isOf(first, MEMORY)
        if (ARRAYS.has(node.callee.name) && !isView) report(node, `new ${node.callee.name}`)
      },
      CallExpression(node) {
        const { callee } = node
        if (callee.type !== 'MemberExpression') return
        const { name } = callee.property
        const { name: object } = callee.object
        if (ARRAYS.has(object) && MAKING.has(name)) {
          const isConstant = node.arguments.every(({ type }) => type === 'Literal')
          const isView = object === 'Buffer' && name === 'from' && isOf(node.arguments[0], MEMORY)
          if (!isConstant && !isView) report(node, `${object}.${name}`)
        } else if (COPYING.has(name) && isOf(callee.object, ARRAYS)) report(node, `.${name}`)
        else if (name === 'encode' && isOf(callee.object, ENCODERS)) report(node, 'TextEncoder')
      },
    }
  },
}
