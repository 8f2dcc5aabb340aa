import type { UserConfig } from 'vite'
import { pageConfig } from '../page/config.ts'

const config: UserConfig = pageConfig(import.meta.dirname)

export default config
