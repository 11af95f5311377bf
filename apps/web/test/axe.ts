/** Checks the accessibility of a page with axe. */
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
  /** Result types that list all elements; other types list only the first. */
  readonly resultTypes: readonly ['violations'];
  /** Whether to compute the selector of each element. */
  readonly selectors: boolean;
}

declare const axe: { run(options: AxeOptions): Promise<AxeResults> };

let source: string | undefined;

/** Returns the rules that the page violates, each with the violating elements. */
export async function violations(page: Page): Promise<string[]> {
  return (await broken(page)).map(textOf);
}

/** Returns only the violations of serious or critical impact. */
export async function seriousViolations(page: Page): Promise<string[]> {
  return (await broken(page)).filter(({ impact }) => impact === 'serious' || impact === 'critical').map(textOf);
}

async function broken(page: Page): Promise<AxeResults['violations']> {
  source ??= readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source);
  await page.evaluate(movedIn);
  return page.evaluate(async () => (await axe.run({ resultTypes: ['violations'], selectors: false })).violations);
}

/** Waits for all finite animations: elements that fade in have low contrast meanwhile. */
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
