// How the work is cut. Labels are hashes, so all labels that begin with the same digits are as many as those that begin
// with others. A job is one such beginning.

/** A job has at most about so many heads, unless there are more than 268 million: a few seconds of work. */
const HEADS_PER_JOB = 4096

/** Four digits make 65,536 jobs. */
const MOST_DIGITS = 4

/** Returns the beginnings of labels, which together are all labels: at least 16, so that there is work for several. */
export function prefixesFor(blocks: number): readonly string[] {
  let digits = 1
  while (digits < MOST_DIGITS && blocks / 16 ** digits > HEADS_PER_JOB) digits++
  return Array.from({ length: 16 ** digits }, (_, index) => index.toString(16).padStart(digits, '0'))
}
