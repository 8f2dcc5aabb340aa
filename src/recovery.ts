// keystrata/recovery: more ways into a keyset than its password. This file exports and does nothing else.
export type { RecoveryKey } from './core/recovery-holder.ts'
export { armor, dearmor } from './recovery/armor.ts'
export { recoverKeyset, testSlot } from './recovery/recover.ts'
export { deriveRecoveryKey, generateRecoveryCode } from './recovery/recovery-key.ts'
export { recoverySheet } from './recovery/sheet.ts'
export { addSlot, listSlots, removeSlot, renewSlots, type Slot } from './recovery/slots.ts'
export { splitRecoveryCode } from './recovery/split.ts'
