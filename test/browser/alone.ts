// The page must not contact any other server.
import type { BrowserContext } from 'playwright'
import { check, checkSame, type Conduct, type Stage } from './harness.ts'

/** Tries every way that a script has to send data, and checks that the policy of the page blocks it. */
export async function staysAlone(context: BrowserContext, { site, elsewhere }: Stage): Promise<void> {
  const page = await context.newPage()
  await page.goto(site.url)
  const directives = [
    'connect-src',
    'form-action',
    'frame-src',
    'img-src',
    'require-trusted-types-for',
    'style-src-elem',
  ]
  const outcome = await page.evaluate(
    async ([out, directives]) => {
      const forbidden: string[] = []
      document.addEventListener('securitypolicyviolation', (event) => forbidden.push(event.effectiveDirective))
      const own = new URL('own', location.href).href
      const fetched = await Promise.allSettled([
        fetch(own),
        fetch(out),
        fetch(out, { mode: 'no-cors', method: 'POST' }),
      ])
      navigator.sendBeacon(out, 'beacon')
      const refused: string[] = []
      const attempts: [string, () => unknown][] = [
        [
          'XMLHttpRequest',
          () => {
            const request = new XMLHttpRequest()
            request.open('GET', out)
            request.send()
          },
        ],
        ['WebSocket', () => new WebSocket(out.replace('http', 'ws'))],
        ['EventSource', () => new EventSource(out)],
        ['image', () => Object.assign(new Image(), { src: `${out}image.png` })],
        ['frame', () => document.body.append(Object.assign(document.createElement('iframe'), { src: out }))],
        ['style', () => document.head.append(Object.assign(document.createElement('style'), { textContent: 'p{}' }))],
        [
          'form',
          () => document.body.appendChild(Object.assign(document.createElement('form'), { action: out })).submit(),
        ],
        ['worker', () => new Worker(out)],
        ['script', () => Object.assign(document.createElement('script'), { src: out })],
        ['html', () => (document.body.innerHTML = '<p>html')],
      ]
      for (const [name, attempt] of attempts) {
        try {
          attempt()
        } catch {
          refused.push(name)
        }
      }
      // The browser reports violations when it has time. Half a second more is for requests that should not happen.
      for (let waits = 0, isDone = false; waits < 20 && !isDone; waits++) {
        isDone = directives.every((each) => forbidden.includes(each))
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
      return { fetched: fetched.map(({ status }) => status), forbidden: [...new Set(forbidden)].sort(), refused }
    },
    [elsewhere.url, directives] as const,
  )
  checkSame('the policy forbids every fetch', outcome.fetched, ['rejected', 'rejected', 'rejected'])
  check(
    'the policy forbids other ways to send data',
    directives.every((each) => outcome.forbidden.includes(each)),
    outcome.forbidden,
  )
  check(
    'the policy keeps text from becoming code',
    ['worker', 'script', 'html'].every((each) => outcome.refused.includes(each)),
    outcome.refused,
  )
  checkSame('the other server got no request', elsewhere.asked, [])
  check("the page's own server got none of these requests either", !site.asked.some(({ path }) => path === '/own'))
  await page.close()
}

export function behaved({ errors, requests }: Conduct, { site }: Stage): void {
  checkSame('no error or warning in the console', errors, [])
  const foreign = requests.filter((address) => !address.startsWith(site.url) && !address.startsWith(`blob:${site.url}`))
  checkSame('no request to another server', foreign, [])
  const paths = [...new Set(site.asked.map(({ path, code }) => `${code} ${path.replace(/-[\w-]{8}\./, '.')}`))].sort()
  checkSame('the page requested its own four files, and nothing else', paths, [
    '200 /',
    '200 /assets/icon.svg',
    '200 /assets/index.css',
    '200 /assets/index.js',
  ])
}
