// Where to give up among damaged versions of a log (SPEC §7.4). A store can say that any version is the newest, and
// answer every read with junk. But only those who have the keys make records that are not damaged. So if a reader gives
// up after some damaged versions in a row, no store makes it read without end.
import { toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'

/** How many versions in a row may be damaged. */
export const DAMAGED_IN_A_ROW = 1024

/** How many epochs in a row may have a damaged newest version. */
export const DAMAGED_EPOCHS = 32

/** Counts damaged versions in a row. */
export class DamagedRun {
  readonly #logId: Uint8Array
  #length = 0

  constructor(logId: Uint8Array) {
    this.#logId = logId
  }

  /**
   * Counts a version that was read.
   * @throws KeystrataError `limit-exceeded` if it is damaged, and too many before it were
   */
  add(epoch: { readonly epoch: number }, version: number, isDamaged: boolean): void {
    this.#length = isDamaged ? this.#length + 1 : 0
    if (this.#length > DAMAGED_IN_A_ROW) throw tooManyDamaged(this.#logId, epoch, version)
  }
}

/** Returns the error for an epoch with too many damaged versions in a row. */
export function tooManyDamaged(
  logId: Uint8Array,
  { epoch }: { readonly epoch: number },
  version: number,
): KeystrataError {
  const message =
    `more than ${DAMAGED_IN_A_ROW} versions in a row are damaged or lost, at version ${version} of epoch ${epoch} ` +
    'of this log: restore them, or read only what follows a later position'
  return new KeystrataError('limit-exceeded', message, { object: 'log', log: toHex(logId), epoch, version })
}

/** Returns the error for a log above whose current epoch too many damaged ones are. */
export function tooManyDamagedEpochs(logId: Uint8Array, epoch: number): KeystrataError {
  const message =
    `more than ${DAMAGED_EPOCHS} epochs of this log in a row end in damaged versions, up to epoch ${epoch}: ` +
    'delete the ones that nobody wrote'
  return new KeystrataError('limit-exceeded', message, { object: 'log', log: toHex(logId), epoch })
}
