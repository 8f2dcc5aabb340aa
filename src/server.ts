// keystrata/server: what a server needs. A server never sees a key. This file exports and does nothing else.
export { checkProfile } from './server/profile-check.ts'
export { type Connection, type KeyRegistry, openKeyRegistry, type RegistryStore } from './server/key-registry.ts'
export { createVerifier, matchesVerifier as verifyLogin } from './server/bcrypt.ts'
export { hashPassword, verifyPassword } from './server/service-password.ts'
