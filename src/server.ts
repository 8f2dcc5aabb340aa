// keystrata/server: what a server needs. A server never sees a key. This file exports and does nothing else.
export { checkProfile } from './server/profile-check.ts'
export { type Connection, type KeyRegistry, openKeyRegistry } from './server/key-registry.ts'
export { createVerifier, hashPassword, verifyLogin, verifyPassword } from './server/verifier.ts'
