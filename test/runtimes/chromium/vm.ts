// What tests use of node:vm, for browsers: another realm is that of a frame.

interface Page {
  document: {
    createElement(name: 'iframe'): { contentWindow: { eval(code: string): unknown } }
    body: { append(element: unknown): void }
  }
}

export function runInNewContext(code: string): unknown {
  const { document } = globalThis as unknown as Page
  const frame = document.createElement('iframe')
  document.body.append(frame)
  return frame.contentWindow.eval(code)
}
