// Chooses, for each primitive and at its first use, the first implementation that works on this platform. Nothing is
// probed when a module is loaded, and a bundle contains only the primitives that a program uses.
import type { Backend, Primitive, Primitives } from './backend.ts'

/** An implementation of some primitives, and the name of its provider. */
export interface Provided<T extends Partial<Primitives>> {
  /** Which of the primitives it computes. It may leave some of them to portable code. */
  readonly primitives: readonly Primitive[]
  readonly provider: string
  readonly part: T
}

let preferred: Backend | undefined
const providers: Map<Primitive, string> = /* @__PURE__ */ new Map()

/**
 * Makes a choice among implementations. The fastest comes first. The last one must work everywhere.
 * @returns a function that returns the chosen implementation
 */
/* @__NO_SIDE_EFFECTS__ */
export function choose<T extends Partial<Primitives>>(
  ...candidates: readonly [...(() => Provided<T> | undefined)[], () => Provided<T>]
): () => T {
  let chosen: T | undefined
  return () => {
    if (preferred !== undefined) return preferred as Primitives as T
    return (chosen ??= firstOf(candidates))
  }
}

function firstOf<T extends Partial<Primitives>>(candidates: readonly (() => Provided<T> | undefined)[]): T {
  const working = candidates.flatMap((candidate) => candidate() ?? [])
  // Later candidates compute what the earlier ones leave out.
  for (const { primitives, provider } of [...working].reverse()) {
    for (const primitive of primitives) providers.set(primitive, provider)
  }
  const [first] = working
  if (first === undefined) throw new Error('no implementation works on this platform')
  return first.part
}

/** Returns the name of the provider that computes a primitive, or undefined if the primitive was not used yet. */
export const providerOf = (primitive: Primitive): string | undefined =>
  preferred?.providers[primitive] ?? providers.get(primitive)

/**
 * Makes every primitive use one backend. With undefined, primitives are chosen again. This is for tests and benchmarks:
 * the package does not export it.
 */
export function useBackend(backend: Backend | undefined): void {
  preferred = backend
}

/** Returns the backend that {@link useBackend} set. */
export const preferredBackend = (): Backend | undefined => preferred
