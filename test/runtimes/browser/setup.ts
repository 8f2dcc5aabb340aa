// Adds what the tests need and browsers lack: Buffer, from the package of that name, setImmediate, and process.env.
import { Buffer } from 'buffer/'

type Encoding = BufferEncoding | undefined

const standard = (text: string) => text.replaceAll('-', '+').replaceAll('_', '/')

// The package does not support base64url.
const { from } = Buffer
const { toString } = Buffer.prototype
Object.assign(Buffer, {
  from: (value: string, encoding: Encoding, ...rest: never[]) =>
    encoding === 'base64url' ? from(standard(value), 'base64') : from(value as never, encoding as never, ...rest),
})
Object.assign(Buffer.prototype, {
  toString(this: Buffer, encoding: Encoding, ...range: never[]) {
    if (encoding !== 'base64url') return toString.call(this, encoding, ...range)
    return toString.call(this, 'base64').replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  },
})

// The package searches only for Buffers and strings. Node searches for any Uint8Array.
for (const name of ['indexOf', 'lastIndexOf', 'includes', 'equals'] as const) {
  const own = Buffer.prototype[name] as (this: Buffer, wanted: unknown, ...rest: unknown[]) => unknown
  Buffer.prototype[name] = function (this: Buffer, wanted: unknown, ...rest: unknown[]) {
    const bytes =
      wanted instanceof Uint8Array
        ? Buffer.from(wanted.buffer as ArrayBuffer, wanted.byteOffset, wanted.length)
        : wanted
    return own.call(this, bytes, ...rest)
  } as never
}

const { port1, port2 } = new MessageChannel()
const waiting: (() => void)[] = []
Object.assign(port1, { onmessage: () => waiting.shift()?.() })
const setImmediate = (task: () => void): void => {
  waiting.push(task)
  port2.postMessage(0)
}

// vite puts the settings of vitest.browser.ts there.
const { RUNTIME } = (import.meta as unknown as { env: { RUNTIME: string } }).env
const process = { env: { RUNTIME }, versions: {} }

Object.assign(globalThis, { Buffer, process, setImmediate })
