// What a platform provides, and nothing else: every primitive with one meaning, so that all backends give the same bytes.
// Callers above this folder use aead.ts, hash.ts, kdf.ts, kem.ts and password.ts, which check what goes in and comes out.
import type { Backend } from './backend.ts'
import { nodeBackend } from './node.ts'
import { portableBackend } from './portable.ts'
import { webBackend } from './web.ts'

let chosen: Backend | undefined

/** The fastest backend of this platform, probed at first use. */
export function backend(): Backend {
  return (chosen ??= nodeBackend() ?? webBackend() ?? portableBackend)
}

/** Tests and benchmarks run everything on each backend; not exported from the package. */
export function useBackend(next: Backend | undefined): void {
  chosen = next
}
