// Everything that reads bytes or text from someone else. watchArgon2 runs before the targets make their keys, so that
// Argon2id is cheap.
import { watchArgon2 } from './bounds.ts'
import type { Target } from './inputs.ts'

watchArgon2()
const { keysetTargets } = await import('./keyset-targets.ts')
const { vaultTargets } = await import('./vault-targets.ts')
const { clientTargets } = await import('./client-targets.ts')
const { recoveryTargets } = await import('./recovery-targets.ts')
const { fleetTargets } = await import('./fleet-targets.ts')
const { storeTargets } = await import('./store-targets.ts')
const { arrangedTargets } = await import('./arranged-targets.ts')
const { textTargets } = await import('./text-targets.ts')
const { adapterTargets } = await import('./adapter-targets.ts')

export const targets: readonly Target[] = [
  ...keysetTargets,
  ...vaultTargets,
  ...clientTargets,
  ...recoveryTargets,
  ...fleetTargets,
  ...storeTargets,
  ...arrangedTargets,
  ...textTargets,
  ...adapterTargets,
]
