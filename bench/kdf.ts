// How long it takes to derive keys from a password, with this platform's code and with portable code.
import { backend, portableBackend } from '../test/platforms.ts'
import { createVerifier } from '../src/server/bcrypt.ts'
import { DEFAULT_ARGON2_COSTS } from '../src/core/password.ts'
import { timeEach, type Work } from './measure.ts'

export interface KdfRow {
  kdf: string
  by: string
  milliseconds: number
}

export async function benchKdfs(rounds: number): Promise<KdfRow[]> {
  const [password, salt] = [new TextEncoder().encode('correct horse'), new Uint8Array(32).fill(5)]
  const backends = backend() === portableBackend ? [portableBackend] : [backend(), portableBackend]
  const works: { kdf: string; by: string; work: Work }[] = []
  for (const { argon2id, pbkdf2Sha512, providers } of backends) {
    const argon2 = { kdf: 'Argon2id, 64 MiB, 3 passes', by: providers.Argon2id }
    const pbkdf2 = { kdf: 'PBKDF2-SHA-512, 600,000', by: providers.PBKDF2 }
    works.push({ ...argon2, work: () => argon2id(password, salt, DEFAULT_ARGON2_COSTS, 32, {}) })
    works.push({ ...pbkdf2, work: () => pbkdf2Sha512(password, salt, 600_000, 64, {}) })
  }
  works.push({ kdf: 'bcrypt, cost 12', by: 'bcryptjs', work: () => createVerifier('x'.repeat(32)) })

  // A function that the platform lacks is portable in both lists, so measure it once.
  const distinct = new Map(works.map((each) => [`${each.kdf} ${each.by}`, each]))
  const rows: KdfRow[] = []
  for (const { kdf, by, work } of distinct.values()) {
    const [milliseconds] = (await timeEach([work], rounds)) as [number]
    rows.push({ kdf, by, milliseconds: Math.round(milliseconds) })
  }
  return rows
}
