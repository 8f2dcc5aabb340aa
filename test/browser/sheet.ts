// Prints the recovery sheet in headless Chromium (CHROMIUM, or /usr/bin/chromium), and reads its QR code back from a
// picture. Run it with `npm run test:sheet -- [--screenshot]`.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BrowserContext, Page } from 'playwright'
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader'
import { createKeyset, saveKeyset } from '../../src/index.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  recoverySheet,
  splitRecoveryCode,
  testSlot,
} from '../../src/recovery.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { check, checkSame, type Theatre, watch, withBrowser } from './harness.ts'
import { leastContrast } from './visitor.ts'

type Sheet = Parameters<typeof recoverySheet>[0]

const SCREENSHOT = join(import.meta.dirname, '../../examples/recovery-sheet.png')
/** The width of the paper in inches, its height, and both in points as the PDF says them: Chromium cuts to whole pixels. */
const PAPERS = { A4: [210 / 25.4, 297 / 25.4, '595 841'], Letter: [8.5, 11, '612 792'] } as const
/** A4 in CSS pixels. */
const VIEWPORT = { width: 794, height: 1123 }
/** What the printer leaves free, which a picture of the page has not. */
const MARGIN = 'html { padding: 15mm }'

const FACTS = {
  Store: 's3://acme-backup-4711/keystrata/',
  Keyset: '97b3a9568df46e074855b08836f01da4',
  Revision: '7-263a431408e1c594821fa2d808ce212b',
  Printed: '30 November 2026',
}

const USUAL = {
  title: 'Recovery sheet for your backup',
  text: [
    'This code opens your backup if its password is lost.',
    'Install Acme Backup on any machine and choose “Recover with a code”. Enter the address of the store, and type the code or scan the picture. Then set a new password.',
    'Keep this sheet where only you can find it. Whoever has it and can read the store can read your backup.',
  ].join('\n'),
  facts: FACTS,
}

/** As much as a vendor could want to say. */
const LONG = {
  title: 'Recovery sheet for the complete backup of the workshop in Neustadt an der Weinstraße',
  text: [
    'This sheet opens the complete backup if its password is lost. It opens everything that was ever backed up, on any machine, and it does not expire. Nobody else has a copy, and Acme cannot make another one.',
    'You need two other parts of the same set: any three of the five open the backup, and fewer open nothing. The parts are with Anna, Bernd, Clara, Dilek and Emil.',
    'Install Acme Backup, choose “Recover with parts”, and enter the address of the store below. Then type the nine groups, or hold this picture in front of the camera. Upper and lower case do not matter, and neither do spaces.',
    'Then set a new password, and print new sheets only if the program says that it is necessary. Once a year, try this sheet: choose “Test a recovery sheet”. That changes nothing.',
    'Keep this sheet where only you can find it, and not beside the machine. Whoever has three parts and can read the store can read everything in the backup.',
  ].join('\n'),
  facts: {
    ...FACTS,
    Store: `https://objects.eu-central.storage.example/${'customers/'.repeat(4)}4711/backup?version=current`,
    'Fingerprint of the card': '12345 67890 12345 67890 12345 67890 12345 67890 12345 67890 12345 67890',
    'Customer number': '4711-0815',
    Support: 'https://backup.example/recovery, +49 6321 000000, on weekdays from 8 to 18 o’clock',
    'Stored in': 'the safe of the office, and a second copy at the notary’s',
  },
}

const require = createRequire(import.meta.url)
// Without this, the package loads its WebAssembly from a server.
const wasmBinary = new Uint8Array(readFileSync(require.resolve('zxing-wasm/reader/zxing_reader.wasm'))).buffer
await prepareZXingModule({ overrides: { wasmBinary }, fireImmediately: true })

/** Returns the texts of the QR codes in a picture. */
async function readFrom(picture: Uint8Array): Promise<string[]> {
  const found = await readBarcodes(new Uint8Array(picture), { formats: ['QRCode'], tryDownscale: true })
  return found.map(({ text }) => text)
}

/** Opens a sheet from a file, as somebody who has saved it. */
async function openSheet(context: BrowserContext, folder: string, sheet: Sheet): Promise<Page> {
  const path = join(folder, 'sheet.html')
  writeFileSync(path, recoverySheet(sheet))
  const page = await context.newPage()
  await page.goto(pathToFileURL(path).href)
  return page
}

async function printed(page: Page, paper: keyof typeof PAPERS): Promise<{ pages: number; size: string }> {
  const session = await page.context().newCDPSession(page)
  const [paperWidth, paperHeight] = PAPERS[paper]
  const { data } = await session.send('Page.printToPDF', { paperWidth, paperHeight, preferCSSPageSize: false })
  await session.detach()
  const pdf = Buffer.from(data, 'base64')
  if (process.env['KEEP'] !== undefined) writeFileSync(join(process.env['KEEP'], `${paper}-${pdf.length}.pdf`), pdf)
  const text = pdf.toString('latin1')
  const [, width, height] = /\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/.exec(text) ?? []
  const size = `${Math.floor(Number(width))} ${Math.floor(Number(height))}`
  return { pages: [...text.matchAll(/\/Type \/Page\b/g)].length, size }
}

async function fitsOnePage({ folder }: Theatre, context: BrowserContext, secrets: Secrets): Promise<void> {
  const endless = { ...LONG, text: Array(12).fill(LONG.text).join('\n') }
  for (const paper of ['A4', 'Letter'] as const) {
    for (const [what, sheet] of Object.entries({
      'a code': { ...USUAL, code: secrets.code },
      'a part': { ...USUAL, code: secrets.part },
      'a part with five paragraphs and eight facts': { ...LONG, code: secrets.part },
      'a code without text and facts': { code: secrets.code, title: 'Code', text: '', facts: {} },
    })) {
      const page = await openSheet(context, folder, sheet)
      checkSame(`${what} is one page of ${paper}`, await printed(page, paper), { pages: 1, size: PAPERS[paper][2] })
      await page.close()
    }
    const page = await openSheet(context, folder, { ...endless, code: secrets.code })
    check(`text for several pages of ${paper} is several pages`, (await printed(page, paper)).pages > 1)
    await page.close()
  }
}

interface Secrets {
  code: string
  part: string
  parts: readonly string[]
}

async function givesTheKey({ folder }: Theatre, context: BrowserContext, secrets: Secrets): Promise<void> {
  const { code, part, parts } = secrets
  using keyset = await createKeyset('correct horse battery staple')
  const store = memoryStateStore()
  await saveKeyset(store, keyset)
  using byCode = await deriveRecoveryKey({ code })
  await addSlot(store, keyset, byCode, { label: 'Sheet in the safe' })

  const taken = async (what: string, sheet: Sheet, style = ''): Promise<string> => {
    const page = await openSheet(context, folder, sheet)
    await page.emulateMedia({ media: 'print' })
    await page.addStyleTag({ content: `${MARGIN} ${style}` })
    const texts = await readFrom(await page.screenshot({ fullPage: true }))
    await page.close()
    checkSame(`the picture of ${what} has one QR code, with what is written`, texts, [sheet.code])
    return texts[0] ?? ''
  }
  using scanned = await deriveRecoveryKey({ code: await taken('a code', { ...USUAL, code }) })
  checkSame('the code in the picture opens the keyset', (await testSlot(store, scanned)).label, 'Sheet in the safe')
  const scannedPart = await taken('a part', { ...USUAL, code: part })
  using combined = await deriveRecoveryKey({ parts: [...parts.slice(2, 4), scannedPart] })
  checkSame(
    'a part in the picture opens it with two others',
    (await testSlot(store, combined)).label,
    'Sheet in the safe',
  )

  await taken('a long sheet', { ...LONG, code: part })
  await taken('a sheet that lies askew', { ...USUAL, code: part }, 'body { rotate: 11deg; scale: 0.7 }')
  const stain = 'svg { background: radial-gradient(circle at 45% 55%, #000 12%, transparent 12.5%) }'
  await taken('a sheet that the printer smeared', { ...USUAL, code: part }, `${stain} svg { filter: blur(1.2px) }`)
}

async function isPlainText({ folder, elsewhere }: Theatre, context: BrowserContext, { code }: Secrets): Promise<void> {
  const address = elsewhere.url
  const title = `</title></h1><script src="${address}"></script> & "quotes" 'here'`
  const paragraphs = [
    `<img src=${address} onerror="document.title='ran'">`,
    `</style><style>@import url(${address})</style>`,
    `&lt;b&gt; &#x41; \u0000 <!-- `,
  ]
  const facts = {
    [`<link rel=stylesheet href=${address}>`]: `"><iframe src="${address}"></iframe>`,
    ['__proto__']: 'x',
    Row: '</dl>',
  }
  const conduct = watch(context)
  const page = await openSheet(context, folder, { code, title, text: paragraphs.join('\n'), facts })
  await page.waitForTimeout(300)
  checkSame('the title of the page is text', await page.title(), title)
  checkSame('the heading is text', await page.locator('h1').textContent(), title)
  // Browsers drop NUL.
  const shown = paragraphs.map((text) => text.replace('\u0000', ''))
  checkSame('paragraphs are text', await page.locator('p').allTextContents(), shown)
  checkSame('names of facts are text', await page.locator('dt').allTextContents(), Object.keys(facts))
  checkSame('values of facts are text', await page.locator('dd').allTextContents(), Object.values(facts))
  const kinds = await page.evaluate(() =>
    [...new Set([...document.querySelectorAll('*')].map((each) => each.localName))].sort(),
  )
  const known = 'bdi body dd div dl dt h1 head html li meta ol p path rect style svg title'.split(' ')
  checkSame(
    'the page has no other elements than its own',
    kinds.filter((each) => !known.includes(each)),
    [],
  )
  checkSame('no error or warning in the console', conduct.errors, [])
  checkSame('the page requests nothing but itself', conduct.requests, [page.url()])

  // Even if something got in, the policy of the page would stop it.
  const forbidden = await page.evaluate(async (out) => {
    const seen: string[] = []
    document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective))
    const added = { img: 'src', script: 'src', iframe: 'src' }
    for (const [name, attribute] of Object.entries(added)) {
      const element = document.createElement(name)
      element.setAttribute(attribute, out)
      document.body.append(element)
    }
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: out }))
    document.body.append(Object.assign(document.createElement('script'), { textContent: "document.title = 'ran'" }))
    await fetch(out).catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 300))
    return [...new Set(seen)].sort()
  }, address)
  const directives = ['connect-src', 'frame-src', 'img-src', 'script-src-elem', 'style-src-elem']
  checkSame('the policy forbids pictures, frames, scripts, styles and requests', forbidden, directives)
  checkSame('no script ran', await page.title(), title)
  checkSame('the other server got no request', elsewhere.asked, [])
  await page.close()
}

async function readsFromTheRight({ folder }: Theatre, context: BrowserContext, { code }: Secrets): Promise<void> {
  const title = 'גיליון שחזור לגיבוי שלך'
  const page = await openSheet(context, folder, {
    code,
    title,
    text: 'הקוד הזה פותח את הגיבוי אם הסיסמה אבדה.\nAn English line stays on its own side.',
    facts: { מאגר: 's3://acme-backup-4711/keystrata/', תאריך: '30.11.2026' },
  })
  await page.emulateMedia({ media: 'print' })
  const found = await page.evaluate(() =>
    [...document.querySelectorAll('h1, p, dt')].map((element) => {
      const range = document.createRange()
      range.selectNodeContents(element)
      const { left, right } = range.getBoundingClientRect()
      return left + right > innerWidth ? 'right' : 'left'
    }),
  )
  checkSame('a sheet in Hebrew begins on the right', found, ['right', 'right', 'left', 'right', 'right'])
  const values = await page.evaluate(() =>
    [...document.querySelectorAll('dd')].map((value) => {
      const range = document.createRange()
      range.selectNodeContents(value)
      const [name, text] = [value.previousElementSibling!.getBoundingClientRect(), range.getBoundingClientRect()]
      return Math.round(name.left - text.right)
    }),
  )
  check(
    'values stand beside their names',
    values.every((gap) => gap >= 0 && gap < 5),
    values,
  )
  const order = await page.evaluate(() => {
    const [first, second] = document.querySelectorAll('li')
    return first!.getBoundingClientRect().left < second!.getBoundingClientRect().left
  })
  check('the groups of a code always run from left to right', order)
  if (process.env['KEEP'] !== undefined) {
    await page.addStyleTag({ content: MARGIN })
    await page.screenshot({ path: join(process.env['KEEP'], 'hebrew.png') })
  }
  await page.close()
}

async function looksRight({ folder }: Theatre, context: BrowserContext, { part }: Secrets): Promise<void> {
  const page = await openSheet(context, folder, { ...LONG, code: part })
  const contrast = await leastContrast(page)
  check(`text has a contrast of at least 4.5: ${contrast.toFixed(1)}`, contrast >= 4.5)
  const inside = () =>
    page.evaluate(() => {
      const box = document.querySelector('.code')!.getBoundingClientRect()
      return [...document.querySelectorAll('li, svg')].every((each) => {
        const { left, right, top, bottom } = each.getBoundingClientRect()
        return left > box.left && right < box.right && top > box.top && bottom < box.bottom
      })
    })
  check('all nine groups and the picture are inside the frame', await inside())
  await page.setViewportSize({ width: 360, height: 740 })
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const)
  check('the sheet fits the width of a phone', widths[0] <= widths[1] && (await inside()), widths)
  if (process.env['KEEP'] !== undefined) await page.screenshot({ path: join(process.env['KEEP'], 'phone.png') })
  await page.setViewportSize(VIEWPORT)
  await page.close()
}

async function takePicture({ folder }: Theatre, context: BrowserContext, { code }: Secrets): Promise<void> {
  const page = await openSheet(context, folder, { ...USUAL, code })
  await page.emulateMedia({ media: 'print' })
  await page.addStyleTag({ content: MARGIN })
  const { y, height } = (await page.locator('dl').boundingBox())!
  const clip = { x: 0, y: 0, width: VIEWPORT.width, height: Math.ceil(y + height) + 60 }
  await page.screenshot({ path: SCREENSHOT, clip })
  console.log(`${SCREENSHOT}: ${(readFileSync(SCREENSHOT).length / 1000).toFixed(0)} kB`)
}

await withBrowser(async (theatre) => {
  const code = generateRecoveryCode()
  const parts = await splitRecoveryCode(code, { parts: 5, needed: 3 })
  const secrets: Secrets = { code, part: parts[1]!, parts }
  const context = await theatre.browser.newContext({ viewport: VIEWPORT })
  await fitsOnePage(theatre, context, secrets)
  await givesTheKey(theatre, context, secrets)
  await readsFromTheRight(theatre, context, secrets)
  await looksRight(theatre, context, secrets)
  if (process.argv.includes('--screenshot')) await takePicture(theatre, context, secrets)
  // In a context of its own, which watches what the page does.
  await isPlainText(theatre, await theatre.browser.newContext({ viewport: VIEWPORT }), secrets)
})
