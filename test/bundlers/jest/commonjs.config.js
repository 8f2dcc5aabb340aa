// ES modules turned into CommonJS by Babel. Then Jest can give `Math` to every module, which makes portable code fast.
const toCommonJs = [
  'babel-jest',
  { babelrc: false, configFile: false, plugins: ['@babel/plugin-transform-modules-commonjs'] },
]

export default {
  transform: { '\\.js$': toCommonJs },
  transformIgnorePatterns: ['/node_modules/(?!(keystrata|@noble)/)'],
  sandboxInjectedGlobals: ['Math'],
  setupFiles: ['./text-coding.js'],
}
