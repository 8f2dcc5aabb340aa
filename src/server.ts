// keystrata/server: what a server needs. A server never sees a key. This file exports and does nothing else.
export type { Bcrypt, BcryptOptions } from './server/bcrypt.ts'
export { saveCredential, verifyCredential } from './server/credential.ts'
export { guardProfiles } from './server/guard.ts'
export { type Connection, type KeyRegistry, openKeyRegistry } from './server/key-registry.ts'
export { hashPassword, verifyPassword } from './server/service-password.ts'
