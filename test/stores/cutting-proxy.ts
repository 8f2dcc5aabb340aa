// A TCP proxy that cuts connections: before a request is through, after the server has answered but before the client
// hears of it, or in the middle of an answer.
import { connect, createServer, type Socket } from 'node:net'

/**
 * Where to cut. `request`: after so many bytes of the request. `answer`: after so many bytes of the answer; with 0, the
 * server has done what was asked, and the client does not know.
 */
export type Cut = { readonly request: number } | { readonly answer: number }

export interface CuttingProxy {
  readonly port: number
  /** Decides for each request. */
  next: () => Cut | undefined
  /** How many connections were cut. */
  cuts: number
  stop(): Promise<void>
}

export async function startCuttingProxy(target: number): Promise<CuttingProxy> {
  const sockets: Set<Socket> = new Set()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket)).on('error', end)
      socket.once('close', end)
    }
    // The state of the connection: a client sends the next request only after an answer.
    let answering = true
    let cut: Cut | undefined
    let passed = 0
    client.on('data', (chunk) => {
      if (answering) {
        cut = proxy.next()
        passed = 0
        answering = false
      }
      pass(chunk, upstream, cut !== undefined && 'request' in cut ? cut.request : undefined)
    })
    upstream.on('data', (chunk) => {
      if (!answering) passed = 0
      answering = true
      pass(chunk, client, cut !== undefined && 'answer' in cut ? cut.answer : undefined)
    })
    const pass = (chunk: Buffer, to: Socket, most = Infinity) => {
      const left = most - passed
      passed += chunk.length
      if (passed <= most) {
        to.write(chunk)
      } else {
        proxy.cuts++
        client.pause()
        upstream.pause()
        // Give what is sent before the cut the time to arrive.
        if (left > 0) to.write(chunk.subarray(0, left), () => setTimeout(end, 5))
        else end()
      }
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: CuttingProxy = {
    port: (server.address() as { port: number }).port,
    next: () => undefined,
    cuts: 0,
    stop: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
      })
    },
  }
  return proxy
}
