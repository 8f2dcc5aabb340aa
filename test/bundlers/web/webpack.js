// node webpack.js webpack|rspack: builds the page, and the program for Node.
const [tool] = process.argv.slice(2)
const build = tool === 'rspack' ? (await import('@rspack/core')).rspack : (await import('webpack')).default

const common = { mode: 'production', context: import.meta.dirname }
const configs = [
  { ...common, target: 'web', entry: './page.js', output: { path: `${import.meta.dirname}/${tool}-page` } },
  {
    ...common,
    target: 'node',
    optimization: { minimize: false },
    entry: './program.js',
    output: { path: `${import.meta.dirname}/${tool}-node`, filename: 'main.cjs' },
  },
]
build(configs, (error, stats) => {
  if (error) throw error
  console.log(stats.toString())
  process.exitCode = stats.hasErrors() || stats.hasWarnings() ? 1 : 0
})
