// keystrata/client: clients with typed keys. This file exports and does nothing else.
export { type Client, type ClientOptions, deriveClient, openSavedClient } from './client/client.ts'
export type { Platform } from './client/layout.ts'
export {
  armRegistration,
  openRegistration,
  parseRegistration,
  type RegistrationFacts,
} from './client/registration-file.ts'
export { checkTypedKey, generateTypedKey } from './client/key-text.ts'
export type { TypedKey } from './client/typed-key.ts'
