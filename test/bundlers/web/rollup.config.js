// A page without the worker, the same page with it, and two programs for Node: with the library inside, and outside.
import resolve from '@rollup/plugin-node-resolve'

const worker = 'keystrata/pool/worker'

export default [
  { input: 'program.js', output: { dir: 'rollup-alone' }, plugins: [resolve({ browser: true })] },
  { input: { program: 'program.js', worker }, output: { dir: 'rollup-page' }, plugins: [resolve({ browser: true })] },
  { input: { program: 'program.js', worker }, output: { dir: 'rollup-node' }, plugins: [resolve()] },
  { input: 'program.js', output: { dir: 'rollup-external' }, external: /^keystrata/ },
]
