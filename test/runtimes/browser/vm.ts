// Replaces node:vm in browsers, as far as tests use it. An iframe is the other realm.

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
