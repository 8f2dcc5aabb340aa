// Reads the memory of another process (Linux), and says what each part of it is for.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { Found, Searcher } from './needles.ts'

/** `V8` is its heap, `malloc` the heap of C and C++, where ArrayBuffers lie. */
export type Area = 'V8' | 'malloc' | 'stack' | 'data'

interface Region {
  readonly start: number
  readonly end: number
  readonly area: Area
}

/**
 * Settings of glibc that keep all memory of malloc in the one region that the kernel calls [heap]. Everything else
 * without a name is then V8's, or the stack of a thread.
 */
export const ONE_HEAP: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '33554432' }

/** A setting of glibc that overwrites memory when it is freed. What is found then is still in use. */
export const OVERWRITE_FREED: Readonly<Record<string, string>> = { MALLOC_PERTURB_: '165' }

/** Returns the memory that a process can write to. */
function regionsOf(pid: number): Region[] {
  const regions: Region[] = []
  let guardEnd = 0
  for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').trimEnd().split('\n')) {
    const [, from, to, rights, name] = /^(\w+)-(\w+) (\S+) \S+ \S+ \d+ *(.*)$/.exec(line)!
    const [start, end] = [Number.parseInt(from!, 16), Number.parseInt(to!, 16)]
    if (rights!.startsWith('---')) guardEnd = end
    if (!rights!.startsWith('rw') || name === '[vvar]') continue
    // The stack of a thread lies right behind a guard page.
    const isThreadStack = guardEnd === start && end - start >= 2 ** 20 && end - start !== 2 ** 18
    regions.push({ start, end, area: areaOf(name!, isThreadStack) })
  }
  return regions
}

function areaOf(name: string, isThreadStack: boolean): Area {
  if (name === '[heap]') return 'malloc'
  if (name === '[stack]' || isThreadStack) return 'stack'
  return name === '' || name.startsWith('[anon') ? 'V8' : 'data'
}

const WINDOW = 4 * 1024 * 1024

/** A part that crosses two windows is found because they overlap by this much. */
const OVERLAP = 64

/** Searches the whole memory of a process. Returns what it found, and how many bytes it read. */
export function scan(pid: number, searcher: Searcher): { found: (Found & { area: Area })[]; bytes: number } {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const found: (Found & { area: Area })[] = []
  let bytes = 0
  const window = Buffer.alloc(WINDOW)
  try {
    for (const { start, end, area } of regionsOf(pid)) {
      for (let at = start; at < end; at += WINDOW - OVERLAP) {
        const length = readUpTo(memory, window, Math.min(WINDOW, end - at), at)
        bytes += length
        searcher.search(window.subarray(0, length), at, (each) => found.push({ ...each, area }))
        if (at + WINDOW >= end) break
      }
    }
  } finally {
    closeSync(memory)
  }
  return { found, bytes }
}

/** Reads memory. Pages that the kernel does not show are left out, and what is behind them in the window. */
function readUpTo(file: number, window: Buffer, length: number, address: number): number {
  let read = 0
  while (read < length) {
    try {
      const got = readSync(file, window, read, length - read, address + read)
      if (got === 0) break
      read += got
    } catch {
      break
    }
  }
  return read
}
