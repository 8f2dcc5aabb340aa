// The list of the ways into the keyset.
import type { Slot } from 'keystrata/recovery'
import { isOfPasskey } from './ways-in.ts'

export interface SlotActions {
  test: (slot: Slot) => void
  remove: (slot: Slot) => void
}

/**
 * Shows the password and the slots.
 * @param actions what the buttons do. Without it, there are no buttons
 */
export function showSlots(list: HTMLElement, slots: readonly Slot[], actions?: SlotActions): void {
  const password = row('password', 'Password', 'Always there')
  list.replaceChildren(password, ...slots.map((slot) => slotRow(slot, actions)))
}

function slotRow(slot: Slot, actions: SlotActions | undefined): HTMLElement {
  const kind = isOfPasskey(slot) ? 'Passkey' : 'Recovery code'
  const added = slot.created.toLocaleDateString('en', { dateStyle: 'medium' })
  const item = row(isOfPasskey(slot) ? 'secret' : 'code', slot.label, `${kind}, added ${added}`)
  item.dataset['slot'] = slot.id
  if (!slot.isCurrent)
    item.append(Object.assign(document.createElement('span'), { className: 'mark', textContent: 'must be renewed' }))
  if (actions === undefined) return item
  const buttons = Object.assign(document.createElement('div'), { className: 'buttons' })
  buttons.append(
    button('Test', slot, () => actions.test(slot)),
    button('Remove', slot, () => actions.remove(slot)),
  )
  item.append(buttons)
  return item
}

function row(kind: 'password' | 'secret' | 'code', name: string, text: string): HTMLElement {
  const item = document.createElement('li')
  const what = Object.assign(document.createElement('div'), { className: 'what' })
  what.append(
    Object.assign(document.createElement('strong'), { textContent: name }),
    Object.assign(document.createElement('span'), { textContent: text }),
  )
  item.append(icon(kind), what)
  return item
}

function button(text: string, { label }: Slot, act: () => void): HTMLButtonElement {
  const made = Object.assign(document.createElement('button'), {
    type: 'button',
    className: 'quiet small',
    textContent: text,
  })
  made.setAttribute('aria-label', `${text} ${label}`)
  made.addEventListener('click', act)
  return made
}

const SVG = 'http://www.w3.org/2000/svg'

function icon(kind: string): SVGElement {
  const made = document.createElementNS(SVG, 'svg')
  const use = document.createElementNS(SVG, 'use')
  use.setAttribute('href', `#icon-${kind}`)
  made.setAttribute('aria-hidden', 'true')
  made.append(use)
  return made
}
