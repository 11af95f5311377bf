/** The gpu backends in a real browser: a Web Worker of a built, minified page computes what the reference computes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Question } from '../page/messages.ts';
import { findChromium, type OpenPage, openPage } from './chromium.ts';

declare const window: { ask(question: Question): Promise<Answer> };

const executable = findChromium();
const title = executable ? 'in Chromium' : 'in Chromium (skipped: no browser found; set CHROME_PATH)';

describe.skipIf(!executable)(title, () => {
  let open: OpenPage | undefined;

  beforeAll(async () => {
    open = await openPage(executable!);
  }, 120_000);

  afterAll(async () => {
    await open?.close();
  });

  const ask = (question: Question): Promise<Answer> => open!.page.evaluate((asked) => window.ask(asked), question);

  const choices: readonly Question['backend'][] = ['webgpu', 'webgl', { mode: 'webgl' }];

  describe.each(choices.map((backend) => [JSON.stringify(backend), backend] as const))('%s', (_, backend) => {
    it('computes every operation, its gradient and a compiled step as the reference does', async () => {
      const answer = await ask({ backend, what: 'agreement' });
      expect(answer).toMatchObject({ kind: 'answer', complaints: [] });
    }, 300_000);

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
