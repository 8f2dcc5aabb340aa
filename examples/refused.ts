// Checks that something is refused: the demo stops unless the action throws the expected error code.
import { KeystrataError } from 'keystrata'

/** Returns the message of the error. */
export async function refused(code: KeystrataError['code'], action: () => Promise<unknown>): Promise<string> {
  try {
    await action()
  } catch (error) {
    if (error instanceof KeystrataError && error.code === code) return error.message
    throw error
  }
  throw new Error(`this action must fail with ${code}, but it succeeded`)
}
