// Changes that must not compile. Each case changes one line of the source and names the files that must then change.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { brokenBy, programOf } from './type-check.ts'

const entries = ['index', 'vault', 'client', 'recovery', 'fleet', 'legacy'].map((name) =>
  join(import.meta.dirname, `../src/${name}.ts`),
)
const program = programOf(entries)

it.each([
  {
    change: 'a stronger suite for keysets',
    file: 'src/core/suite.ts',
    from: 'hybrid: 2 } as const',
    to: 'hybrid: 2, stronger: 3 } as const',
    files: ['src/core/suite.ts'],
  },
  {
    change: 'another suite for keysets',
    file: 'src/core/suite.ts',
    from: '  vault: {',
    to: "  strong: { id: 0x0103, owner: 'a keyset', envelopeBytes: 1713, strength: 2, methods: ['x25519'] },\n  vault: {",
    files: ['src/keyset/mask.ts', 'src/keyset/signed-record.ts'],
  },
  {
    change: 'a suite whose row lacks a proper number',
    file: 'src/core/suite.ts',
    from: 'vault: { id: 0x0201, ',
    to: 'vault: { id: "0x0201", ',
    files: ['src/vault/block.ts'],
  },
  {
    change: 'a key agreement',
    file: 'src/core/suite.ts',
    from: "['x25519', 'mlKem1024'] as const",
    to: "['x25519', 'mlKem1024', 'another'] as const",
    files: ['src/core/agreement.ts', 'src/core/key-pairs.ts'],
  },
  {
    change: 'a fourth destination',
    file: 'src/keyset/layout.ts',
    from: 'storage: 3 } as const',
    to: 'storage: 3, tape: 4 } as const',
    files: ['src/keyset/exports.ts'],
  },
  {
    change: 'a fourth scope',
    file: 'src/client/scope.ts',
    from: 'public: 3 } as const',
    to: 'public: 3, group: 4 } as const',
    files: ['src/client/client.ts'],
  },
  {
    change: 'a scope that forgets its key',
    file: 'src/client/client.ts',
    from: 'return { scope, account, key: accountKey }',
    to: 'return { scope, account }',
    files: ['src/client/client.ts'],
  },
  {
    change: 'a fifth type of typed key',
    file: 'src/client/layout.ts',
    from: 'export type KeyTypeNumber = 1 | 2 | 3 | 4',
    to: 'export type KeyTypeNumber = 1 | 2 | 3 | 4 | 5',
    files: ['src/client/layout.ts'],
  },
  {
    change: 'a dedup mode',
    file: 'src/keyset/mask.ts',
    from: 'readonly none: typeof PLAIN_MODE',
    to: 'readonly none: typeof PLAIN_MODE; readonly another: 5',
    files: ['src/keyset/dedup.ts', 'src/keyset/mask.ts'],
  },
  {
    change: 'a block of mode `scoped` without a key',
    file: 'src/keyset/dedup.ts',
    from: 'case Mode.none:\n        return { mode }',
    to: 'case Mode.none:\n        return { mode: Mode.scoped }',
    files: ['src/keyset/dedup.ts'],
  },
])('$change does not compile until every place handles it', ({ file, from, to, files }) => {
  expect(brokenBy(file, from, from, files, program)).toEqual([])
  expect(brokenBy(file, from, to, files, program)).toEqual(files)
})
