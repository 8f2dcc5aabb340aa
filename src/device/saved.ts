// Saved handles (SPEC §15): everything in a login, a client or a keyset, sealed under the key of one device, so that nobody types a
// password every night. What is inside is the key model's own business; here is only what they share.
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

/** Registers a device key. */
export function setSealer(device: object, sealer: Sealer): void {
  sealers.set(device, sealer)
}

/** @throws TypeError if it is no device key of this copy of the library */
function sealerOf(device: object): Sealer {
  const sealer = sealers.get(device)
  if (sealer === undefined) throw new TypeError('device must be a DeviceKey of this copy of the library')
  return sealer
}

/** Seals the keys of a handle, and wipes them. */
export function sealHandle(device: object, kind: SavedKind, keys: Bytes): Bytes {
  using _ = wiping(keys)
  return sealerOf(device).seal(kind, keys)
}

/**
 * Opens the keys of a saved handle. Only the device key could have sealed them, so every later failure gives the same error.
 * @param read makes a handle from the keys, which are wiped afterwards
 * @throws KeystrataError `key-not-found` if another device saved it; `unsupported` if it is another kind of handle;
 *   `malformed` if it is damaged; `authentication-failed`, `limit-exceeded`, `disposed`
 */
export function openHandle<T>(device: object, kind: SavedKind, saved: Uint8Array, read: (keys: Bytes) => T): T {
  const keys = sealerOf(device).open(kind, saved)
  using _ = wiping(keys)
  return answeredAlike(() => read(keys))
}

/**
 * Notices saved handles whose rows were swapped.
 * @throws KeystrataError `policy` if a name differs from the expected one
 */
export function assertExpected<Name extends string>(
  found: Readonly<Record<Name, string>>,
  expected: Readonly<Record<Name, string>>,
): void {
  for (const name of Object.keys(expected) as Name[]) {
    if (found[name] === expected[name]) continue
    throw new KeystrataError('policy', `this saved handle belongs to another ${name}`, {
      rule: 'expected-handle',
      field: name,
      found: found[name],
    })
  }
}
