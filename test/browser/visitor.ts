// What a visitor of the page does, and what they see.
import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright'

export const PASSWORD = 'correct horse battery staple'
const LONGEST_MS = 120_000

/** A page, and what a visitor does with it. */
export class Visitor {
  readonly page: Page
  readonly #folder: string

  constructor(page: Page, folder: string) {
    this.page = page
    // While a listener is set, the browser does not open its own dialog. Setting it only at the click can be too late.
    page.on('filechooser', () => undefined)
    this.#folder = folder
  }

  async choose(path: string): Promise<void> {
    const [chooser] = await Promise.all([
      this.page.waitForEvent('filechooser'),
      this.page.getByText('Choose a').click(),
    ])
    await chooser.setFiles(path)
  }

  /** Drops a file from the disk onto the middle of the page, as the operating system would. */
  async dropPath(path: string): Promise<void> {
    const session = await this.page.context().newCDPSession(this.page)
    const { width, height } = this.page.viewportSize() ?? { width: 0, height: 0 }
    const data = { items: [], files: [path], dragOperationsMask: 1 }
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await session.send('Input.dispatchDragEvent', { type, x: width / 2, y: height / 2, data })
    }
    await session.detach()
  }

  /** Writes bytes to a file on the disk, and drops that file onto the page. */
  async drop(name: string, bytes: Uint8Array): Promise<void> {
    await this.dropPath(this.put(name, bytes))
    await this.page.getByText(name, { exact: true }).waitFor()
  }

  put(name: string, bytes: Uint8Array): string {
    const path = join(this.#folder, name)
    writeFileSync(path, bytes)
    return path
  }

  async type(password: string, again?: string): Promise<void> {
    await this.page.getByLabel('Password', { exact: true }).filter({ visible: true }).fill(password)
    if (again !== undefined) await this.page.getByLabel('The password again').fill(again)
  }

  submit = (): Promise<void> => this.page.keyboard.press('Enter')

  /** Waits for the error message of the page, and returns it. */
  async problem(): Promise<string> {
    const alert = this.page.getByRole('alert').filter({ hasText: /./ })
    await alert.waitFor({ timeout: LONGEST_MS })
    return alert.innerText()
  }

  /** Drops a sealed file that must be refused, and returns the error message. */
  async refusal(name: string, bytes: Uint8Array, password: string = PASSWORD): Promise<string> {
    await this.drop(name, bytes)
    await this.type(password)
    await this.submit()
    return this.problem()
  }

  /** Runs an action that makes the page save a file, and returns that file. */
  async saved(action: () => Promise<void>): Promise<{ name: string; bytes: Buffer }> {
    const [download] = await Promise.all([this.page.waitForEvent('download', { timeout: LONGEST_MS }), action()])
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) }
  }

  /** Waits for the link that saves a file, and follows it. */
  async save(): Promise<{ name: string; bytes: Buffer }> {
    const link = this.page.getByRole('link', { name: /^Save / })
    await link.waitFor({ timeout: LONGEST_MS })
    return this.saved(() => link.click())
  }

  /** Returns the text of the element that has the focus; for an input, the text of its label. */
  inFocus = (): Promise<string> =>
    this.page.evaluate(() => {
      const focused = document.activeElement
      return (focused instanceof HTMLInputElement ? focused.labels?.[0] : focused)?.textContent ?? ''
    })
}

/** Returns the lowest contrast between text and its background, among all elements that show text now. */
export const leastContrast = (page: Page): Promise<number> =>
  page.evaluate(() => {
    // Computed colours are rgb(…). The helpers here have no names, because transpilers wrap functions that have one.
    const shown = [...document.querySelectorAll('body *')].filter(
      (each) =>
        [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim()) &&
        each.checkVisibility(),
    )
    const ratios = shown.map((each) => {
      let behind: Element | null = each
      while (behind !== null && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') {
        behind = behind.parentElement
      }
      const colours = [getComputedStyle(each).color, getComputedStyle(behind ?? document.body).backgroundColor]
      const [a = 0, b = 0] = colours
        .map((colour) =>
          (colour.match(/[\d.]+/g) ?? [])
            .slice(0, 3)
            .map((channel) => Number(channel) / 255)
            .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
            .reduce((sum, value, index) => sum + value * ([0.2126, 0.7152, 0.0722][index] ?? 0), 0),
        )
        .sort((one, other) => other - one)
      return (a + 0.05) / (b + 0.05)
    })
    return Math.min(...ratios)
  })
