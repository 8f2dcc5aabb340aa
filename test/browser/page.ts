// Tests the built page of examples/browser in headless Chromium (CHROMIUM, or /usr/bin/chromium).
// Run it with `npm run test:page -- [--screenshot]`.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openFile, sealFile } from '../../examples/browser/sealed-file.ts'
import config from '../../examples/browser/vite.config.ts'
import { behaved, staysAlone } from './alone.ts'
import { check, checkSame, watch, withStage } from './harness.ts'
import { leastContrast, PASSWORD, Visitor } from './visitor.ts'

const WRONG = 'The password is not the right one'
const ALTERED = 'damaged or altered after it was sealed'
const DAMAGED = 'damaged or not complete'
const CHUNK = 2 * 1024 * 1024
const NAME = 'Müller – year 1.bin'
const SCREENSHOT = join(import.meta.dirname, '../../examples/browser/screenshot.png')

/** What the page showed while it worked. */
interface Seen {
  bars: number[]
  steps: string[]
  frames: number
}

declare global {
  interface Window {
    seen: Seen
    draw: () => void
  }
}

const LAST = 12_345
/** Five whole chunks and a shorter one, all different. */
const content = createHash('shake256', { outputLength: 5 * CHUNK + LAST }).digest()

async function seals(visitor: Visitor): Promise<Buffer> {
  const { page } = visitor
  await visitor.choose(visitor.put(NAME, content))
  await visitor.type(PASSWORD, PASSWORD)
  await page.evaluate(() => {
    window.seen = { bars: [], steps: [], frames: 0 }
    window.draw = () => {
      window.seen.frames++
      requestAnimationFrame(window.draw)
    }
    window.draw()
    const observer = new MutationObserver(() => {
      window.seen.bars.push(document.querySelector('progress')?.value ?? 0)
      window.seen.steps.push(document.querySelector('[role=status]')?.textContent ?? '')
    })
    observer.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['value'] })
  })
  const { name, bytes } = await visitor.saved(visitor.submit)
  checkSame('a chosen file is sealed, and saved under its own name plus .sealed', name, `${NAME}.sealed`)
  check(
    'the sealed file is larger by less than 25 kB',
    bytes.length > content.length && bytes.length < content.length + 25_000,
  )
  check(
    'the sealed file contains no part of the content',
    !bytes.includes(Buffer.from(content.subarray(CHUNK, CHUNK + 32))),
  )

  const { bars, steps, frames } = await page.evaluate(() => window.seen)
  const moves = (step: string) => new Set(bars.filter((_, index) => steps[index]?.startsWith(step))).size
  check('progress moved while the key was derived', moves('Deriving') >= 5, bars)
  check('progress moved over the chunks', moves('Sealing') >= 3, bars)
  check(`the page stayed responsive: it drew ${frames} frames`, frames >= 10)
  checkSame('the link that saves the file has the focus', await visitor.inFocus(), `Save ${NAME}.sealed`)
  checkSame('no password is left in the page', await page.getByLabel('Password', { exact: true }).inputValue(), '')

  const opened = await openFile(new Blob([new Uint8Array(bytes)]), PASSWORD)
  const back = new Uint8Array(await opened.content.arrayBuffer())
  check('Node opens what the page sealed', opened.name === NAME && content.equals(back))
  return bytes
}

async function opens(visitor: Visitor, sealed: Buffer): Promise<void> {
  const { page } = visitor
  await page.reload()
  const complaint = await visitor.refusal(`${NAME}.sealed`, sealed, 'another password')
  check('a wrong password is reported as one', complaint.includes(WRONG), complaint)
  checkSame('the page asks for the password again', await visitor.inFocus(), 'Password')
  check('no file is offered after a wrong password', await page.locator('#result').isHidden())
  await visitor.type(PASSWORD)
  await visitor.submit()
  const { name, bytes } = await visitor.save()
  checkSame('a dropped sealed file is opened, and offered under its original name', name, NAME)
  check('the opened content is the same, byte for byte', bytes.equals(content))

  const evil = await sealFile(new File(['small'], '../..\\etc/évil\u202Etxt.sh'), PASSWORD)
  await visitor.choose(visitor.put('from elsewhere', new Uint8Array(await evil.arrayBuffer())))
  await page.getByText('from elsewhere').waitFor()
  await visitor.type(PASSWORD)
  await visitor.submit()
  const saved = await visitor.save()
  check('the page opens what Node sealed, and recognises it by its first line', saved.bytes.toString() === 'small')
  checkSame('a name that is a path is cut to its last part', saved.name, 'évil_txt.sh')
}

async function refuses(visitor: Visitor, sealed: Buffer): Promise<void> {
  const flip = (index: number) => {
    const copy = new Uint8Array(sealed)
    copy.set([(sealed.at(index) ?? 0) ^ 1], index < 0 ? sealed.length + index : index)
    return copy
  }
  // All whole chunks have the same stored size. The last one is shorter by as much as its content is.
  const block = CHUNK + 1713 + 80
  const firstBlock = sealed.length - (LAST + 1713 + 80) - 5 * block
  const [before, one, two, after] = [
    sealed.subarray(0, firstBlock),
    sealed.subarray(firstBlock, firstBlock + block),
    sealed.subarray(firstBlock + block, firstBlock + 2 * block),
    sealed.subarray(firstBlock + 2 * block),
  ]
  const cases: [string, Uint8Array, string][] = [
    ['a flipped bit in the keyset', flip(1000), DAMAGED],
    ['a flipped bit at the beginning', flip(3), DAMAGED],
    ['a flipped bit in the listing', flip(firstBlock - 100), ALTERED],
    ['a flipped bit in the last byte', flip(-1), ALTERED],
    ['two chunks swapped', Buffer.concat([before, two, one, after]), ALTERED],
    ['a chunk left out', Buffer.concat([before, two, after]), DAMAGED],
    ['the last byte removed', sealed.subarray(0, -1), DAMAGED],
    ['an extra byte', Buffer.concat([sealed, Buffer.from('x')]), DAMAGED],
    ['an empty file', Buffer.alloc(0), DAMAGED],
  ]
  for (const [index, [what, bytes, expected]] of cases.entries()) {
    const complaint = await visitor.refusal(`damaged ${index}.sealed`, bytes)
    check(
      `damage is reported as damage: ${what}`,
      complaint.includes(expected) && !complaint.includes(WRONG),
      complaint,
    )
  }
  check('no file is offered after damage', await visitor.page.locator('#result').isHidden())
}

async function guides(visitor: Visitor, folder: string): Promise<void> {
  const { page } = visitor
  await page.reload()
  await page.keyboard.press('Tab')
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')])
  check('the keyboard reaches the file chooser first', !chooser.isMultiple())
  await page.getByRole('button', { name: 'Seal', exact: true }).click()
  checkSame('a missing file is reported', await visitor.problem(), 'Choose a file first.')
  await chooser.setFiles(visitor.put(NAME, content))
  await page.getByText(NAME).waitFor()
  await visitor.submit()
  checkSame('a missing password is reported', await visitor.problem(), 'Enter a password.')
  await visitor.type(PASSWORD, `${PASSWORD}!`)
  await visitor.submit()
  checkSame('two different passwords are reported', await visitor.problem(), 'The two passwords are not the same.')

  let saved = 0
  page.on('download', () => saved++)
  await visitor.type(PASSWORD, PASSWORD)
  await visitor.submit()
  await page.waitForFunction(() => (document.querySelector('progress')?.value ?? 0) > 0.05)
  checkSame('the cancel button has the focus', await visitor.inFocus(), 'Cancel')
  await visitor.submit()
  await page.getByText('Cancelled. Nothing was saved.').waitFor({ timeout: 5000 })
  check('cancelling while the key is derived saves nothing', saved === 0 && (await page.locator('#result').isHidden()))
  check(
    'the page is ready again after cancelling',
    await page.getByRole('button', { name: 'Seal', exact: true }).isEnabled(),
  )

  const inside = join(folder, 'a folder')
  mkdirSync(inside)
  await visitor.dropPath(inside)
  const complaint = await visitor.problem()
  check('a dropped folder is refused with a message that says so', complaint.includes('or be a folder'), complaint)
}

async function looksRight(visitor: Visitor): Promise<void> {
  const { page } = visitor
  await page.setViewportSize({ width: 360, height: 740 })
  await visitor.drop(`${'a very long name without end '.repeat(4)}${'x'.repeat(60)}.bin`, content)
  await visitor.type('one', 'other')
  await visitor.submit()
  await visitor.problem()
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth] as const)
  check('the page fits the width of a phone', widths[0] <= widths[1], widths)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const contrast = await leastContrast(page)
    check(`text has a contrast of at least 4.5 in the ${colorScheme} scheme: ${contrast.toFixed(1)}`, contrast >= 4.5)
  }
}

async function takePicture(visitor: Visitor): Promise<void> {
  const { page } = visitor
  await page.setViewportSize({ width: 1000, height: 800 })
  await page.emulateMedia({ colorScheme: 'light' })
  await page.reload()
  await visitor.drop('holiday pictures.zip', content)
  await visitor.type(PASSWORD, PASSWORD)
  await visitor.submit()
  await page.waitForFunction(() => (document.querySelector('progress')?.value ?? 0) > 0.45)
  await page.screenshot({ path: SCREENSHOT })
  console.log(`${SCREENSHOT}: ${(readFileSync(SCREENSHOT).length / 1000).toFixed(0)} kB`)
}

await withStage(config, async (stage) => {
  const context = await stage.browser.newContext({ viewport: { width: 1000, height: 800 }, acceptDownloads: true })
  const conduct = watch(context)
  const page = await context.newPage()
  await page.goto(stage.site.url)
  const visitor = new Visitor(page, stage.folder)
  const sealed = await seals(visitor)
  await opens(visitor, sealed)
  await refuses(visitor, sealed)
  await guides(visitor, stage.folder)
  await looksRight(visitor)
  if (process.argv.includes('--screenshot')) await takePicture(visitor)
  behaved(conduct, stage)
  // Last, and in a separate context: every blocked attempt is an error in the console.
  await staysAlone(await stage.browser.newContext(), stage)
})
