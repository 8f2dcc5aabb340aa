// keystrata/legacy: for data that is already under DES-56, and for nothing else. This file exports and does nothing else.
export { type ErrorCode, type ErrorDetail, KeystrataError } from './core/errors.ts'
export { createLegacyClient, type LegacyClientOptions, type LegacyKey } from './legacy/legacy-client.ts'
