// Keeps the site's files, so that it works offline once loaded. The build knows their names and their hash.
const cacheName = `lockstep-${VERSION}`;

addEventListener('install', (event) => {
  const keep = async () => (await caches.open(cacheName)).addAll(FILES);
  event.waitUntil(keep().then(skipWaiting));
});

addEventListener('activate', (event) => {
  const forget = async () => {
    const names = await caches.keys();
    await Promise.all(names.map((name) => name.startsWith('lockstep-') && name !== cacheName && caches.delete(name)));
  };
  event.waitUntil(forget().then(() => clients.claim()));
});

addEventListener('fetch', (event) => {
  if (event.request.method === 'GET' && event.request.url.startsWith(registration.scope)) {
    event.respondWith(answer(event.request.url.replace(/[?#].*/, '').replace(/\/$/, '/index.html')));
  }
});

async function answer(url) {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(url);
  if (kept) return isolated(kept);
  const response = await fetch(url);
  if (response.ok && url.endsWith('.packed')) await cache.put(url, response.clone());
  return isolated(response);
}

/** With these headers, which few hosts of static files send, a page may compute in several threads. */
function isolated({ body, status, statusText, headers }) {
  const more = new Headers(headers);
  more.set('Cross-Origin-Opener-Policy', 'same-origin');
  more.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(body, { status, statusText, headers: more });
}
