// keystrata/server: what a server needs, which never sees a key. This file exports and does nothing else.
export { type ErrorCode, type ErrorDetail, KeystrataError } from './errors.ts'
export { checkProfile } from './server/profile-check.ts'
export { type Connection, KeyRegistry, type Safeguarding } from './server/registry.ts'
export type { RegistryStore } from './server/registry-store.ts'
export { createVerifier, hashPassword, verifyLogin, verifyPassword } from './server/verifier.ts'
