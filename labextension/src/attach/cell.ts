import type { IChoice } from './choice';

/** The tag of the cell that attaches the notebook. */
export const TAG = 'astrok8s-attach';

const WIDTH = 100;

/** Where a cluster is looked for, as attach() takes it; at most one of the two. */
export interface IWhere {
  cloud?: string;
  kubeconfig?: string;
}

/**
 * The source of the cell that attaches: plain Python, which runs without this plugin, too.
 *
 * @param choice - of which only what differs from attach()'s defaults is said.
 * @param conf - all properties of it, those of bundles among them.
 * @param where - the cloud of an own cluster, where attach() does not find it by itself; the file of an access to another.
 */
export function cellSource(choice: IChoice, conf: Record<string, string>, where: IWhere): string {
  const given = [
    literal(choice.cluster),
    ...(choice.mode === 'connect' ? [] : [`mode=${literal(choice.mode)}`]),
    ...Object.entries(where).map(([name, value]) => `${name}=${literal(value)}`),
    ...(Object.keys(conf).length ? [`conf=${dict(conf)}`] : []),
    ...(choice.environment ? [`environment=${literal(choice.environment)}`] : [])
  ];
  const line = `spark = astrok8s.attach(${given.join(', ')})`;
  const short = line.length <= WIDTH && !line.includes('\n');
  return `import astrok8s\n\n${short ? line : `spark = astrok8s.attach(\n    ${given.join(',\n    ')},\n)`}`;
}

function dict(conf: Record<string, string>): string {
  const items = Object.entries(conf).map(([name, value]) => `${literal(name)}: ${literal(value)}`);
  return items.length === 1 ? `{${items[0]}}` : `{\n        ${items.join(',\n        ')},\n    }`;
}

/** A text as Python writes it. What JSON escapes, Python reads the same. */
function literal(text: string): string {
  return JSON.stringify(text);
}

/** Whether a cell may change, or need, what `spark` is. */
export function concerns(source: string): boolean {
  return /\b(spark|astrok8s)\b/.test(source);
}
