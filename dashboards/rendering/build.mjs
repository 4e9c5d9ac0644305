// Bundles page.jsx and Grafana's packages into page.js and page.css.
import esbuild from 'esbuild';
import fs from 'node:fs';

// Packages in CommonJS whose default export Grafana's own bundler unwraps, and esbuild does not.
const wrapped =
  /node_modules\/(react-custom-scrollbars-2|react-inlinesvg|react-virtualized-auto-sizer|react-use-measure|react-loading-skeleton|react-highlight-words|classnames|react-hotkeys-hook)\/.*\.js$/;
const unwrap = `
if (module.exports && module.exports.__esModule && module.exports.default) {
  const all = module.exports;
  const main = all.default;
  for (const name in all) { try { main[name] = all[name]; } catch {} }
  main.default = main;
  main.__esModule = true;
  module.exports = main;
}`;

const plugin = {
  name: 'unwrap-default-exports',
  setup(build) {
    build.onLoad({ filter: wrapped }, async ({ path }) => {
      const text = await fs.promises.readFile(path, 'utf8');
      const commonJs = /exports/.test(text) && !/^\s*(import|export) /m.test(text);
      return { contents: commonJs ? text + unwrap : text, loader: 'js' };
    });
  },
};

await esbuild.build({
  entryPoints: ['page.jsx'],
  outfile: 'page.js',
  bundle: true,
  format: 'iife',
  platform: 'browser',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.svg': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl' },
  plugins: [plugin],
  logLevel: 'error',
});
