// Every scenario of every protocol.
import { ADOPT } from './adopt-scene.ts'
import { FLEET, HEADS } from './heads-scene.ts'
import { KEYSET } from './keyset-scene.ts'
import { LOG_SCENARIOS, SHARE_LOG } from './log-scenarios.ts'
import { PROFILE } from './profile-scenarios.ts'
import { REGISTRY } from './registry-scene.ts'
import { SAVE } from './save-scene.ts'
import type { Scenario } from './scenario.ts'
import { SETTLE } from './settle-scene.ts'
import { SLOTS } from './slots-scene.ts'

export const SCENARIOS: readonly Scenario[] = [
  ...SETTLE,
  ...KEYSET,
  ...SAVE,
  ...ADOPT,
  ...LOG_SCENARIOS,
  ...SHARE_LOG,
  ...HEADS,
  ...FLEET,
  ...SLOTS,
  ...REGISTRY,
  ...PROFILE,
]

export const PROTOCOLS: readonly string[] = [...new Set(SCENARIOS.map(({ protocol }) => protocol))]
