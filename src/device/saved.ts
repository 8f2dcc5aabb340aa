// Saved handles (SPEC §8). A login, a client or a keyset is sealed under the key of one device, so that a nightly
// backup needs no password. Each key model defines the content of its handles; this file has only what they share.
import type { Bytes } from '../core/bytes.ts'
import { answeredAlike, KeystrataError } from '../core/errors.ts'
import { wiping } from '../core/secret.ts'

/** The kinds of saved handles, one for each handle that can be saved. */
export const SavedKind = { login: 1, client: 2, keyset: 3 } as const
export type SavedKind = keyof typeof SavedKind

/** Seals and opens the keys of handles under a device key. */
interface Sealer {
  seal(kind: SavedKind, keys: Uint8Array): Bytes
  open(kind: SavedKind, saved: Uint8Array): Bytes
}

const sealers: WeakMap<object, Sealer> = /* @__PURE__ */ new WeakMap()

/** Registers the operations of a device key. */
export function setSealer(device: object, sealer: Sealer): void {
  sealers.set(device, sealer)
}

/**
 * Returns the operations that a device key registered.
 * @throws TypeError if `device` is not a device key of this copy of the library
 */
function sealerOf(device: object): Sealer {
  const sealer = sealers.get(device)
  if (sealer === undefined) throw new TypeError('device must be a DeviceKey of this copy of the library')
  return sealer
}

/** Seals the encoded keys of a handle, and wipes them. */
export function sealHandle(device: object, kind: SavedKind, keys: Bytes): Bytes {
  using _ = wiping(keys)
  return sealerOf(device).seal(kind, keys)
}

/**
 * Opens a saved handle. Once its keys are unwrapped, only a holder of the device key could have written them, so every
 * failure in `read` becomes `authentication-failed`.
 * @param read creates a handle from the encoded keys, which are wiped afterwards
 * @throws KeystrataError `key-not-found` if another device saved it
 * @throws KeystrataError `unsupported` if it is another kind of handle, or needs a later release
 * @throws KeystrataError `malformed` if it is damaged
 * @throws KeystrataError `authentication-failed` if it was altered
 * @throws KeystrataError `limit-exceeded` if it is too large
 * @throws KeystrataError `disposed` if the device key was disposed of
 */
export function openHandle<T>(device: object, kind: SavedKind, saved: Uint8Array, read: (keys: Bytes) => T): T {
  const keys = sealerOf(device).open(kind, saved)
  using _ = wiping(keys)
  return answeredAlike(() => read(keys))
}

/**
 * Checks the names in a saved handle, to detect rows that were swapped in the database.
 * @throws KeystrataError `policy` if a name differs from the expected one
 */
export function assertExpected<Name extends string>(
  found: Readonly<Record<Name, string>>,
  expected: Readonly<Record<Name, string>>,
): void {
  for (const name of Object.keys(expected) as Name[]) {
    if (typeof expected[name] !== 'string') throw new TypeError(`the expected ${name} must be a string`)
    if (found[name] === expected[name]) continue
    throw new KeystrataError('policy', `this saved handle belongs to another ${name}`, {
      rule: 'expected-handle',
      field: name,
      found: found[name],
    })
  }
}
