// The worker's side of a pool. It recreates the handles that it is sent, and runs tasks with them.
import { wiping } from '../core/secret.ts'
import { type Remade, remake } from './remake.ts'
import type { BlockReader, BlockWriter, OwnPreparedBlock, SealedBlock } from '../core/block.ts'
import { wipe } from '../core/bytes.ts'
import { contentIn, giveCiphertext, withLent } from '../core/content.ts'
import { KeystrataError } from '../core/errors.ts'
import {
  arrivedKeys,
  type MovedBlock,
  type MovedHead,
  moveError,
  type Rekeyed,
  type Reply,
  type Request,
  type Task,
} from './messages.ts'

/** The result of a task, and the buffers in it to transfer. */
interface Answer {
  value: unknown
  moved?: ArrayBuffer[]
}

function rekeyed(owner: NonNullable<Remade['owner']>, head: MovedHead): Rekeyed {
  try {
    return { envelope: owner.rekey(head) }
  } catch (error) {
    return { error: moveError(error) }
  }
}

/** The handles and prepared blocks of one worker, and the tasks that it runs. */
export class Work {
  readonly #handles: Map<number, Remade> = new Map()
  readonly #prepared: Map<number, OwnPreparedBlock> = new Map()
  readonly #post: (reply: Reply, moved: ArrayBuffer[]) => void

  constructor(post: (reply: Reply, moved: ArrayBuffer[]) => void) {
    this.#post = post
  }

  async take({ id, task }: Request): Promise<void> {
    try {
      const { value, moved = [] } = await this.#do(task)
      this.#post({ id, value }, moved)
    } catch (error) {
      this.#post({ id, error: moveError(error) }, [])
    }
  }

  async #do(task: Task): Promise<Answer> {
    switch (task.task) {
      case 'attach':
        this.#handles.set(task.handle, remake(arrivedKeys(task.recipe)))
        return { value: undefined }
      case 'prepare': {
        const writer = this.#writer(task.handle)
        const content = contentIn(task.content)
        const prepared = await withLent(content, task.content, () => writer.prepare(content))
        // Writers of this library prepare nothing else.
        this.#prepared.set(task.prepared, prepared as OwnPreparedBlock)
        return { value: prepared.label }
      }
      case 'seal': {
        const { shares } = task
        const writer = this.#writer(task.handle)
        const content = contentIn(task.content)
        return sealedAnswer(await withLent(content, task.content, () => writer.seal(content, { shares })))
      }
      case 'pack': {
        using _ = wiping(...task.files)
        const pack = await this.#writer(task.handle).pack(task.files)
        return { value: pack, moved: [pack.content.buffer] }
      }
      case 'seal-prepared': {
        const { shares } = task
        const block = await this.#preparedBlock(task.prepared).seal({ shares })
        this.#prepared.delete(task.prepared)
        return sealedAnswer(block)
      }
      case 'envelopes-for': {
        return { value: await this.#preparedBlock(task.prepared).envelopesFor(task.shares) }
      }
      case 'drop':
        this.#prepared.get(task.prepared)?.dispose()
        this.#prepared.delete(task.prepared)
        return { value: undefined }
      case 'discard': {
        const buffer = await this.#preparedBlock(task.prepared).discard()
        this.#prepared.delete(task.prepared)
        return { value: buffer, moved: buffer === undefined ? [] : [buffer] }
      }
      case 'open': {
        giveCiphertext(task.block.ciphertext)
        const content = await this.#reader(task.handle).open(task.block)
        return { value: content, moved: [content.buffer] }
      }
      case 'verify':
        giveCiphertext(task.block.ciphertext)
        wipe(await this.#reader(task.handle).open(task.block))
        return { value: undefined }
      case 'rekey': {
        const owner = this.#owner(task.handle)
        return { value: task.heads.map((head) => rekeyed(owner, head)) }
      }
      case 'close':
        for (const prepared of this.#prepared.values()) prepared.dispose()
        for (const handle of this.#handles.values()) handle.dispose()
        return { value: undefined }
    }
  }

  #remade(handle: number): Remade {
    const remade = this.#handles.get(handle)
    if (remade === undefined) throw new Error('this handle could not be recreated in a worker')
    return remade
  }

  #owner(handle: number): NonNullable<Remade['owner']> {
    const { owner } = this.#remade(handle)
    if (owner === undefined) throw new TypeError('this handle cannot rekey: pass a keyset or a delegation')
    return owner
  }

  #writer(handle: number): BlockWriter {
    const { writer } = this.#remade(handle)
    if (writer === undefined) throw new TypeError('this handle cannot seal: pass a writer')
    return writer
  }

  #reader(handle: number): BlockReader {
    const { reader } = this.#remade(handle)
    if (reader === undefined) throw new TypeError('this handle cannot open: pass a reader')
    return reader
  }

  #preparedBlock(prepared: number): OwnPreparedBlock {
    const block = this.#prepared.get(prepared)
    if (block === undefined)
      throw new KeystrataError('disposed', 'this block was sealed or disposed of', { object: 'prepared block' })
    return block
  }
}

function sealedAnswer(block: SealedBlock): Answer {
  const { envelope, ciphertext } = block as MovedBlock
  return { value: block, moved: [envelope.buffer, ciphertext.buffer] }
}
