// Finds the files that the README needs beside it: those that it links to, and its images.

/** Any of `[text](path)`, `![text](path "title")`, `[name]: path`, `href="path"`, `src="path"` and `srcset="path"`. */
const TARGETS = /\]\(\s*<?([^\s)>]+)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)|\b(?:href|src|srcset)\s*=\s*["']([^"'\s]+)/gm

/** Returns the paths of relative links and images, without `#fragment`. Code is not read for links. */
export function linkedFiles(markdown) {
  const text = markdown.replaceAll(/^ *(```+|~~~+)[^\n]*\n[\s\S]*?^ *\1 *$/gm, '').replaceAll(/(`+)(?!`).+?\1/g, '')
  const targets = [...text.matchAll(TARGETS)].map((match) => match[1] ?? match[2] ?? match[3])
  const paths = targets
    .filter((target) => !/^([a-z][a-z+.-]*:|#)/i.test(target))
    .map((target) => decodeURI(target.replace(/[?#].*$/, '')).replace(/^\.\//, ''))
  return [...new Set(paths)].sort()
}
