// bcrypt by bcryptjs in the thread that calls it. It takes a third of a second at cost 12, and lets other work run ten
// times a second.
import { compare, hash } from 'bcryptjs'

/** Hashes a password with a random salt. */
export const hashHere = (password: string, cost: number): Promise<string> => hash(password, cost)

/** Compares a password with a bcrypt hash. */
export const compareHere = (password: string, hash: string): Promise<boolean> => compare(password, hash)
