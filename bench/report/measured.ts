// What a report is drawn from.
import type { PeerRow } from '../peers/run.ts'
import type { Results } from '../run.ts'

/** The measurements of one runtime. */
export interface Run {
  readonly results: Results
  readonly peers: { readonly rounds: number; readonly rows: readonly PeerRow[] }
}
