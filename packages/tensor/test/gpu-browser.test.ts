/** The gpu backends in a real browser: a Web Worker of a built, minified page computes what the reference computes. */
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, type OpenPage, openBuiltPage } from '@lockstep/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Question } from '../page/messages.ts';

declare const window: { ask(question: Question): Promise<Answer> };

const executablePath = findChromium();
const root = fileURLToPath(new URL('../page/', import.meta.url));

describe.skipIf(!executablePath)(inChromium('the gpu backends'), { timeout: 300_000 }, () => {
  let open: OpenPage | undefined;

  beforeAll(async () => {
    open = await openBuiltPage({ root, executablePath: executablePath! });
  }, 300_000);

  afterAll(async () => {
    await open?.close();
  });

  const ask = (question: Question): Promise<Answer> => open!.page.evaluate((asked) => window.ask(asked), question);

  const choices: readonly Question['backend'][] = ['webgpu', 'webgl', { mode: 'webgl' }];

  describe.each(choices.map((backend) => [JSON.stringify(backend), backend] as const))('%s', (_, backend) => {
    it('computes every operation, its gradient and compiled steps as the reference does', async () => {
      const answer = await ask({ backend, what: 'agreement' });
      expect(answer).toMatchObject({ kind: 'answer', complaints: [] });
    });

    it('is given back once, whatever is under way, and says so afterwards', async () => {
      const answer = await ask({ backend, what: 'closing' });
      expect(answer).toMatchObject({ kind: 'answer', complaints: [] });
    });

    it('says that the device was lost', async () => {
      const answer = await ask({ backend, what: 'loss' });
      expect(answer).toMatchObject({ kind: 'answer', complaints: [] });
    });
  });

  it('gpu takes one of them and says which', async () => {
    const answer = await ask({ backend: 'gpu', what: 'step' });
    expect(answer).toMatchObject({
      kind: 'answer',
      choice: expect.stringMatching(/^computing on gpu \(web(gpu|gl2), /),
    });
  });
});
