// Before every file of tests: bcrypt is the real one, watched. Files share modules, so the first to load it decides for all.
import { vi } from 'vitest'

vi.mock('bcryptjs', async (original) => {
  const real = await original<typeof import('bcryptjs')>()
  return { ...real, compare: vi.fn(real.compare), hash: vi.fn(real.hash) }
})
