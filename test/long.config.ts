// npm run test:long: the tests that npm test leaves out.
import { mergeConfig, type ViteUserConfig } from 'vitest/config'
import config from '../vitest.config.ts'
import { LONG } from './long.ts'

const long: ViteUserConfig = mergeConfig(config, { root: `${import.meta.dirname}/..` })
long.test!.include = LONG.map(({ files }) => files).map((files) =>
  files.endsWith('/**') ? `${files}/*.test.ts` : files,
)
long.test!.exclude = []

export default long
