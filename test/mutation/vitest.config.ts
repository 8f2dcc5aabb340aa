// The tests that mutants meet: those that are quick, and of the library itself. In one process without isolation, because loading the
// library anew for each file would take most of the time.
import { mergeConfig, type ViteUserConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import config from '../../vitest.config.ts'

/** What watches a module that others load must come before them; then the tests of small parts, which most mutants do not survive. */
const FIRST = [
  'server/verifier',
  'test/bytes',
  'test/text',
  'test/secret',
  'test/format',
  'test/blocks',
  'test/keys/lock',
]
const LAST = ['test/vectors', 'test/server', 'test/properties', 'test/backends', 'test/wiping', 'test/primitives']

class SmallestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const first = FIRST.findIndex((part) => moduleId.includes(part))
      if (first >= 0) return first
      return FIRST.length + 1 + LAST.findIndex((part) => moduleId.includes(part))
    }
    return [...files].sort((a, b) => rank(a) - rank(b))
  }
}

const merged: ViteUserConfig = mergeConfig(config, {
  test: {
    exclude: [
      'test/{conformance,crash,examples,fuzz,package}/**',
      'test/attacks/{01,04,21,22}-*',
      'test/{readme,docstrings,layers,surface}.test.ts',
      // Threads run the source as it is on disk, and never see a mutant.
      'test/pool/pool.test.ts',
      'test/properties/r*',
    ],
    setupFiles: ['./test/mutation/skip-slow.ts'],
    reporters: [],
    isolate: false,
    fileParallelism: false,
    sequence: { sequencer: SmallestFirst },
  },
})

export default merged
