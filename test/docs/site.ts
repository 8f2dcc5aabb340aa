// npm run docs: builds the site of the documentation in api/ with TypeDoc, and checks its links. The README is the front
// page. Then come the guides, the reference of every entry, and the documents about format, security and source.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Application, Converter, ReflectionKind } from 'typedoc'
import { brokenLinksIn } from './links.ts'

const root = join(import.meta.dirname, '../..')

/** The guides in the order in which somebody reads them. A guide that is not named here comes after these. */
const ORDER = [
  ...['keyset', 'vault', 'client', 'sharing', 'escrow', 'recovery', 'stores', 'services', 'threads', 'options'],
  ...['fleet', 'legacy-des', 'demos', 'glossary', 'operations', 'threat-model', 'design', 'server-rules'],
]
const placeOf = (guide: string) => {
  const place = ORDER.indexOf(guide.replace('.md', ''))
  return place < 0 ? ORDER.length : place
}

/** Returns the file names of guides in the order of the site. */
const inOrder = (guides: readonly string[]): string[] =>
  guides.toSorted((one, other) => placeOf(one) - placeOf(other) || one.localeCompare(other))

/** What TypeDoc calls modules. */
const REFERENCE = 'API reference'

const guides = inOrder(readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md')))
const GROUPS = {
  Guides: guides.map((name) => `docs/${name}`),
  [REFERENCE]: [],
  'Format and security': ['SPEC.md', 'SECURITY.md', 'CHANGELOG.md'],
  Source: ['ARCHITECTURE.md', 'bench/README.md', 'test/attacks/README.md'],
}

/** Returns the title of a document: its first heading, without marks. */
const titleOf = (path: string) => /^# (.*)$/m.exec(readFileSync(path, 'utf8'))?.[1]?.replaceAll('`', '')

async function build(): Promise<Application> {
  const app = await Application.bootstrapWithPlugins({
    projectDocuments: Object.values(GROUPS).flat(),
    groupOrder: Object.keys(GROUPS),
    navigation: { includeGroups: true },
    // Each document begins with a heading of its own.
    headings: { readme: false, document: false },
    locales: { en: { kind_plural_module: REFERENCE } },
    sortEntryPoints: false,
  })
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => {
    const path = document.project.files.getReflectionPath(document)!
    const group = Object.entries(GROUPS).find(([, paths]) => paths.some((each) => join(root, each) === path))
    document.name = titleOf(path) ?? document.name
    document.frontmatter['group'] = group![0]
  })
  app.converter.on(Converter.EVENT_CREATE_PROJECT, (_, project) =>
    // Links to the README lead to the front page.
    project.files.registerReflectionPath(join(root, 'README.md') as never, project),
  )
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const entry of project.getReflectionsByKind(ReflectionKind.Module))
      entry.name = entry.name === 'index' ? 'keystrata' : `keystrata/${entry.name}`
  })
  const project = await app.convert()
  if (project === undefined) return app
  app.validate(project)
  await app.generateOutputs(project)
  return app
}

if (process.argv[1] === import.meta.filename) {
  const { logger } = await build()
  const broken = brokenLinksIn(join(root, 'api'))
  for (const { page, link } of broken) console.error(`${page} has a broken link: ${link}`)
  if (logger.hasErrors() || logger.hasWarnings() || broken.length > 0) process.exitCode = 1
}
