// Lets vitest run tests in Firefox. The provider of vitest for Playwright needs a Firefox that Playwright has patched.
import { defineBrowserProvider } from '@vitest/browser'
import type { BrowserProvider, BrowserProviderOption } from 'vitest/node'
import { Firefox, Profile } from '../browser/firefox.ts'

const PREFERENCES = {
  // Adds performance.mozMemory and TestUtils.gc, which replace what tests use of Node.
  'dom.enable_memory_stats': true,
  'dom.testing.testutils.enabled': true,
}

class FirefoxProvider implements BrowserProvider {
  readonly name = 'firefox'
  readonly supportsParallelism = true
  #started: Promise<{ firefox: Firefox; profile: Profile }> | undefined

  getCommandsContext(): Record<string, unknown> {
    return {}
  }

  async openPage(_session: string, url: string): Promise<void> {
    this.#started ??= start()
    const { firefox } = await this.#started
    await firefox.window(url)
  }

  async close(): Promise<void> {
    const started = await this.#started?.catch(() => undefined)
    await started?.firefox.kill()
    started?.profile.remove()
  }
}

async function start(): Promise<{ firefox: Firefox; profile: Profile }> {
  const profile = new Profile(PREFERENCES)
  try {
    return { firefox: await Firefox.start(profile), profile }
  } catch (error) {
    profile.remove()
    throw error
  }
}

export const firefox = (): BrowserProviderOption =>
  defineBrowserProvider({
    name: 'firefox',
    supportedBrowser: ['firefox'],
    providerFactory: () => new FirefoxProvider(),
  })
