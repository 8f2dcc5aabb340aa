// keystrata/vault: logins, profiles and vaults (SPEC §12–§15). This file exports and does nothing else.
export type { Vault } from './vault/block.ts'
export { deriveLogin, type Login, openSavedLogin } from './vault/login.ts'
export { createProfile, openProfile, type Profile } from './vault/profile.ts'
export { parseProfile, type ProfileFacts } from './vault/profile-facts.ts'
export type { Recovery } from './vault/profile-recovery.ts'
export { resetProfile } from './vault/reset.ts'
export { loadProfile, loadRecord, restoreProfile, saveProfile } from './vault/saved-profile.ts'
