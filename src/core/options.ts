// Options and other small objects that callers pass. JavaScript ignores a misspelt name, and a value that got lost on
// its way is undefined. Both are errors here, because either one could silently switch off a check.

/**
 * How a property may be given. `required`: always. `defined`: it may be left out, but an explicit `undefined` is an
 * error, because it would switch off a check. `optional`: an explicit `undefined` means the default.
 */
type Rule<T, Name extends keyof T> =
  Partial<Pick<T, Name>> extends Pick<T, Name>
    ? undefined extends Required<T>[Name]
      ? 'optional'
      : 'defined'
    : 'required'

/** A rule for each property of a type. It compiles only if it names all properties, and fits their types. */
export type Rules<T> = { readonly [Name in keyof T]-?: Rule<T, Name> }

/**
 * Returns a copy of the options of a function. Each one is read once. What somebody planted in `Object.prototype` is
 * not read.
 * @param what the name of the function
 * @param hint what to do if a required option is missing
 * @throws TypeError if it is not an object, an option is unknown or null, a required one is missing, or an explicit
 *   `undefined` would switch off a check
 */
export function optionsFrom<T extends object>(
  given: T | undefined,
  rules: Rules<NoInfer<T>>,
  what: string,
  hint?: string,
): T {
  if (given !== undefined) assertPlain(given, `the options of ${what} must be an object`, hint)
  return checkedCopy(given ?? ({} as T), rules, what, 'option', hint)
}

/**
 * Returns a copy of an object with named properties, such as a place. Otherwise the same as {@link optionsFrom}.
 * @param what what the object is
 */
export function fieldsFrom<T extends object>(given: T, rules: Rules<NoInfer<T>>, what: string, hint?: string): T {
  assertPlain(given, `${what} must be ${shapeOf(rules)}`, hint)
  return checkedCopy(given, rules, what, 'property', hint)
}

/** @throws TypeError for an array, a map, a promise, and everything else that has no properties by name */
export function assertPlain(given: object, message: string, hint = ''): void {
  const type = Object.prototype.toString.call(given).slice(8, -1)
  // A namespace of a module is an object too.
  if (type === 'Object' || type === 'Module') return
  throw new TypeError(`${message}, not ${type.toLowerCase()}${type === 'Promise' ? ': await it' : hint}`)
}

function checkedCopy<T extends object>(given: T, rules: Rules<T>, what: string, noun: string, hint = ''): T {
  const known = Object.keys(rules)
  // If all properties are required, a misspelt one is missing. So the object may be a row that has others beside them.
  const isRow = noun === 'property' && Object.values<string>(rules).every((rule) => rule === 'required')
  const wanted = isRow ? known.filter((each) => !isIn(given, each)) : known
  for (const name in given) {
    if (known.includes(name) || !isIn(given, name)) continue
    const meant = meantBy(name, wanted)
    if (isRow && meant === undefined) continue
    const next = meant === undefined ? `use ${wanted.map(quoted).join(', ')}` : `did you mean ${quoted(meant)}?`
    throw new TypeError(`${what} has no ${noun} ${quoted(name)}: ${next}`)
  }
  const copy = Object.create(null) as Record<string, unknown>
  for (const [name, rule] of Object.entries<string>(rules)) {
    const isGiven = isIn(given, name)
    const value: unknown = isGiven ? Reflect.get(given, name) : undefined
    if (value === undefined && rule === 'required') throw new TypeError(`${what} needs ${shapeOf(rules)}${hint}`)
    if (value === null || (value === undefined && isGiven && rule === 'defined')) {
      const next = rule === 'required' ? 'pass a value' : 'leave it out, or pass a value'
      throw new TypeError(`${name} in ${what} is ${value}: ${next}`)
    }
    if (isGiven) copy[name] = value
  }
  return copy as T
}

/** Returns the names that are required, as they are written in a program. */
function shapeOf(rules: object): string {
  const names = Object.entries(rules).flatMap(([name, rule]) => (rule === 'required' ? [name] : []))
  return names.length === 0 ? 'an object' : `{ ${names.join(', ')} }`
}

/** Returns whether an object or its class has a property. `Object.prototype`, of any realm, does not count. */
function isIn(given: object, name: string): boolean {
  if (Object.hasOwn(given, name)) return true
  const above = Object.getPrototypeOf(given) as object | null
  return above !== null && Object.getPrototypeOf(above) !== null && isIn(above, name)
}

const quoted = (name: string): string => `\`${name}\``

/** Returns the known name that somebody probably meant: the nearest one, if few letters differ. */
function meantBy(name: string, known: readonly string[]): string | undefined {
  const near = known.map((each) => ({ each, distance: distanceOf(name.toLowerCase(), each.toLowerCase()) }))
  const few = near.filter(({ each, distance }) => distance <= (each.length < 5 ? 1 : 2) || isAnagram(name, each))
  return few.sort((one, other) => one.distance - other.distance)[0]?.each
}

const isAnagram = (one: string, other: string): boolean =>
  Array.from(one).sort().join('') === Array.from(other).sort().join('')

/** Returns the distance of Levenshtein: how many letters were added, left out or replaced. */
function distanceOf(name: string, known: string): number {
  // Do not compute what is far anyway.
  if (name.length > known.length + 2) return Infinity
  let row = Array.from({ length: known.length + 1 }, (_, index) => index)
  for (const letter of name) {
    const [first = 0] = row
    const next = [first + 1]
    for (const [at, above] of row.slice(1).entries()) {
      const replaced = (row[at] ?? 0) + (known[at] === letter ? 0 : 1)
      next.push(Math.min(replaced, above + 1, (next[at] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
