// Hosts append to a log, and owners reseal it and may be stopped anywhere, while others read it. No acknowledged record may
// be lost, none may be there twice, and no reader may see less than before.
import { describe } from 'vitest'
import { testScenarios } from './expecting.ts'
import { LOG_SCENARIOS, SHARE_LOG } from './log-scenarios.ts'

describe('a log', () => testScenarios(LOG_SCENARIOS))

describe('the log of a share', () => testScenarios(SHARE_LOG))
