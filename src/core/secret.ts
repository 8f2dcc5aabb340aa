// Holders of secrets. A holder prints nothing, cannot be serialised or cloned, and is wiped when it is disposed of. Not
// protected: memory dumps, and copies that the JavaScript engine makes by itself.

/// <reference lib="esnext.disposable" preserve="true" />
import { copyOf, equalBytes, wipe } from './bytes.ts'
import { KeystrataError } from './errors.ts'

/**
 * Something that holds secrets until it is disposed of, by `using` or by `dispose()`.
 * @example
 * ```ts
 * import type { Handle } from 'keystrata'
 *
 * function disposeAll(handles: Iterable<Handle>) {
 *   for (const handle of handles) handle.dispose() // where the language has no `using`
 * }
 * ```
 */
export interface Handle extends Disposable {
  /** Wipes the secrets. Every later use throws `disposed`; disposing again does nothing. */
  dispose(): void
}

/** The symbol that `using` calls. Engines that lack it get the symbol that bundlers use in its place. */
export const DISPOSE: typeof Symbol.dispose =
  (Symbol as Partial<typeof Symbol>).dispose ?? (Symbol.for('Symbol.dispose') as typeof Symbol.dispose)

/** Adds `dispose` to an object, and support for `using`. */
export function disposable<T extends object>(value: T, dispose: () => void): T & Handle {
  return Object.assign(value, { dispose, [DISPOSE]: dispose })
}

/** Wipes these bytes at the end of a `using` block. */
export function wiping(...secrets: readonly Uint8Array[]): Disposable {
  return { [DISPOSE]: () => wipe(...secrets) }
}

/** Disposes of every key in these objects at the end of a `using` block. */
export function disposing(...values: readonly unknown[]): Disposable {
  return { [DISPOSE]: () => disposeKeys(values) }
}

export abstract class SecretHolder implements Handle {
  /** This is an own property on purpose: structured cloning refuses functions, and so refuses the holder. */
  readonly dispose: () => void
  declare readonly [Symbol.dispose]: () => void
  readonly #kind: string
  #disposed = false

  protected constructor(kind: string, wipeSecrets: () => void) {
    this.#kind = kind
    this.dispose = () => {
      if (this.#disposed) return
      this.#disposed = true
      wipeSecrets()
    }
  }

  /**
   * Checks that this object was not disposed of.
   * @throws KeystrataError `disposed` if it was
   */
  protected assertUsable(): void {
    if (this.#disposed)
      throw new KeystrataError('disposed', `this ${this.#kind} was disposed of`, { object: this.#kind })
  }

  toJSON(): never {
    throw new TypeError(`a ${this.#kind} holds secrets and cannot be serialised`)
  }
}

// Not in a static block of the class, because the bundler of React Native refuses those.
Object.defineProperty(SecretHolder.prototype, DISPOSE, {
  value(this: SecretHolder) {
    this.dispose()
  },
})
// What console.log shows in Node, Bun and Deno.
Object.defineProperty(SecretHolder.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value: () => '[holds secrets]',
})

/** The one purpose of a key. A key type-checks only where its role is accepted. */
export type Role =
  | 'root'
  | 'keyring'
  | 'data'
  | 'master'
  | 'block'
  | 'dedup'
  | 'block-salt'
  | 'x25519'
  | 'ml-kem-1024'
  | 'signing'
  | 'agreed'
  | 'label'
  | 'lock'
  | 'cipher'
  | 'login'
  | 'client'
  | 'device'
  | 'passphrase'
  | 'activation'
  | 'recovery'
  | 'member'
  | 'mac'
  | 'hedge'

/** Key material with one purpose. Only {@link withBytes} gives access to its bytes. */
export class SecretKey<R extends Role> extends SecretHolder {
  readonly role: R
  readonly #bytes: Uint8Array

  /**
   * Copies the bytes.
   * @param isOwn whether to use `bytes` instead of a copy: see {@link SecretKey.adopt}
   */
  constructor(role: R, bytes: Uint8Array, isOwn = false) {
    const own = isOwn ? bytes : copyOf(bytes)
    super(`${role} key`, () => own.fill(0))
    this.role = role
    this.#bytes = own
  }

  /** Returns the bytes that the key holds, not a copy. Only {@link withBytes} may call this. */
  static bytesOf(key: SecretKey<Role>): Uint8Array {
    key.assertUsable()
    return key.#bytes
  }

  /** Keeps a copy of `bytes` and wipes the original. */
  static take<R extends Role>(role: R, bytes: Uint8Array): SecretKey<R> {
    using _ = wiping(bytes)
    return new SecretKey(role, bytes)
  }

  /**
   * Makes these bytes the memory of a key, without a copy. The caller must not use them again. They must be in memory
   * that the garbage collector does not move, as everything is that a primitive returns.
   */
  static adopt<R extends Role>(role: R, bytes: Uint8Array): SecretKey<R> {
    return new SecretKey(role, bytes, true)
  }

  /** Returns an independent key with the same role and bytes. */
  copy(): SecretKey<R> {
    return withBytes(this, (bytes) => new SecretKey(this.role, bytes))
  }
}

/** Lends the bytes of `key` to `use`, which must not keep them: they are wiped when the key is disposed of. */
export function withBytes<T>(key: SecretKey<Role>, use: (bytes: Uint8Array) => T): T {
  return use(SecretKey.bytesOf(key))
}

/** Compares two keys of one role in constant time. */
export function equalKeys<R extends Role>(a: SecretKey<R>, b: SecretKey<R>): boolean {
  return withBytes(a, (first) => withBytes(b, (second) => equalBytes(first, second)))
}

/** Returns the same object with independent copies of its keys. */
export function copyKeys<T>(value: T): T {
  if (value instanceof SecretKey) return value.copy() as T
  if (Array.isArray(value)) return value.map(copyKeys) as T
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, copyKeys(field as unknown)])) as T
}

/** Wipes every key in an object. */
export function disposeKeys(value: unknown): void {
  if (value instanceof SecretKey) value.dispose()
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const field of Object.values(value)) disposeKeys(field)
  }
}
