// The deletions of deletions.ts that no vector can notice, and why. The key is the file and what is deleted, and, if that is
// not enough, the statement that it stands in.
export const EQUIVALENT: Readonly<Record<string, string>> = {}
