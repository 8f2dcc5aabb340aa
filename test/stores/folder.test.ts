import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { blobStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import { checkStore } from '../../src/stores.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
const dir = () => mkdtempSync(join(tmpdir(), 'ks-'))
describe('state', () => {
  it.each(stateStoreLaws(() => folderStateStore(dir())))('keeps the law: $name', ({ check }) => check())
  it('check', async () => {
    const s = folderStateStore(dir())
    for (let i = 0; i < 3; i++) await checkStore(s)
    await Promise.all([checkStore(s), checkStore(s)])
  })
})
describe('blob', () => {
  it.each(blobStoreLaws(() => folderBlobStore(dir())))('keeps the law: $name', ({ check }) => check())
  it('check', async () => {
    const s = folderBlobStore(dir())
    for (let i = 0; i < 3; i++) await checkStore(s)
    await Promise.all([checkStore(s), checkStore(s)])
  })
})
