// Checks that something is refused: the demo stops unless the action throws the expected error code.
import { KeystrataError } from 'keystrata'

export async function refused(code: KeystrataError['code'], action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (error instanceof KeystrataError && error.code === code) return
    throw error
  }
  throw new Error(`this action must fail with ${code}, but it succeeded`)
}
