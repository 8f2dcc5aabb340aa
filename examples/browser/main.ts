// The user interface around sealed-file.ts: it takes a file and a password, and offers a file to save.
import { KeystrataError, selfTest } from 'keystrata'
import { element } from '../page/element.ts'
import { progressOn } from '../page/progress.ts'
import { isSealed } from './container.ts'
import { explain, sizeOf, STEPS } from './messages.ts'
import { openFile, sealFile, type Step } from './sealed-file.ts'

const ENDING = '.sealed'

const form = element('form', HTMLFormElement)
const fields = element('fields', HTMLFieldSetElement)
const fileInput = element('file', HTMLInputElement)
const drop = element('drop', HTMLElement)
const chosen = element('chosen', HTMLElement)
const kind = element('kind', HTMLElement)
const password = element('password', HTMLInputElement)
const repeat = element('repeat', HTMLElement)
const again = element('again', HTMLInputElement)
const show = element('show', HTMLInputElement)
const go = element('go', HTMLButtonElement)
const cancel = element('cancel', HTMLButtonElement)
const working = element('working', HTMLElement)
const bar = element('bar', HTMLProgressElement)
const percent = element('percent', HTMLElement)
const status = element('status', HTMLElement)
const problem = element('problem', HTMLElement)
const result = element('result', HTMLElement)
const save = element('save', HTMLAnchorElement)

/** The chosen file, and what to do with it. */
let task: { work: 'seal' | 'open'; file: File } | undefined
/** The file that was chosen last. Checking whether it is sealed takes a moment. */
let latest: File | undefined
/** Cancels the running operation. */
let running: AbortController | undefined
const invitation = [chosen.textContent, kind.textContent] as const

async function choose(file: File): Promise<void> {
  clearOutcome()
  forget()
  latest = file
  const isKnown = await isSealed(file)
  if (latest !== file) return
  // A sealed file may be damaged at its start, so its name counts too.
  const work = isKnown || file.name.endsWith(ENDING) ? 'open' : 'seal'
  task = { work, file }
  const what = work === 'seal' ? 'choose a password to seal it' : 'sealed file: enter its password to open it'
  showChoice(file.name, `${sizeOf(file)} · ${what}`)
  repeat.hidden = work === 'open'
  password.autocomplete = work === 'seal' ? 'new-password' : 'current-password'
  go.textContent = work === 'seal' ? 'Seal' : 'Open'
  password.focus()
}

/** Resets the page, ready for another file. */
function forget(): void {
  task = latest = undefined
  fileInput.value = ''
  showChoice(...invitation)
}

function showChoice(name: string, text: string): void {
  chosen.textContent = name
  kind.textContent = text
  drop.classList.toggle('chosen', task !== undefined)
}

/** Returns what the user still has to enter, and the field for it. */
function missing(): [string, HTMLElement] | undefined {
  if (task === undefined) return ['Choose a file first.', fileInput]
  if (password.value === '') return ['Enter a password.', password]
  if (task.work === 'seal' && password.value !== again.value) return ['The two passwords are not the same.', again]
  return undefined
}

async function run({ work, file }: NonNullable<typeof task>): Promise<void> {
  const controller = new AbortController()
  const options = { signal: controller.signal, onProgress: showProgress(work) }
  clearOutcome()
  setRunning(controller)
  try {
    if (work === 'seal') {
      const name = `${file.name}${ENDING}`
      offer(await sealFile(file, password.value, options), name)
      status.textContent = `Sealed. Your browser saves it as ${name}.`
      save.click()
    } else {
      const { name, content } = await openFile(file, password.value, options)
      offer(content, name)
      status.textContent = `Opened: ${sizeOf(content)}. Every byte was verified.`
    }
    password.value = again.value = ''
    forget()
    setRunning(undefined)
    save.focus()
  } catch (error) {
    setRunning(undefined)
    const code = error instanceof KeystrataError ? error.code : undefined
    status.textContent = code === 'aborted' ? explain(error) : ''
    if (code === 'aborted') go.focus()
    else complain(explain(error), code === 'wrong-password' ? password : go)
  }
}

function setRunning(controller: AbortController | undefined): void {
  running = controller
  const isRunning = controller !== undefined
  fields.disabled = go.disabled = isRunning
  cancel.hidden = working.hidden = !isRunning
  bar.value = 0
  percent.textContent = ''
  if (isRunning) cancel.focus()
}

/** Shows progress, and announces each step once. */
function showProgress(work: 'seal' | 'open'): (step: Step, fraction: number) => void {
  const show = progressOn(bar, percent)
  return (step, fraction) => {
    show(fraction)
    if (status.textContent !== STEPS[work][step]) status.textContent = STEPS[work][step]
  }
}

/** Offers a file through the link. Its address works only in this page, and only until the next file. */
function offer(content: Blob, name: string): void {
  save.href = URL.createObjectURL(content)
  save.download = name
  save.textContent = `Save ${name}`
  result.hidden = false
}

function clearOutcome(): void {
  if (save.href.startsWith('blob:')) URL.revokeObjectURL(save.href)
  save.href = '#save'
  result.hidden = true
  status.textContent = problem.textContent = ''
}

function complain(text: string, focus: HTMLElement): void {
  problem.textContent = text
  focus.focus()
  if (focus instanceof HTMLInputElement && focus !== fileInput) focus.select()
}

function take(files: FileList | null | undefined): void {
  const file = files?.[0]
  if (file === undefined || running !== undefined) return
  choose(file).catch((error: unknown) => {
    forget()
    complain(explain(error), fileInput)
  })
}

fileInput.addEventListener('change', () => take(fileInput.files))
cancel.addEventListener('click', () => running?.abort())
show.addEventListener('change', () => {
  password.type = again.type = show.checked ? 'text' : 'password'
})
form.addEventListener('submit', (event) => {
  event.preventDefault()
  if (running !== undefined) return
  problem.textContent = ''
  const lacking = missing()
  if (lacking !== undefined) complain(...lacking)
  else if (task !== undefined) void run(task)
})

// Accept a file dropped anywhere: otherwise the browser would leave the page and show the file.
document.addEventListener('dragover', (event) => {
  event.preventDefault()
  document.body.classList.add('dragging')
})
document.addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) document.body.classList.remove('dragging')
})
document.addEventListener('drop', (event) => {
  event.preventDefault()
  document.body.classList.remove('dragging')
  take(event.dataTransfer?.files)
})

const { ok } = await selfTest()
if (!ok) {
  fields.disabled = go.disabled = true
  complain(
    'A self-test failed: this browser computes wrong results, so the page cannot be used. Try another browser.',
    go,
  )
}
