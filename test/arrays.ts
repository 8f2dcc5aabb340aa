// Records every Uint8Array that is created, and where. Tests use it to find secrets that were not wiped.

/** An array, and the stack of the code that made it. */
export interface MadeArray {
  readonly bytes: Uint8Array
  readonly stack: string
}

const Plain = globalThis.Uint8Array

/**
 * Starts to record arrays, and returns the list that they are added to.
 * @param isWanted decides which arrays to record; these stay in memory
 */
export function watchArrays(isWanted: (bytes: Uint8Array, args: readonly unknown[]) => boolean): MadeArray[] {
  const made: MadeArray[] = []
  const Watching: typeof Plain = new Proxy(Plain, {
    construct(target, args: unknown[], newTarget) {
      const bytes = Reflect.construct(target, args, newTarget === Watching ? target : newTarget) as Uint8Array
      if (isWanted(bytes, args)) made.push({ bytes, stack: new Error().stack ?? '' })
      return bytes
    },
  })
  globalThis.Uint8Array = Watching
  return made
}

export function stopWatching(): void {
  globalThis.Uint8Array = Plain
}
