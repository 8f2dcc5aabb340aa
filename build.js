// Builds dist/: one file for each module, so that a bundler drops the modules that a program does not use.
import { build } from 'esbuild'
import { globSync, rmSync } from 'node:fs'
