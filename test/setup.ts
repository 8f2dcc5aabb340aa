// Runs before every test file, and puts spies around the real bcrypt. Test files share modules and thus these spies.
import { vi } from 'vitest'

type Bcrypt = typeof import('bcryptjs')
const shared = globalThis as { watchedBcrypt?: object }

vi.mock('bcryptjs', async (original) => {
  const real = await original<Bcrypt>()
  return (shared.watchedBcrypt ??= { ...real, compare: vi.fn(real.compare), hash: vi.fn(real.hash) })
})
