// Keeps the site's files, so that it works offline once loaded. The build knows their names and hashes.
const cacheName = `lockstep-${VERSION}`;
/** The digits stay when the site changes. */
const digitsCacheName = `lockstep-digits-${DIGITS_VERSION}`;

addEventListener('install', (event) => {
  const keep = async () => (await caches.open(cacheName)).addAll(FILES);
  event.waitUntil(keep().then(skipWaiting));
});

addEventListener('activate', (event) => {
  const isOld = (name) => name.startsWith('lockstep-') && name !== cacheName && name !== digitsCacheName;
  const forget = async () => {
    await Promise.all((await caches.keys()).filter(isOld).map((name) => caches.delete(name)));
  };
  event.waitUntil(forget().then(() => clients.claim()));
});

// A page asks for the digits once it is loaded. A person who saves data gets them only by training on them.
addEventListener('message', (event) => {
  if (!navigator.connection?.saveData) event.waitUntil(Promise.all(DIGITS.map(keepDigits)));
});

async function keepDigits(name) {
  const url = new URL(name, registration.scope).href;
  if (!(await caches.match(url))) await downloadOf(url).kept;
}

addEventListener('fetch', (event) => {
  if (event.request.method === 'GET' && event.request.url.startsWith(registration.scope)) {
    event.respondWith(answer(event));
  }
});

async function answer(event) {
  const url = event.request.url.replace(/[?#].*/, '').replace(/\/$/, '/index.html');
  const kept = await caches.match(url);
  if (kept) return isolated(kept);
  if (!url.endsWith('.packed')) return isolated(await fetch(url));
  const download = downloadOf(url);
  event.waitUntil(download.kept);
  return isolated((await download.response).clone());
}

/** Downloads that go on, by address. Each serves the cache and every page that asks meanwhile. */
const downloads = new Map();

function downloadOf(url) {
  const known = downloads.get(url);
  if (known) return known;
  const response = fetch(url);
  const keep = async () => {
    const copy = (await response).clone();
    if (copy.ok) await (await caches.open(digitsCacheName)).put(url, copy);
  };
  const forget = () => downloads.delete(url);
  // A download that breaks off is tried again at the next visit.
  const download = { response, kept: keep().then(forget, forget) };
  downloads.set(url, download);
  return download;
}

/** With these headers, which few hosts of static files send, a page may compute in several threads. */
function isolated({ body, status, statusText, headers }) {
  const more = new Headers(headers);
  more.set('Cross-Origin-Opener-Policy', 'same-origin');
  more.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(body, { status, statusText, headers: more });
}
