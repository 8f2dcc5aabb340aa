// A worker's side of the pool: it makes the handles again that it is sent, and does with them what it is asked.
import { openedClient } from '../client/client.ts'
import { cipherOf, OpenScope } from '../client/scope.ts'
import type { BlockReader, BlockWriter, PreparedBlock, SealedBlock } from '../core/block.ts'
import { wipe } from '../core/bytes.ts'
import { contentWithRoom } from '../core/content.ts'
import { KeystrataError } from '../core/errors.ts'
import { Strength } from '../core/key-pairs.ts'
import { disposeKeys } from '../core/secret.ts'
import { envelopeKeysOf, OwnerBlocks } from '../keyset/open.ts'
import { AcceptedShare, addToShare, ShareRecipient } from '../keyset/share.ts'
import { HostWriter } from '../keyset/writer.ts'
import { OpenedVault } from '../vault/block.ts'
import {
  arrivedKeys,
  type Moved,
  type MovedBlock,
  type MovedHead,
  moveError,
  type Rekeyed,
  type Reply,
  type Request,
  type Task,
} from './messages.ts'
import type { Recipe } from './remake.ts'

/** A handle, made again; it has what its key model has. */
interface Remade {
  readonly writer?: BlockWriter
  readonly reader?: BlockReader
  readonly owner?: OwnerBlocks
  readonly add?: (head: MovedHead) => Moved
  dispose(): void
}

/** Takes the keys over. */
function remake(recipe: Recipe): Remade {
  switch (recipe.kind) {
    case 'writer': {
      const writer = HostWriter.of(recipe.keys, recipe.defaults)
      return { writer, dispose: () => writer.dispose() }
    }
    case 'owner': {
      const owner = new OwnerBlocks(recipe.owner)
      const dispose = () => {
        owner.dispose()
        disposeKeys(recipe)
      }
      return { reader: owner, owner, dispose }
    }
    case 'share': {
      const recipient = new ShareRecipient(recipe.share, recipe.sharer)
      const keys = envelopeKeysOf(recipe.owner)
      const isHybrid = recipe.encryption === Strength.hybrid
      disposeKeys(recipe)
      return { add: (head) => addToShare(head, keys, recipient, isHybrid), dispose: () => keys.dispose() }
    }
    case 'shared': {
      const reader = new AcceptedShare(recipe.invited, recipe)
      disposeKeys(recipe)
      return { reader, dispose: () => reader.dispose() }
    }
    case 'vault': {
      const vault = new OpenedVault(recipe.id, recipe.dataKey)
      return { writer: vault, reader: vault, dispose: () => vault.dispose() }
    }
    case 'client': {
      const client = openedClient(recipe.claimant)
      return { reader: client, dispose: () => client.dispose() }
    }
    case 'scope': {
      const cipher = cipherOf(recipe)
      disposeKeys(recipe)
      const scope = new OpenScope(cipher, { des: false }, () => undefined)
      return { writer: scope, reader: scope, dispose: () => cipher.dispose() }
    }
  }
}

/** What a worker answers, and what of it moves. */
interface Answer {
  value: unknown
  moved?: ArrayBuffer[]
}

type Rekey = (head: MovedHead) => Moved | undefined

function rekeyed(rekey: Rekey, head: MovedHead): Rekeyed {
  const { label } = head
  try {
    const envelope = rekey(head)
    return envelope === undefined ? { label } : { label, envelope }
  } catch (error) {
    return { label, error: moveError(error) }
  }
}

/** What a worker knows, and does. */
export class Work {
  readonly #handles: Map<number, Remade> = new Map()
  readonly #prepared: Map<number, PreparedBlock> = new Map()
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
        const prepared = await this.#writer(task.handle).prepare(contentWithRoom(task.content))
        this.#prepared.set(task.prepared, prepared)
        return { value: prepared.label }
      }
      case 'seal': {
        const { content, shares } = task
        const own = contentWithRoom(content)
        return sealedAnswer(await this.#writer(task.handle).seal(own, { shares }))
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
      case 'open': {
        const content = await this.#reader(task.handle).open(task.block)
        return { value: content, moved: [content.buffer] }
      }
      case 'verify':
        wipe(await this.#reader(task.handle).open(task.block))
        return { value: undefined }
      case 'rekey': {
        const rekey = this.#rekeyerOf(task.handle)
        return { value: task.heads.map((head) => rekeyed(rekey, head)) }
      }
      case 'add': {
        const add = this.#adderTo(task.handle)
        return { value: task.heads.map((head) => rekeyed(add, head)) }
      }
      case 'close':
        for (const prepared of this.#prepared.values()) prepared.dispose()
        for (const handle of this.#handles.values()) handle.dispose()
        return { value: undefined }
    }
  }

  #remade(handle: number): Remade {
    const remade = this.#handles.get(handle)
    if (remade === undefined) throw new Error('the worker could not make this handle again')
    return remade
  }

  #rekeyerOf(handle: number): Rekey {
    const { owner } = this.#remade(handle)
    if (owner === undefined) throw new TypeError('only the reader of a keyset rekeys')
    return (head) => (owner.isCurrent(head.envelope) ? undefined : owner.rekey(head))
  }

  #adderTo(handle: number): Rekey {
    const { add } = this.#remade(handle)
    if (add === undefined) throw new TypeError('heads are added to a share in the hand of its owner')
    return add
  }

  #writer(handle: number): BlockWriter {
    const { writer } = this.#remade(handle)
    if (writer === undefined) throw new TypeError('this handle seals nothing')
    return writer
  }

  #reader(handle: number): BlockReader {
    const { reader } = this.#remade(handle)
    if (reader === undefined) throw new TypeError('this handle opens nothing')
    return reader
  }

  #preparedBlock(prepared: number): PreparedBlock {
    const block = this.#prepared.get(prepared)
    if (block === undefined) throw new KeystrataError('disposed', 'this block was sealed or disposed of')
    return block
  }
}

function sealedAnswer(block: SealedBlock): Answer {
  const { envelope, ciphertext } = block as MovedBlock
  return { value: block, moved: [envelope.buffer, ciphertext.buffer] }
}
