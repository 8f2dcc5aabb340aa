// Inputs that the fuzzer found before. Each is a hex file named after its target, and every run reads it again.
import { namesIn, readText } from '../files.ts'

export interface Finding {
  readonly file: string
  readonly target: string
  readonly bytes: Uint8Array
}

export const findings: readonly Finding[] = namesIn('fuzz/corpus')
  .filter((file) => file.endsWith('.hex'))
  .map((file) => ({
    file,
    target: file.replace(/\.[^.]+\.hex$/, ''),
    bytes: new Uint8Array(Buffer.from(readText('fuzz/corpus', file).replaceAll(/\s/g, ''), 'hex')),
  }))
