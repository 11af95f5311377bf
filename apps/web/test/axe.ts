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
  /** Rules to check; omitted: all. */
  readonly runOnly?: readonly string[];
}

declare const axe: { run(options: AxeOptions): Promise<AxeResults> };

let source: string | undefined;

/**
 * Returns the rules that the page violates, each with the violating elements.
 * @param rules names of the rules to check; by default all
 */
export async function violations(page: Page, rules?: readonly string[]): Promise<string[]> {
  return (await broken(page, rules)).map(textOf);
}

/** Returns only the violations of serious or critical impact. */
export async function seriousViolations(page: Page): Promise<string[]> {
  return (await broken(page)).filter(({ impact }) => impact === 'serious' || impact === 'critical').map(textOf);
}

async function broken(page: Page, rules?: readonly string[]): Promise<AxeResults['violations']> {
  source ??= readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source);
  await page.evaluate(movedIn);
  const options: AxeOptions = { resultTypes: ['violations'], selectors: false, ...(rules && { runOnly: rules }) };
  return page.evaluate(async (given) => (await axe.run(given)).violations, options);
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
