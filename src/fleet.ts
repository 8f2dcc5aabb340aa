// keystrata/fleet: rekeying by machines that do not have the keyset. This file exports and does nothing else.
export { delegate, openDelegation } from './fleet/delegate.ts'
export type { Delegation } from './fleet/delegation.ts'
