import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';
import { digitsFile } from './scripts/digits.ts';

/** Our packages have no side effects on import: an engine that the dashboard only names must not be bundled. */
const rolldownOptions = { treeshake: { moduleSideEffects: (id: string) => !/\/packages\/[a-z]+\/dist\//.test(id) } };

// Workspace packages are used as built, from their dist folders.
export default defineConfig({
  // Relative, because the coordinator may serve the page at any address.
  base: './',
  plugins: [digitsFile(), compressedFiles()],
  build: {
    target: ['chrome123', 'edge123', 'firefox128', 'safari17.5'],
    // Nothing inline: the page's Content-Security-Policy forbids data: scripts and styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // gpu.js is larger, but only tabs that compute on the GPU load it.
    chunkSizeWarningLimit: 700,
    rolldownOptions,
  },
  worker: { format: 'es', rolldownOptions },
});

/** File types that compress well; packed data does not. */
const compressible = /\.(?:css|html|js|svg|wasm)$/;
/** Compressing smaller files saves too little. */
const leastBytes = 512;

/** Writes compressed copies of the page's files: one with brotli and one with gzip. */
function compressedFiles(): Plugin {
  return {
    name: 'compressed-files',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        for (const [fileName, file] of Object.entries(bundle)) {
          const bytes = Buffer.from(file.type === 'chunk' ? file.code : file.source);
          if (!compressible.test(fileName) || bytes.length < leastBytes) continue;
          const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
          this.emitFile({ type: 'asset', fileName: `${fileName}.br`, source: brotli });
          this.emitFile({ type: 'asset', fileName: `${fileName}.gz`, source: gzipSync(bytes, { level: 9 }) });
        }
      },
    },
  };
}
