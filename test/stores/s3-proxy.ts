// An HTTP proxy in front of a server of the S3 protocol that can spoil requests and answers, as faulty servers and
// networks do. It signs what it has changed again (AWS Signature Version 4), because the server checks signatures.
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface ProxiedRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

/** What to do with one request. */
export interface Fault {
  /** Header names to remove before the server sees the request. */
  readonly without?: readonly string[]
  /** Headers to change before the server sees the request. */
  readonly change?: Readonly<Record<string, string>>
  /** Answer with this status instead of what the server answered. */
  readonly status?: number
  /** Whether the server gets the request at all. Yes, if omitted. */
  readonly forward?: boolean
  /** Sends only the first bytes of the body, and then cuts the connection. */
  readonly cutAfter?: number
}

export interface S3Proxy {
  readonly endpoint: string
  /** Decides for each request. Undefined passes it on as it is. */
  fault: (asked: ProxiedRequest) => Fault | undefined | Promise<Fault | undefined>
  /** The requests so far, as method and path. */
  readonly log: string[]
  stop(): Promise<void>
}

export async function startS3Proxy(target: string, secretAccessKey: string): Promise<S3Proxy> {
  const { hostname, port } = new URL(target)
  const log: string[] = []
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const { method = '', url: path = '', headers } = incoming
      const body = await buffer(incoming)
      log.push(`${method} ${path}`)
      const fault = (await proxy.fault({ method, path, headers })) ?? {}
      const { without = [], change = {}, status, forward = true, cutAfter } = fault
      const left = Object.fromEntries(
        Object.entries({ ...headers, ...change }).filter(([name]) => !without.includes(name)),
      )
      const signed = resigned(method, path, left, secretAccessKey)
      const answer = forward ? await ask({ hostname, port, method, path, headers: signed }, body) : undefined
      if (status !== undefined) {
        outgoing.writeHead(status).end()
      } else if (answer === undefined) {
        incoming.socket.destroy()
      } else if (cutAfter !== undefined) {
        outgoing.writeHead(answer.status, answer.headers)
        outgoing.write(answer.body.subarray(0, cutAfter), () => incoming.socket.destroy())
      } else {
        outgoing.writeHead(answer.status, answer.headers).end(answer.body)
      }
    })().catch(() => incoming.socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: S3Proxy = {
    endpoint: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    fault: () => undefined,
    log,
    stop: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return proxy
}

interface Target {
  readonly hostname: string
  readonly port: string
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

function ask(target: Target, body: Buffer): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const forwarded = request(target, (answer) => {
      buffer(answer).then(
        (bytes) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: bytes }),
        reject,
      )
    })
    forwarded.once('error', reject).end(body)
  })
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** Returns the headers under a new signature, which covers what is left of the signed ones. */
function resigned(method: string, path: string, headers: IncomingHttpHeaders, secret: string): IncomingHttpHeaders {
  const parts = /Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+),/.exec(headers.authorization ?? '')
  if (parts === null) throw new Error('the request has no signature')
  const [, user, scope, signed] = parts as unknown as [string, string, string, string]
  const names = signed.split(';').filter((name) => headers[name] !== undefined)
  const [pathname, query = ''] = path.split('?') as [string, string?]
  const canonical = [
    method,
    pathname,
    query
      .split('&')
      .filter((each) => each !== '')
      .map((each) => (each.includes('=') ? each : `${each}=`))
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${String(headers[name])}`),
    '',
    names.join(';'),
    String(headers['x-amz-content-sha256']),
  ].join('\n')
  const hash = createHash('sha256').update(canonical).digest('hex')
  const text = ['AWS4-HMAC-SHA256', String(headers['x-amz-date']), scope, hash].join('\n')
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${secret}`)
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${user}/${scope}, SignedHeaders=${names.join(';')}, Signature=${hmac(key, text).toString('hex')}`,
  }
}
