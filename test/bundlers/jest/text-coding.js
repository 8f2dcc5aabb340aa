// jest-environment-jsdom has no TextEncoder and no TextDecoder.
const { TextDecoder, TextEncoder } = process.getBuiltinModule('node:util')

globalThis.TextDecoder ??= TextDecoder
globalThis.TextEncoder ??= TextEncoder
