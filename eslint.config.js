import js from '@eslint/js'
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'
import { offHeap } from './eslint-off-heap.js'

export default defineConfig(
  {
    ignores: [
      'dist',
      'build.js',
      'eslint-off-heap.js',
      'coverage',
      'api',
      'test/package',
      'test/bundlers/*/',
      'test/pool/*.mjs',
      'test/server/*.mjs',
      'test/mutation/*.mjs',
      'test/interop/*.mjs',
      '.stryker-tmp',
      'examples/*.mjs',
      'bench/*.mjs',
      'examples/*/dist',
      'bench/peers',
      'bench/report',
    ],
  },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // An async function without await still turns a thrown error into a rejection, as the API promises.
      '@typescript-eslint/require-await': 'off',
      // isolatedDeclarations needs the type on the left.
      '@typescript-eslint/consistent-generic-constructors': ['error', 'type-annotation'],
      '@typescript-eslint/no-unused-vars': ['error', { ignoreUsingDeclarations: true }],
      '@typescript-eslint/no-invalid-void-type': ['error', { allowAsThisParameter: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // esbuild, which builds dist/, keeps the error of an earlier round and throws it again in a later one.
      'no-restricted-syntax': [
        'error',
        {
          selector:
            ':matches(ForStatement, ForOfStatement, ForInStatement, WhileStatement, DoWhileStatement) ' +
            'TryStatement[handler] VariableDeclaration[kind=/using$/]',
          message: 'Move this into a function: esbuild 0.28 throws an error again that was caught in an earlier round.',
        },
      ],
    },
  },
  {
    files: ['src/**'],
    plugins: { keystrata: { rules: { 'off-heap': offHeap } } },
    rules: { 'keystrata/off-heap': 'error' },
  },
  {
    // Tests and examples index into arrays that they have just made. A wrong index fails the test anyway.
    files: ['test/**', 'bench/**', 'examples/**'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', '@typescript-eslint/unbound-method': 'off' },
  },
)
