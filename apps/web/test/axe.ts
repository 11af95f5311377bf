/** Looks for what keeps people from using a page, with axe. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

interface AxeOptions {
  /** Whose elements are all described; of the others only the first is. */
  readonly resultTypes: readonly ['violations'];
  /** Whether each element's path is worked out. */
  readonly selectors: boolean;
}

declare const axe: { run(options: AxeOptions): Promise<AxeResults> };

let source: string | undefined;

/** The rules that the page breaks, each with the elements that do. */
export async function violations(page: Page): Promise<string[]> {
  return (await broken(page)).map(textOf);
}

/** Those that keep people from using it. */
export async function seriousViolations(page: Page): Promise<string[]> {
  return (await broken(page)).filter(({ impact }) => impact === 'serious' || impact === 'critical').map(textOf);
}

async function broken(page: Page): Promise<AxeResults['violations']> {
  source ??= readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source);
  await page.evaluate(movedIn);
  return page.evaluate(async () => (await axe.run({ resultTypes: ['violations'], selectors: false })).violations);
}

/** Resolves once no animation is under way that ends by itself: what fades in has little contrast meanwhile. */
async function movedIn(): Promise<void> {
  const ending = document.getAnimations().filter((animation) => {
    const { endTime = Number.POSITIVE_INFINITY } = animation.effect?.getComputedTiming() ?? {};
    return animation.playState === 'running' && Number.isFinite(Number(endTime));
  });
  await Promise.allSettled(ending.map(({ finished }) => finished));
}

function textOf({ id, nodes }: AxeResults['violations'][number]): string {
  return `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' ')}`;
}
