// Spin searches all states of a small configuration of the log, and finds a rule that is broken. `npm run models:spin`
// searches all configurations. Spin and gcc are Debian's packages of these names.
import { describe, expect, it } from 'vitest'
import { mayStart } from '../stores/servers.ts'
import { CONFIGURATIONS, search, VARIANTS } from './promela/check.ts'

describe.skipIf(!mayStart('spin') || !mayStart('gcc'))('the model of a log in Promela', { timeout: 600_000 }, () => {
  it('has no error in any state of a host and an owner', async () => {
    const [{ macros }] = CONFIGURATIONS as [(typeof CONFIGURATIONS)[number]]
    const { errors, states } = await search(macros)
    expect(errors).toBe(0)
    expect(states).toBeGreaterThan(2000)
  })

  it('has an error if an old epoch is dropped with its seal-off', async () => {
    const { macros, broken } = VARIANTS.find((each) => each.broken === 'DROP_SEAL_OFF')!
    expect((await search(macros, broken)).violation).toMatch(/assertion violated/)
  })
})
