// Password hashing: PBKDF2-HMAC-SHA-512 (RFC 8018) and Argon2id version 0x13 (RFC 9106), without the limits of
// core/password.ts.
import type { Argon2id, Pbkdf2 } from './backend.ts'
import { choose } from './choice.ts'
import { nodeArgon2id, nodePbkdf2 } from './node.ts'
import { portableArgon2id, portablePbkdf2 } from './portable.ts'
import { webPbkdf2 } from './web.ts'

export const pbkdf2: () => Pbkdf2 = choose(nodePbkdf2, webPbkdf2, portablePbkdf2)
export const argon2: () => Argon2id = choose(nodeArgon2id, portableArgon2id)
