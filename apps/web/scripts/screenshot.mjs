/**
 * Takes the screenshot for README: the built page during a default run with two local workers.
 * `node apps/web/scripts/screenshot.mjs [FILE.png] [WIDTHxHEIGHT] [light|dark] [whole]`, after `npm start` has built
 * everything.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findChromium } from '@lockstep/chromium';
import { chromium } from 'playwright-core';

const root = new URL('../../../', import.meta.url);
const [file = fileURLToPath(new URL('docs/page.png', root)), size = '1440x1284', colorScheme = 'light', whole] =
  process.argv.slice(2);
const [width, height] = size.split('x').map(Number);
const patienceMs = 600_000;

const executablePath = findChromium();
if (executablePath === undefined) throw new Error('expected a Chromium, found none; set CHROME_PATH');

const program = fileURLToPath(new URL('apps/coordinator/dist/main.js', root));
const args = ['coordinator', '--port', '0', '--workers', '2', '--wait-for-start'];
const coordinator = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
// Nothing here computes on a GPU, and CPU painting is cheaper than a software renderer.
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const owner = await dashboardAddress();
  const context = await browser.newContext({ colorScheme, viewport: { width, height } });
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(owner);
  await page.locator('tr.worker[data-phase=ready]').nth(1).waitFor();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByText(/^test images, epoch [2-5]$/).waitFor();
  await draw(page);
  // Screen readers only.
  await page.getByText(/^Looks like \d/).waitFor({ state: 'attached' });
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: file, fullPage: whole === 'whole' });
} finally {
  await browser.close();
  coordinator.kill('SIGINT');
}

/** Returns the address that the coordinator prints for its owner. */
async function dashboardAddress() {
  let text = '';
  for await (const part of coordinator.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    text += part;
    const address = /Dashboard: (\S+)/.exec(text)?.[1];
    if (address) {
      coordinator.stdout.resume();
      return address;
    }
  }
  throw new Error('the coordinator ended before it printed the address of its dashboard');
}

/** Draws a seven, stroke by stroke. */
async function draw(page) {
  const canvas = page.getByLabel(/^Canvas to draw a digit on/);
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  const points = [
    [0.28, 0.22],
    [0.5, 0.2],
    [0.72, 0.2],
    [0.6, 0.46],
    [0.48, 0.84],
  ];
  for (const [index, [x, y]] of points.entries()) {
    await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 4 });
    if (index === 0) await page.mouse.down();
  }
  await page.mouse.up();
  await page.mouse.move(0, 0);
}
