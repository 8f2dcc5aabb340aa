// A bcrypt that costs nothing and counts its calls.
import { createHash } from 'node:crypto'
import type { Bcrypt } from '../../src/server.ts'

export class InstantBcrypt implements Bcrypt {
  hashes = 0
  compares = 0

  async hash(password: string, cost: number): Promise<string> {
    return hashOf(password, cost, String(++this.hashes).padStart(6, '0'))
  }

  async compare(password: string, hash: string): Promise<boolean> {
    this.compares++
    return hashOf(password, Number(hash.slice(4, 6)), hash.slice(7, 13)) === hash
  }
}

/** The salt has six characters. */
const hashOf = (password: string, cost: number, salt: string): string =>
  `$2b$${cost}$${salt}${createHash('sha512')
    .update(salt + password)
    .digest('hex')
    .slice(0, 47)}`

/** Options for the functions of a server, with a bcrypt that costs nothing. */
export const INSTANT: { readonly bcrypt: InstantBcrypt; readonly cost: number } = {
  bcrypt: new InstantBcrypt(),
  cost: 10,
}
