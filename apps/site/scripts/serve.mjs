/** A server of the built site on this machine. */
import { preview } from 'vite';

/** Serves a folder on 127.0.0.1 below `path`. @param port 0 for any free one */
export async function serve(folder, port = 0, path = '/') {
  const server = await preview({
    ...{ configFile: false, appType: 'mpa', logLevel: 'silent', base: path, build: { outDir: folder } },
    preview: { host: '127.0.0.1', port, strictPort: port > 0 },
  });
  const [url = ''] = server.resolvedUrls.local;
  return { url, close: () => server.close() };
}
