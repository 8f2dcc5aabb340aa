// Checks of values that may come from another realm: an iframe, node:vm, the environments of Jest. `instanceof` is
// false for those.

const typedArrayPrototype = /* @__PURE__ */ Object.getPrototypeOf(Uint8Array.prototype) as object

/** Returns whether a value is a Uint8Array. It asks the built-in getter, which properties cannot deceive. */
export const isBytes = (value: unknown): value is Uint8Array =>
  Reflect.get(typedArrayPrototype, Symbol.toStringTag, value) === 'Uint8Array'

export const isPromise = (value: unknown): boolean =>
  typeof (value as Partial<Promise<unknown>> | null | undefined)?.then === 'function'

/** Returns the time of a Date, in milliseconds since 1970. Returns NaN for an invalid one, and for any other value. */
export function timeOf(value: unknown): number {
  try {
    return Date.prototype.getTime.call(value)
  } catch {
    return NaN
  }
}

/** Returns the name of an error, or undefined if something else was thrown that has none. */
export function nameOf(error: unknown): string | undefined {
  const { name } = (error ?? {}) as { name?: unknown }
  return typeof name === 'string' ? name : undefined
}
