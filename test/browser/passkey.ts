// Tests the built page of examples/passkey in headless Chromium (CHROMIUM, or /usr/bin/chromium), with virtual authenticators.
// Run it with `npm run test:passkey -- [--screenshot]`.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Locator, Page } from 'playwright'
import config from '../../examples/passkey/vite.config.ts'
import { generateRecoveryCode, recoverySheet } from '../../src/recovery.ts'
import { behaved, staysAlone } from './alone.ts'
import { Authenticator, type Secrets } from './authenticator.ts'
import { check, checkSame, type Conduct, type Stage, watch, withStage } from './harness.ts'
import { leastContrast, PASSWORD, Visitor } from './visitor.ts'

const NEXT_PASSWORD = 'a better horse battery staple'
const LAST_PASSWORD = 'the best horse battery staple'
const NOTE = 'The garden key lies under the third stone.'
const LONGEST_MS = 60_000
const SCREENSHOT = join(import.meta.dirname, '../../examples/passkey/screenshot.png')

/** A visitor of this page. */
class Owner extends Visitor {
  readonly #list: Locator = this.page.getByRole('list', { name: 'Ways in' })

  press = (name: string): Promise<void> => this.page.getByRole('button', { name, exact: true }).click()

  sees = (text: string): Promise<void> => this.page.getByRole('status').getByText(text).waitFor({ timeout: LONGEST_MS })

  has = (button: string): Promise<boolean> => this.page.getByRole('button', { name: button, exact: true }).isVisible()

  async create(): Promise<void> {
    await this.type(PASSWORD, PASSWORD)
    await this.submit()
    await this.sees('Created.')
  }

  async addPasskey(name: string): Promise<void> {
    await this.page.getByLabel('Add a way in').fill(name)
    await this.press('Add a passkey')
  }

  /** Adds a recovery code, and returns the code that the sheet shows. */
  async addCode(name: string): Promise<string> {
    await this.page.getByLabel('Add a way in').fill(name)
    await this.press('Add a recovery code')
    const groups = this.page.frameLocator('iframe').locator('li')
    await groups.nth(5).waitFor()
    return (await groups.allInnerTexts()).join('-')
  }

  async lock(): Promise<void> {
    await this.press('Lock')
    await this.sees('Locked.')
  }

  /** Locks the keyset, and loads the page again: nothing is left in memory. */
  async leave(): Promise<void> {
    await this.lock()
    await this.page.reload()
    await this.#list.waitFor()
  }

  async unlockByPassword(password: string): Promise<void> {
    await this.type(password)
    await this.submit()
  }

  async unlockByCode(code: string): Promise<void> {
    await this.page.getByLabel('Recovery code', { exact: true }).fill(code)
    await this.submit()
  }

  /** Changes the password, with a new master key. */
  async changePassword(next: string): Promise<void> {
    const field = this.page.getByLabel('New password', { exact: true })
    if (await field.isHidden()) await this.page.locator('summary').click()
    await field.fill(next)
    await this.page.getByLabel('The new password again').fill(next)
    await this.page.getByLabel('also replace the master key').check()
    await this.page.locator('#change').getByRole('button').click()
  }

  /** Returns the names of the ways in that the page lists. */
  waysIn = (): Promise<string[]> => this.#list.locator('strong').allInnerTexts()

  /** Returns the id and the revision of the open keyset. */
  facts = (): Promise<string[]> => this.page.locator('dd').allInnerTexts()

  /** Returns the note that the page shows. */
  note = (): Promise<string> => this.page.getByLabel('A note').inputValue()

  answerDialog = (): void => void this.page.once('dialog', (dialog) => void dialog.accept())
}

/** Opens the page in a fresh browser profile. */
async function visit(stage: Stage, prepare?: (context: BrowserContext) => Promise<unknown>) {
  const context = await stage.browser.newContext({ viewport: { width: 1000, height: 800 }, acceptDownloads: true })
  const conduct = watch(context)
  await prepare?.(context)
  const owner = await openIn(context, stage)
  return { context, conduct, owner }
}

async function openIn(context: BrowserContext, stage: Stage): Promise<Owner> {
  const page = await context.newPage()
  await page.goto(stage.site.url)
  await page.waitForFunction(() => document.querySelector('section:not([hidden])') !== null)
  return new Owner(page, stage.folder)
}

async function creates(owner: Owner): Promise<void> {
  await owner.press('Create a keyset')
  checkSame('a missing password is reported', await owner.problem(), 'Enter a password.')
  await owner.type(PASSWORD, `${PASSWORD}!`)
  await owner.submit()
  checkSame('two different passwords are reported', await owner.problem(), 'The two passwords are not the same.')
  await owner.create()
  checkSame('a new keyset has its password as the only way in', await owner.waysIn(), ['Password'])
  checkSame('the page goes on with the name of another way in', await owner.inFocus(), 'Add a way in')
  const typed = await owner.page
    .locator('input[type=password]')
    .evaluateAll((all) => all.map((each) => (each as HTMLInputElement).value))
  check(
    'no password is left in the page',
    typed.every((each) => each === ''),
  )
}

async function sealsNote(owner: Owner): Promise<void> {
  await owner.page.getByLabel('A note').fill(NOTE)
  await owner.press('Save the note')
  await owner.sees('The note is sealed and stored.')
  await owner.leave()
  checkSame('a locked page shows no note', await owner.note(), '')
  await owner.unlockByPassword(PASSWORD)
  await owner.sees('Unlocked with the password.')
  checkSame('the password opens the note', await owner.note(), NOTE)
}

/** Returns everything that the page has stored, as text with one character for each byte. */
const storedIn = (page: Page): Promise<string> =>
  page.evaluate(async () => {
    const texts: string[] = []
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>((resolve) => {
        const request = indexedDB.open(name)
        request.onsuccess = () => resolve(request.result)
      })
      for (const store of database.objectStoreNames) {
        const values = await new Promise<unknown[]>((resolve) => {
          const request = database.transaction(store).objectStore(store).getAll()
          request.onsuccess = () => resolve(request.result)
        })
        for (const value of values) {
          texts.push(value instanceof Uint8Array ? new TextDecoder('latin1').decode(value) : String(value))
        }
      }
      database.close()
    }
    return texts.join('\n')
  })

async function unlocksByPasskey(owner: Owner, device: Authenticator): Promise<void> {
  await owner.addPasskey('This laptop')
  await owner.sees('Added.')
  checkSame('a passkey is added', await owner.waysIn(), ['Password', 'This laptop'])
  checkSame('the device keeps one passkey', await device.passkeys(), 1)
  const before = await owner.facts()
  await owner.leave()
  check(
    'a locked page shows no keyset',
    (await owner.page.locator('#unlocked').isHidden()) && (await owner.facts()).join('') === '',
  )
  checkSame('a locked page lists the ways in', await owner.waysIn(), ['Password', 'This laptop'])
  check('a locked page has no button to remove one', !(await owner.has('Remove This laptop')))
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  checkSame('after a reload, the passkey opens the same keyset', await owner.facts(), before)
  checkSame('and the note', await owner.note(), NOTE)
  await owner.addPasskey('Twice')
  const complaint = await owner.problem()
  check('a device that has a passkey gets no second one', complaint.includes('already has a passkey'), complaint)
  checkSame('the slots are as before', await owner.waysIn(), ['Password', 'This laptop'])
}

/** @returns the code */
async function unlocksByCode(owner: Owner): Promise<string> {
  const { page } = owner
  const code = await owner.addCode('Sheet in the safe')
  check('the sheet shows a recovery code', /^(?:[0-9A-Z]{5}-){5}[0-9A-Z]{5}$/.test(code), code)
  const sheet = page.frameLocator('iframe')
  const [border, scripts] = await Promise.all([
    sheet.locator('.code').evaluate((each) => getComputedStyle(each).borderTopStyle),
    page.locator('iframe').evaluate((each) => (each as HTMLIFrameElement).sandbox.contains('allow-scripts')),
  ])
  checkSame('the sheet has its own style, and cannot run scripts', [border, scripts], ['solid', false])
  const printed = await page.evaluate(() => {
    const inFrame = document.querySelector('iframe')!.contentWindow!
    let count = 0
    inFrame.print = () => count++
    document.querySelector<HTMLElement>('#sheet-print')!.click()
    return count
  })
  checkSame('the page can print the sheet', printed, 1)
  const { name, bytes } = await owner.saved(() => page.getByRole('link', { name: 'Save as a file' }).click())
  check('the page saves the sheet as a file', name.endsWith('.html') && bytes.includes(code.slice(0, 5)), name)
  await page.keyboard.press('Escape')
  check('Escape does not close the sheet', await page.getByRole('dialog').isVisible())
  await owner.press('Done')
  await page.locator('iframe').waitFor({ state: 'detached' })
  checkSame('the focus goes back to the button', await owner.inFocus(), 'Add a recovery code')
  const left = await page.evaluate((part) => document.documentElement.outerHTML.includes(part), code.slice(6, 17))
  check('the code is not left in the page', !left && page.frames().length === 1)

  await owner.leave()
  const typo = code.replace(/.$/, (last) => (last === '7' ? '8' : '7'))
  await owner.unlockByCode(typo)
  const mistyped = await owner.problem()
  check('a mistyped code is reported as one', mistyped.includes('typing mistake'), mistyped)
  await owner.unlockByCode(generateRecoveryCode())
  const foreign = await owner.problem()
  check('a code of another keyset is reported as one', foreign.includes('not one of this keyset'), foreign)
  await owner.unlockByCode(` ${code.toLowerCase().replaceAll('-', ' ')} `)
  await owner.sees('Unlocked with a recovery code.')
  checkSame('a code opens the note, however it is typed', await owner.note(), NOTE)
  const stored = await storedIn(page)
  check('what is stored names the ways in', stored.includes('Sheet in the safe') && stored.includes('This laptop'))
  const secrets = [NOTE, PASSWORD, code, code.replaceAll('-', '')]
  check('what is stored contains no secret', !secrets.some((each) => stored.includes(each)))
  return code
}

async function drills(owner: Owner, code: string): Promise<void> {
  const { page } = owner
  await owner.press('Test This laptop')
  await owner.sees('The test passed: This laptop opens the keyset.')
  checkSame('the drill passes for the passkey, and its button has the focus again', await owner.inFocus(), 'Test')
  await owner.press('Test Sheet in the safe')
  checkSame('the drill asks for the code', await owner.inFocus(), 'Type the recovery code to test')
  await page.getByLabel('Type the recovery code to test').fill(code)
  await owner.submit()
  await owner.sees('The test passed: Sheet in the safe opens the keyset.')
  check('the drill passes for the code', true)
  await owner.press('Test Sheet in the safe')
  await page.getByLabel('Type the recovery code to test').fill(generateRecoveryCode())
  await owner.submit()
  const complaint = await owner.problem()
  check('the drill fails for another code', complaint.includes('not one of this keyset'), complaint)
  checkSame('the page asks for the code again', await owner.inFocus(), 'Type the recovery code to test')
}

async function replacesMaster(owner: Owner, code: string): Promise<void> {
  const { page } = owner
  const [id, before] = await owner.facts()
  await owner.changePassword(NEXT_PASSWORD)
  await owner.sees('The password was changed. The master key is new too')
  const [sameId, after] = await owner.facts()
  check('the same keyset has a new revision', id === sameId && before !== after, [before, after])
  check('no slot is left that must be renewed', (await page.locator('.mark').count()) === 0)
  await owner.leave()
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  checkSame('after a new master key, the passkey opens the newest keyset', await owner.facts(), [id, after])
  await owner.leave()
  await owner.unlockByCode(code)
  await owner.sees('Unlocked with a recovery code.')
  checkSame('and so does the code', await owner.facts(), [id, after])
  checkSame('the note is still there', await owner.note(), NOTE)
  await owner.leave()
  await owner.unlockByPassword(PASSWORD)
  checkSame('the old password is refused', await owner.problem(), 'The password is wrong.')
  checkSame('the page asks for the password again', await owner.inFocus(), 'Password')
  await owner.unlockByPassword(NEXT_PASSWORD)
  await owner.sees('Unlocked with the password.')
  checkSame('the new password opens the keyset', await owner.facts(), [id, after])
}

/** The browser fails between the new master key and the renewal of the slots. */
async function survivesHalfChange(owner: Owner): Promise<void> {
  const { page } = owner
  const [, before] = await owner.facts()
  await page.evaluate(() => {
    const { prototype } = IDBObjectStore
    const put = prototype.put
    prototype.put = function (value: unknown, key?: IDBValidKey) {
      if (Array.isArray(key) && key[0] === 'slots') throw new DOMException('no space', 'QuotaExceededError')
      return put.call(this, value, key)
    }
  })
  await owner.changePassword(LAST_PASSWORD)
  const complaint = await owner.problem()
  check('a failure in between is reported', complaint.includes('no space left'), complaint)
  checkSame('the passkey and the code are marked', await page.locator('.mark').count(), 2)
  await owner.leave()
  await owner.press('Unlock with a passkey')
  await owner.sees('This is an older version')
  const [, older] = await owner.facts()
  checkSame('the passkey still opens the version before it', older, before)
  await owner.press('Renew')
  const refused = await owner.problem()
  check('and cannot renew the slots', refused.includes('unlock it with the new password'), refused)
  await owner.leave()
  await owner.unlockByPassword(LAST_PASSWORD)
  await owner.sees('Unlocked with the password.')
  const [, after] = await owner.facts()
  await owner.press('Renew')
  await owner.sees('Renewed.')
  checkSame('with the new password, the slots are renewed', await page.locator('.mark').count(), 0)
  await owner.leave()
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  const [, newest] = await owner.facts()
  checkSame('the passkey opens the newest version again', newest, after)
}

/** Removes the slot of a passkey in a second tab, while the first tab still offers it. */
async function refusesRemoved(owner: Owner, context: BrowserContext, stage: Stage): Promise<void> {
  await owner.page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide')))
  await owner.page.locator('#locked').waitFor()
  check(
    'the page locks the keyset when it is left',
    (await owner.facts()).join('') === '' && (await owner.note()) === '',
  )
  const second = await openIn(context, stage)
  await second.unlockByPassword(LAST_PASSWORD)
  await second.sees('Unlocked with the password.')
  second.answerDialog()
  await second.press('Remove This laptop')
  await second.sees('Removed.')
  checkSame('a passkey is removed', await second.waysIn(), ['Password', 'Sheet in the safe'])
  await second.page.close()
  await owner.press('Unlock with a passkey')
  const complaint = await owner.problem()
  check('a passkey without a slot is reported as one', complaint.includes('Its slot was removed'), complaint)
  check('the page no longer offers it', !(await owner.has('Unlock with a passkey')))
  check('the keyset stays locked', !(await owner.has('Lock')))
}

/** A passkey of another device, and a user who refuses. */
async function refusesOthers(owner: Owner, device: Authenticator): Promise<void> {
  const { page } = owner
  await owner.unlockByPassword(LAST_PASSWORD)
  await owner.sees('Unlocked with the password.')
  await owner.addPasskey('This laptop')
  await owner.sees('Added.')
  check('a removed passkey can be added again', (await owner.waysIn()).includes('This laptop'))
  checkSame('the device still keeps one passkey', await device.passkeys(), 1)
  await owner.leave()
  await device.setUserAgrees(false)
  await owner.press('Unlock with a passkey')
  const refused = await owner.problem()
  check('a user who refuses is told what else opens the keyset', refused.includes('No passkey was used'), refused)
  checkSame('the focus is on the button again', await owner.inFocus(), 'Unlock with a passkey')
  await device.setUserAgrees(true)
  await device.remove()
  const other = await Authenticator.on(page)
  await owner.press('Unlock with a passkey')
  const absent = await owner.problem()
  check('a device without the passkey is reported', absent.includes('this device has no passkey'), absent)
  await owner.unlockByPassword(LAST_PASSWORD)
  await owner.sees('Unlocked with the password.')
  await owner.addPasskey('Phone')
  await owner.sees('Added.')
  await owner.lock()
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  checkSame('a second device gets a passkey of its own', await owner.waysIn(), [
    'Password',
    'Sheet in the safe',
    'This laptop',
    'Phone',
  ])
  await other.remove()
}

/** Damages all that is stored of the slots. */
const damageSlots = (page: Page): Promise<void> =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open('keystrata-passkey')
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('version', 'readwrite')
          const walk = transaction
            .objectStore('version')
            .openCursor(IDBKeyRange.bound(['slots', 0], ['slots', Infinity]))
          walk.onsuccess = () => {
            walk.result?.update((walk.result.value as Uint8Array).fill(7))
            walk.result?.continue()
          }
          transaction.oncomplete = () => {
            opening.result.close()
            resolve()
          }
        }
      }),
  )

async function survivesDamage(owner: Owner): Promise<void> {
  const { page } = owner
  const [id] = await owner.facts()
  await damageSlots(page)
  await owner.leave()
  const complaint = await owner.problem()
  check('damaged slots are reported', complaint.includes('damaged or altered'), complaint)
  await owner.unlockByPassword(LAST_PASSWORD)
  await owner.sees('Unlocked with the password.')
  checkSame('the password still opens the keyset', (await owner.facts())[0], id)
  await owner.press('Renew')
  await owner.sees('Renewed.')
  const code = await owner.addCode('New sheet')
  await owner.press('Done')
  checkSame('ways in can be added again', await owner.waysIn(), ['Password', 'New sheet'])
  await owner.leave()
  await owner.unlockByCode(code)
  await owner.sees('Unlocked with a recovery code.')
  checkSame('and open the note', await owner.note(), NOTE)
}

async function startsOver(owner: Owner): Promise<void> {
  await owner.lock()
  owner.answerDialog()
  await owner.press('Delete this keyset and start over')
  await owner.sees('Deleted.')
  check('the page starts over', await owner.has('Create a keyset'))
}

/** Deletes the list of passkeys that the page keeps. */
const forgetPasskeys = (page: Page): Promise<void> =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open('keystrata-passkey')
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('head', 'readwrite')
          transaction.objectStore('head').delete('page/passkeys')
          transaction.oncomplete = () => {
            opening.result.close()
            resolve()
          }
        }
      }),
  )

/** An authenticator that computes a secret only when a passkey is used, or already when it is created. */
async function readsSecret(stage: Stage, secrets: Secrets): Promise<void> {
  const { context, conduct, owner } = await visit(stage)
  await Authenticator.on(owner.page, secrets)
  await owner.page.evaluate(() => {
    const container = navigator.credentials
    const get = container.get.bind(container)
    container.get = (options) => {
      document.body.dataset['asked'] = 'yes'
      return get(options)
    }
  })
  await owner.create()
  await owner.addPasskey('Key')
  await owner.sees('Added.')
  const asked = await owner.page.evaluate(() => document.body.dataset['asked'] === 'yes')
  checkSame(
    `the secret comes ${secrets === 'at-once' ? 'with the new passkey' : 'from its first use'}`,
    asked,
    secrets === 'when-used',
  )
  await owner.leave()
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  check('this passkey opens the keyset', true)
  await owner.lock()
  await forgetPasskeys(owner.page)
  await owner.page.reload()
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  check('it does so even if the page has lost its id', true)
  checkSame('no error or warning in the console', conduct.errors, [])
  await context.close()
}

/** An authenticator without the PRF extension: the code is the way out. */
async function doesWithoutPrf(stage: Stage): Promise<void> {
  const { context, conduct, owner } = await visit(stage)
  const device = await Authenticator.on(owner.page, 'never')
  await owner.create()
  await owner.addPasskey('Old key')
  const complaint = await owner.problem()
  check('a passkey that keeps no secret is refused', complaint.includes('cannot keep a secret'), complaint)
  checkSame('it gets no slot', await owner.waysIn(), ['Password'])
  checkSame('the useless passkey is not left on the device', await device.passkeys(), 0)
  await codeIsEnough(owner)
  checkSame('no error or warning in the console', conduct.errors, [])
  await context.close()
}

/** A browser without passkeys, or without the PRF extension. */
async function doesWithout(what: string, stage: Stage, prepare: () => void, note: string): Promise<void> {
  const { context, conduct, owner } = await visit(stage, (each) => each.addInitScript(prepare))
  await owner.create()
  const noted = await owner.page.locator('#passkey-note').innerText()
  check(`${what}: the page says so`, noted.includes(note), noted)
  check(`${what}: it offers no passkey`, await owner.page.getByRole('button', { name: 'Add a passkey' }).isDisabled())
  await codeIsEnough(owner)
  checkSame('no error or warning in the console', conduct.errors, [])
  await context.close()
}

async function codeIsEnough(owner: Owner): Promise<void> {
  const code = await owner.addCode('Paper')
  await owner.press('Done')
  const before = await owner.facts()
  await owner.leave()
  check('the locked page offers no passkey', !(await owner.has('Unlock with a passkey')))
  await owner.unlockByCode(code)
  await owner.sees('Unlocked with a recovery code.')
  checkSame('the code opens the keyset', await owner.facts(), before)
}

/** The keyset was made under an address that cannot have passkeys. */
async function namesWrongAddress(stage: Stage): Promise<void> {
  const byNumber = { ...stage, site: { ...stage.site, url: stage.site.url.replace('localhost', '127.0.0.1') } }
  const { context, owner } = await visit(byNumber)
  await Authenticator.on(owner.page)
  await owner.create()
  await owner.addPasskey('Nowhere')
  const complaint = await owner.problem()
  check(
    'an address that cannot have passkeys is reported',
    complaint.includes('do not work at this address'),
    complaint,
  )
  await context.close()
}

async function looksRight(page: Page, what: string): Promise<void> {
  await page.setViewportSize({ width: 360, height: 740 })
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth] as const)
  check(`${what} fits the width of a phone`, widths[0] <= widths[1], widths)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const contrast = await leastContrast(page)
    check(
      `${what}: text has a contrast of at least 4.5 in the ${colorScheme} scheme: ${contrast.toFixed(1)}`,
      contrast >= 4.5,
    )
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1000, height: 800 })
}

/** Every field, frame and button has a name. */
async function isLabelled(page: Page, what: string): Promise<void> {
  const nameless = await page.locator('input, button, iframe, a').evaluateAll((all) =>
    all
      .filter((each) => each.checkVisibility())
      .filter((each) => !(each.getAttribute('aria-label') ?? each.getAttribute('title') ?? each.textContent.trim()))
      .filter((each) => !(each instanceof HTMLInputElement && (each.labels?.length ?? 0) > 0))
      .map((each) => each.outerHTML),
  )
  checkSame(`${what}: everything that can be used has a name`, nameless, [])
}

/** Sends what the page requests, in the order of its life. */
async function life(stage: Stage): Promise<Conduct> {
  const { context, conduct, owner } = await visit(stage)
  const device = await Authenticator.on(owner.page)
  await looksRight(owner.page, 'the first page')
  await creates(owner)
  await sealsNote(owner)
  await unlocksByPasskey(owner, device)
  const code = await unlocksByCode(owner)
  await looksRight(owner.page, 'the unlocked page')
  await isLabelled(owner.page, 'the unlocked page')
  await drills(owner, code)
  if (process.argv.includes('--screenshot')) await takePicture(owner)
  await replacesMaster(owner, code)
  await survivesHalfChange(owner)
  await refusesRemoved(owner, context, stage)
  await looksRight(owner.page, 'the locked page')
  await isLabelled(owner.page, 'the locked page')
  await refusesOthers(owner, device)
  await survivesDamage(owner)
  await startsOver(owner)
  await context.close()
  return conduct
}

async function takePicture(owner: Owner): Promise<void> {
  const { page } = owner
  await owner.leave()
  await owner.press('Unlock with a passkey')
  await owner.sees('Unlocked with a passkey.')
  await page.setViewportSize({ width: 760, height: 800 })
  await page.mouse.move(0, 0)
  await page.screenshot({ path: SCREENSHOT, fullPage: true })
  console.log(`${SCREENSHOT}: ${(readFileSync(SCREENSHOT).length / 1000).toFixed(0)} kB`)
}

/** The frame with the sheet inherits the policy of the page, which must allow this one style. */
function allowsSheet(): void {
  const sheet = recoverySheet({ code: generateRecoveryCode(), title: '', text: '', facts: {} })
  const style = /<style>(.*)<\/style>/s.exec(sheet)?.[1] ?? ''
  const hash = `'sha256-${createHash('sha256').update(style).digest('base64')}'`
  const html = readFileSync(join(import.meta.dirname, '../../examples/passkey/index.html'), 'utf8')
  check(`the policy in index.html allows the style of recoverySheet, ${hash}`, html.includes(hash))
}

await withStage(config, async (stage) => {
  allowsSheet()
  const conduct = await life(stage)
  await readsSecret(stage, 'at-once')
  await readsSecret(stage, 'when-used')
  await doesWithoutPrf(stage)
  const noPasskeys = 'This browser has no passkeys'
  await doesWithout('without WebAuthn', stage, () => Reflect.deleteProperty(window, 'PublicKeyCredential'), noPasskeys)
  const removePrf = () => {
    // The script also runs in frames, which may not be secure contexts.
    if (!window.isSecureContext) return
    PublicKeyCredential.getClientCapabilities = () => Promise.resolve({ 'extension:prf': false })
  }
  await doesWithout('a browser without PRF', stage, removePrf, 'cannot keep a secret')
  await namesWrongAddress(stage)
  behaved(conduct, stage)
  // Last, and in a separate context: every blocked attempt is an error in the console.
  await staysAlone(await stage.browser.newContext(), stage)
})
