// keystrata/legacy: only for data that is already under DES-56. This file exports and does nothing else.
export { deriveLegacyClient, type LegacyKey } from './legacy/legacy-client.ts'
