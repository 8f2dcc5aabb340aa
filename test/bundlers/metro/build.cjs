// node build.cjs: bundles program.js as an app of React Native for Android.
const { getDefaultConfig } = require('metro-config')
const Metro = require('metro')

async function build() {
  const base = await getDefaultConfig(__dirname)
  const config = {
    ...base,
    projectRoot: __dirname,
    watchFolders: [__dirname],
    cacheStores: [],
    maxWorkers: 2,
    reporter: { update: () => undefined },
    resolver: {
      ...base.resolver,
      useWatchman: false,
      platforms: ['ios', 'android'],
      // As in @react-native/metro-config.
      unstable_conditionNames: ['react-native'],
    },
    transformer: {
      ...base.transformer,
      babelTransformerPath: require.resolve('@react-native/metro-babel-transformer'),
    },
  }
  await Metro.runBuild(config, {
    entry: 'program.js',
    platform: 'android',
    dev: false,
    minify: false,
    out: 'bundle.js',
  })
}

build().catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
