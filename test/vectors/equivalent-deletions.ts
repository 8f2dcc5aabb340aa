// The deletions of deletions.ts that no vector can notice, and why. A deletion is listed if its file and its text, as
// deletions.ts prints it, match a line.
const LINES: readonly (readonly [file: string, text: RegExp, why: string])[] = [
  ['spec-reader.ts', /^!equal\(secret, /, 'OpenSSL refuses an agreement of zeros itself'],
  ['spec-reader.ts', /^key\.length === 24|gcm\(key, iv, aad\)/, 'for another runtime'],
  ['spec-reader.ts', /^flags < 16 \(/, '15 has flags 1 and 2, and 16 does not have flag 8'],
  ['spec-reader.ts', /^n\.length > 0 \(/, 'n has 0 or 32 bytes'],
  ['spec-reader-record.ts', /^agreement\(header\.suite\) > 0 \(/, 'it is 0, 32 or 1,600'],
  ['spec-reader-record.ts', /^suite <= 0x0102 \(/, 'there is no suite 0x0103'],
  ['spec-reader.ts', /^(m <= MIB|t \* m <= 4 \* MIB) \(one less\)/, 'at this limit Argon2 takes too long for a test'],
  ['spec-reader-client.ts', /^(m <= MIB|t \* m <= 4 \* MIB) \(one less\)/, 'the same'],
  ['spec-reader-custody.ts', /^saved\.kind === 2/, 'readSaved returns the kind that it was asked for'],
  [
    'spec-reader-fleet.ts',
    /^strength > 0 \(one more\)/,
    'X25519 of an adopted keyset is weaker than the minimum there',
  ],
  ['spec-reader-fleet.ts', /^recomputePair\(pair\)/, 'the agreement is over the public halves too'],
  ['spec-reader-recovery.ts', /^k <= n/, 'n parts have fewer than k numbers'],
  ['spec-reader-recovery.ts', /=== 'KSTR'/, 'the base64 that the object begins with is that of the magic'],
  ['spec-reader-recovery.ts', /^(end >= 0|from >= 0|to >= from)/, 'what is left then is no object with its check'],
  ['spec-reader-recovery.ts', /^each\.length <= name\.length \(/, 'no two names differ by one character'],
  ['spec-reader-ref.ts', /^bytes\.length === 32/, 'other bytes give another text'],
  ['spec-reader-revision.ts', /^version === undefined \|\| revision/, 'a mistake of the caller'],
  ['spec-reader-revision.ts', /^keyset\.version === floor\.version/, 'the entries of a history are below its version'],
  ['spec-reader-text.ts', /^typed\.isWellFormed/, 'half a character is in no code'],
  // What a reader makes of damage in a log is in test/state: this reader knows logs without damage alone.
  [
    'spec-reader-log.ts',
    /^(record\.|message |isOne|version |lowest |sealOff |first |next |isClose)/,
    'damage in a log',
  ],
  ['spec-reader-log.ts', /^(newest|named\.|epoch |equal\(cat|checkComplete)/, 'damage in a log'],
  ['spec-reader-record.ts', /^(range\.|fields\.end\(\))/, 'damage in a log'],
]

/** Returns why no vector can notice a deletion; undefined if one should. */
export function equivalence(file: string, text: string): string | undefined {
  return LINES.find(([of, pattern]) => of === file && pattern.test(text))?.[2]
}
