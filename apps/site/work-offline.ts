/** Lets the service worker keep the site, and then the digits, so that both work offline from the first visit on. */
export async function workOffline(script: string): Promise<void> {
  // Browsers have none at an address that is neither https nor this machine's.
  const { serviceWorker } = navigator as { readonly serviceWorker?: ServiceWorkerContainer };
  try {
    await serviceWorker?.register(script);
    (await serviceWorker?.ready)?.active?.postMessage('keep the digits');
  } catch {
    // A person may forbid it. The site then needs its server.
  }
}
