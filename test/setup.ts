// Before every file of tests: bcrypt is the real one, watched. Files share modules, so all of them watch the same.
import { vi } from 'vitest'

type Bcrypt = typeof import('bcryptjs')
const shared = globalThis as { watchedBcrypt?: object }

vi.mock('bcryptjs', async (original) => {
  const real = await original<Bcrypt>()
  return (shared.watchedBcrypt ??= { ...real, compare: vi.fn(real.compare), hash: vi.fn(real.hash) })
})
