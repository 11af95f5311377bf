/** The guides, the decisions and the API reference as a static site: pages are the repository's own Markdown files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DefaultTheme, defineConfig } from 'vitepress';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The Markdown files in a folder, as links with their titles, in the order in which README names them last. */
function pagesIn(folder: string): DefaultTheme.SidebarItem[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .map((name) => `${folder}/${name}`)
    .sort((one, other) => readme.lastIndexOf(one) - readme.lastIndexOf(other))
    .map((file) => ({ text: titleOf(file), link: `/${file}` }));
}

function titleOf(file: string): string {
  return /^# (.+)$/m.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? file;
}

/** Guides that are lists to look something up in. */
const isList = ({ link }: DefaultTheme.SidebarItem): boolean => /\/(?:options|report)\.md$/.test(link ?? '');
const guides = pagesIn('docs');
/** Pages of TypeDoc, one for each module, in the folders of their package. */
const modules = (readdirSync(join(root, 'docs/api'), { recursive: true }) as string[])
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => /^@.*\.md$/.test(file))
  .sort();

const lesson = { text: 'Lesson', link: '/train/#learn', target: '_self' };
const train = { text: 'Train it here', link: '/train/', target: '_self' };

export default defineConfig({
  title: 'Lockstep',
  description:
    'Trains neural networks on several computers at once, in JavaScript. The model does not depend on who helped.',
  lang: 'en',
  srcDir: root,
  srcExclude: ['{packages,examples,deploy}/**', 'apps/!(site)/**'],
  rewrites: { 'apps/site/:page': ':page' },
  outDir: fileURLToPath(new URL('../dist', import.meta.url)),
  cacheDir: fileURLToPath(new URL('../node_modules/.vitepress', import.meta.url)),
  base: './',
  transformHead: ({ page }) => [
    ['link', { rel: 'icon', href: `${'../'.repeat(page.split('/').length - 1)}mark.svg`, type: 'image/svg+xml' }],
  ],
  markdown: {
    config({ renderer }) {
      // The empty cell above the names of rows is no heading.
      renderer.rules['th_open'] = (tokens, index, options, _env, self) => {
        if (tokens[index + 1]?.content === '') tokens[index]!.tag = tokens[index + 2]!.tag = 'td';
        return self.renderToken(tokens, index, options);
      };
    },
  },
  vite: {
    publicDir: join(root, 'apps/web/public'),
    build: { chunkSizeWarningLimit: 1_000 },
    plugins: [
      {
        name: 'pages-outside',
        enforce: 'pre',
        // The pages lie outside of this package, whose Vue they import.
        resolveId(id) {
          return /^vue(?:\/|$)/.test(id)
            ? this.resolve(id, fileURLToPath(import.meta.url), { skipSelf: true })
            : undefined;
        },
      },
    ],
  },
  themeConfig: {
    logo: { src: '/mark.svg', alt: '' },
    nav: [{ text: 'Guides', link: '/README', activeMatch: '^/(README|docs)' }, lesson, train],
    sidebar: [
      { text: 'Start', items: [{ text: 'What it is, and how to start', link: '/README' }, train, lesson] },
      { text: 'Guides', items: guides.filter((page) => !isList(page)) },
      {
        text: 'Reference',
        items: [
          ...guides.filter(isList),
          {
            text: 'API',
            link: '/docs/api/README',
            collapsed: true,
            items: modules.map((file) => ({ text: file.replace(/\.md$/, ''), link: `/docs/api/${file}` })),
          },
        ],
      },
      {
        text: 'Project',
        items: [
          { text: 'Architecture', link: '/ARCHITECTURE' },
          { text: 'Contributing', link: '/CONTRIBUTING' },
          { text: 'Decisions', link: '/docs/decisions/README', collapsed: true, items: pagesIn('docs/decisions') },
        ],
      },
    ],
    outline: [2, 3],
    search: {
      provider: 'local',
      options: {
        // The reference is found by its own outline: its words would hide the guides.
        _render: (text, env, markdown) => (env.relativePath.startsWith('docs/api/') ? '' : markdown.render(text, env)),
      },
    },
  },
});
