// Every place of the source that creates a KeystrataError says what it is about.
import { readdirSync, readFileSync } from 'node:fs'
import ts from 'typescript'
import { expect, it } from 'vitest'
import type { ErrorCode } from '../src/index.ts'

/** What `detail` must have, by the code. An empty list: there is nothing to say beyond the code. */
const needed: Readonly<Record<string, readonly string[]>> = {
  malformed: ['object'],
  unsupported: ['object'],
  // An empty password has no size.
  'limit-exceeded': ['object', 'bytes', 'characters', 'memoryKiB', 'cost', 'version', 'unfinished', 'clients', 'role'],
  'invalid-text': ['reason'],
  'authentication-failed': [],
  'wrong-password': [],
  'key-not-found': ['object'],
  policy: ['rule'],
  missing: ['object'],
  rollback: ['object', 'atLeast', 'until'],
  forked: ['object', 'revision'],
  conflict: ['object', 'tries', 'revision'],
  'stale-export': ['revision'],
  expired: ['object'],
  'key-changed': ['fingerprint', 'identity', 'role'],
  'account-key-required': [],
  'safeguarding-required': [],
  disposed: [],
  aborted: [],
} satisfies Readonly<Record<ErrorCode | 'invalid-text', readonly string[]>>

/** Where the detail is a variable, or the code is. The tests of these files check them. */
const elsewhere = [
  // The error of a stored object, with its position.
  'state/epoch.ts',
  'state/reseal.ts',
  'state/open-stream.ts',
  // Copies of errors from another thread, or another machine.
  'pool/messages.ts',
  'core/errors.ts',
]

interface Place {
  readonly file: string
  readonly line: number
  readonly args: ts.NodeArray<ts.Expression>
}

const places: Place[] = []
for (const name of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.ts')) continue
  const source = ts.createSourceFile(name, readFileSync(`src/${name}`, 'utf8'), ts.ScriptTarget.Latest, true)
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && node.expression.getText() === 'KeystrataError') {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      places.push({
        file: name.replaceAll('\\', '/'),
        line: line + 1,
        args: node.arguments ?? ts.factory.createNodeArray(),
      })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
}

it('finds the places', () => {
  expect(places.length).toBeGreaterThan(150)
})

it.each(places.map((place) => [`${place.file}:${place.line}`, place] as const))('%s', (_, { file, args }) => {
  const [code, , detail] = args
  if (code === undefined || !ts.isStringLiteral(code)) {
    expect(elsewhere).toContain(file)
    return
  }
  const names = needed[code.text]
  expect(names, `${code.text} is no known code`).toBeDefined()
  if (names === undefined || names.length === 0 || args[1]?.getText().endsWith(" is empty'")) return
  expect(detail, `${code.text} needs a detail with ${names.join(' or ')}`).toBeDefined()
  // A variable, or a call: only the place itself knows what is in it.
  if (detail === undefined || !ts.isObjectLiteralExpression(detail)) return
  const given = detail.properties.map((property) => property.name?.getText() ?? '...')
  expect(
    given.some((name) => name === '...' || names.includes(name)),
    `${given.join()} has none of ${names.join()}`,
  ).toBe(true)
})

it('no detail has the text of a password, a key, a code or a member', () => {
  const secret = /\b(password|passphrase|text|code|credential|member|key|secret|seed)\b(?!\.length)/
  for (const { file, line, args } of places) {
    const detail = args[2]
    if (detail === undefined || !ts.isObjectLiteralExpression(detail)) continue
    for (const property of detail.properties) {
      const value = ts.isPropertyAssignment(property) ? property.initializer.getText() : property.getText()
      // Hashes of public keys are no secrets, and `text` of an epoch is the position of a record.
      if (/^('|toHex\()/.test(value) || file === 'state/epoch.ts') continue
      expect(value, `${file}:${line}`).not.toMatch(secret)
    }
  }
})
