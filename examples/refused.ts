// What must not work, in a demo: it fails in the way that it should, or the demo does.
import { KeystrataError } from 'keystrata'

export async function refused(code: KeystrataError['code'], action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (error instanceof KeystrataError && error.code === code) return
    throw error
  }
  throw new Error(`this must be refused with ${code}`)
}
