// What an error says about the operation that threw it.
import { KeystrataError } from 'keystrata'
import { ServiceError } from '../../examples/service-session.ts'

export type Outcome =
  /** It was refused, with this code of the library, or this status of the service. */
  | { readonly kind: 'refused'; readonly code: string }
  /** A server or a connection failed: it may or may not have happened. */
  | { readonly kind: 'lost'; readonly error: string }
  /** A mistake of a program. */
  | { readonly kind: 'wrong'; readonly error: string }

/** Statuses that say that nothing was written. */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 409, 413])

/** What a runtime says when a connection fails. */
const OF_NETWORK = /fetch failed|terminated|Failed to open/

export function outcomeOf(error: unknown): Outcome {
  if (error instanceof KeystrataError) return { kind: 'refused', code: error.code }
  if (!(error instanceof Error)) return { kind: 'wrong', error: String(error) }
  const { status, code } = error as { status?: unknown; code?: unknown }
  if (typeof status === 'number' && REFUSALS.has(status)) return { kind: 'refused', code: String(status) }
  if (error instanceof ServiceError) return { kind: 'lost', error: `status ${error.status}` }
  const isMistake = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  if ((isMistake && !OF_NETWORK.test(error.message)) || error instanceof SyntaxError)
    return { kind: 'wrong', error: error.stack ?? error.message }
  if (typeof status === 'number') return { kind: 'lost', error: `status ${status}` }
  const cause = (error.cause as { code?: unknown } | undefined)?.code
  const short = [error.name, code, cause].filter((part) => typeof part === 'string' && part !== 'Error')
  return {
    kind: 'lost',
    error: short.length > 0 ? short.join(' ') : error.message.replace(/[\da-f-]{8,}|\d+/g, '…').slice(0, 80),
  }
}
