// For compilers that do not know `exports`: they read `main` and `types`, and so find the main entry only.
import { createKeyset, type Keyset, KeystrataError, type SealedBlock } from 'keystrata'

export async function sealWith(password: string, content: Uint8Array): Promise<SealedBlock> {
  const keyset: Keyset = await createKeyset(password)
  try {
    return await keyset.seal(content)
  } finally {
    keyset.dispose()
  }
}

export const isWrongPassword = (error: unknown): boolean =>
  error instanceof KeystrataError && error.code === 'wrong-password'

// @ts-expect-error `any` would take this: the types were found
export const wrong: number = createKeyset
