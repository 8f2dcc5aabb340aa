// Chooses, for each primitive and at its first use, the first implementation that works on this platform. Nothing is probed when a module
// is loaded, and a bundle contains only the primitives that a program uses.
import type { Backend, Primitive, Primitives } from './backend.ts'

/** An implementation of some primitives, and whose code it is. */
export interface Provided<T extends Partial<Primitives>> {
  /** Which of the primitives it computes. A platform may leave one of them to portable code. */
  readonly primitives: readonly Primitive[]
  readonly provider: string
  readonly part: T
}

let preferred: Backend | undefined
const providers: Map<Primitive, string> = /* @__PURE__ */ new Map()

/**
 * Makes a choice among implementations, the fastest first. The last one must work everywhere.
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
  for (const { primitives, provider } of working.toReversed()) {
    for (const primitive of primitives) providers.set(primitive, provider)
  }
  const [first] = working
  if (first === undefined) throw new Error('no implementation works on this platform')
  return first.part
}

/** Whose code computes a primitive that was used before. */
export const providerOf = (primitive: Primitive): string | undefined =>
  preferred?.providers[primitive] ?? providers.get(primitive)

/** Runs everything by one backend; undefined to choose again. For tests and benchmarks; the package does not export it. */
export function useBackend(backend: Backend | undefined): void {
  preferred = backend
}

/** The backend that {@link useBackend} set. */
export const preferredBackend = (): Backend | undefined => preferred
