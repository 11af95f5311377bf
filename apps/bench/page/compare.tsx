/** Draws the page of a comparison from the content in it, with the views of the run's page. */
import { ExhibitCard } from '@lockstep/web/exhibits';
import { render } from 'preact';
import type { CompareContent } from '../src/compare/html.ts';
import '@lockstep/web/base.css';
import './compare.css';

const content = JSON.parse(document.getElementById('content')!.textContent!) as CompareContent;
const root = document.getElementById('page')!;
root.replaceChildren();
render(<Comparison {...content} />, root);

function Comparison({ title, about, conclusion, sections, missing, method, commands, notes, ending }: CompareContent) {
  return (
    <main>
      <header>
        <h1>{title}</h1>
        <p class="aside">{about}</p>
      </header>
      {conclusion.length > 0 && (
        <section class="card conclusion" aria-label="Conclusion">
          <Lines lines={conclusion} />
        </section>
      )}
      {sections.map((section) => (
        <section key={section.title}>
          <h2>{section.title}</h2>
          {section.text !== '' && <p class="prose">{section.text}</p>}
          <div class="exhibits">
            {section.exhibits.map((exhibit, index) => (
              <ExhibitCard key={index} exhibit={exhibit} />
            ))}
          </div>
        </section>
      ))}
      <section>
        <Lines lines={missing} />
        <h2>How it was measured</h2>
        <Lines lines={method} />
        <details>
          <summary>The commands</summary>
          <ul>
            {commands.map((command) => (
              <li key={command}>
                <code>{command}</code>
              </li>
            ))}
          </ul>
        </details>
        <Lines lines={notes} />
        <p class="aside">{ending}</p>
      </section>
    </main>
  );
}

function Lines({ lines }: { readonly lines: readonly string[] }) {
  return lines.map((line) => (
    <p key={line} class="prose">
      {line}
    </p>
  ));
}
